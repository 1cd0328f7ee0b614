import pyarrow as pa
import pytest

import tiny
from tunesmith.errors import UsageError
from tunesmith.text import encode as text
from tunesmith.text.sequence import Cutter

FAMILIES = ("bert", "roberta", "gpt2", "llama", "t5")
LONG = " ".join(tiny.TEXTS * 3)


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    return {family: text.load_tokenizer(tiny.write_tiny(folder / family, family)) for family in FAMILIES}


def table(*texts, pairs=None):
    return pa.table({"text": list(texts), "text_pair": pairs or [None] * len(texts)})


def ids(encoded, column="input_ids"):
    return [row.tolist() for row in encoded.lists(column).take(range(len(encoded)))]


@pytest.mark.parametrize("family", FAMILIES)
def test_short_texts_are_as_from_the_tokenizer(tokenizers, family, tmp_path):
    tokenizer = tokenizers[family]
    encoded = text.encode(table(*tiny.TEXTS), tokenizer, tmp_path / "a.arrow", max_length=200)
    assert ids(encoded) == tokenizer(list(tiny.TEXTS))["input_ids"]
    assert encoded.lengths.tolist() == [len(row) for row in ids(encoded)]
    assert encoded.text_lengths.tolist() == encoded.lengths.tolist()
    assert (encoded.cut_texts, encoded.cut_tokens) == (0, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_short_pairs_are_as_from_the_tokenizer(tokenizers, family, tmp_path):
    tokenizer = tokenizers[family]
    rows = table(*tiny.TEXTS[:2], pairs=list(tiny.TEXTS[2:4]))
    encoded = text.encode(rows, tokenizer, tmp_path / "a.arrow", max_length=300, pair="text_pair")
    expected = tokenizer(list(tiny.TEXTS[:2]), list(tiny.TEXTS[2:4]))
    assert ids(encoded) == expected["input_ids"]
    if family == "bert":
        assert ids(encoded, "token_type_ids") == expected["token_type_ids"]
    else:
        assert "token_type_ids" not in encoded.table.column_names


@pytest.mark.parametrize("family", FAMILIES)
def test_cut_at_the_end_is_as_from_the_tokenizer(tokenizers, family, tmp_path):
    tokenizer = tokenizers[family]
    encoded = text.encode(table(LONG), tokenizer, tmp_path / "a.arrow", max_length=20, long_text="keep-start")
    assert ids(encoded)[0] == tokenizer(LONG, truncation=True, max_length=20)["input_ids"]
    assert encoded.cut_texts == 1
    assert encoded.cut_tokens == encoded.text_lengths[0] - 20


def test_pairs_are_cut_longest_first_as_by_the_tokenizer(tokenizers, tmp_path):
    tokenizer = tokenizers["bert"]
    for first, second in ((LONG, tiny.TEXTS[0]), (tiny.TEXTS[0], LONG), (LONG, LONG)):
        encoded = text.encode(
            table(first, pairs=[second]),
            tokenizer,
            tmp_path / "a.arrow",
            max_length=41,
            long_text="keep-start",
            pair="text_pair",
        )
        expected = tokenizer(first, second, truncation="longest_first", max_length=41)["input_ids"]
        assert len(ids(encoded)[0]) == len(expected) == 41
        if first != second:
            assert ids(encoded)[0] == expected


def test_keep_ends_keeps_a_quarter_from_the_start(tokenizers, tmp_path):
    tokenizer = tokenizers["bert"]
    whole = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    encoded = text.encode(table(LONG), tokenizer, tmp_path / "a.arrow", max_length=22, long_text="keep-ends")
    assert ids(encoded)[0][1:-1] == whole[:5] + whole[-15:]


def test_keep_end(tokenizers, tmp_path):
    tokenizer = tokenizers["bert"]
    whole = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    encoded = text.encode(table(LONG), tokenizer, tmp_path / "a.arrow", max_length=22, long_text="keep-end")
    assert ids(encoded)[0][1:-1] == whole[-20:]


def test_windows_read_every_token_and_overlap(tokenizers, tmp_path):
    tokenizer = tokenizers["bert"]
    whole = tokenizer(LONG, add_special_tokens=False)["input_ids"]
    encoded = text.encode(
        table(tiny.TEXTS[0], LONG),
        tokenizer,
        tmp_path / "a.arrow",
        max_length=22,
        long_text="windows",
        window_overlap=6,
    )
    windows = [row[1:-1] for row in ids(encoded)[1:]]
    starts = encoded.table["first"].to_pylist()[1:]
    assert encoded.rows.tolist() == [0] + [1] * len(windows)
    assert all(window == whole[start : start + 20] for window, start in zip(windows, starts, strict=True))
    assert {position for start in starts for position in range(start, start + 20)} == set(range(len(whole)))
    assert all(windows[n][-6:] == windows[n + 1][:6] for n in range(len(windows) - 2))
    assert (encoded.cut_texts, encoded.cut_tokens) == (0, 0)


def test_windows_that_would_not_move_on(tokenizers, tmp_path):
    with pytest.raises(UsageError, match=r"window_overlap = 20"):
        text.encode(
            table("a"), tokenizers["bert"], tmp_path / "a.arrow", max_length=22, long_text="windows", window_overlap=20
        )


def test_no_room_for_text(tokenizers, tmp_path):
    with pytest.raises(UsageError, match="leaves no room"):
        text.encode(table("a"), tokenizers["bert"], tmp_path / "a.arrow", max_length=4, pair="text_pair")


@pytest.mark.parametrize("long_text", ["keep-ends", "windows"])
def test_offsets_lead_back_to_the_characters(tokenizers, tmp_path, long_text):
    tokenizer = tokenizers["bert"]
    encoded = text.encode(
        table(LONG), tokenizer, tmp_path / "a.arrow", max_length=30, long_text=long_text, window_overlap=4, offsets=True
    )
    seen = 0
    columns = [ids(encoded, name) for name in ("input_ids", "starts", "ends", "part")]
    for tokens, starts, ends, part in zip(*columns, strict=True):
        for token, start, end, number in zip(tokens, starts, ends, part, strict=True):
            if number < 0:
                assert (start, end) == (-1, -1)
                continue
            piece = tokenizer.convert_ids_to_tokens(token).removeprefix("##")
            assert piece == "[UNK]" or LONG[start:end].lower() == piece
            seen += 1
    assert seen >= 28


def test_unknown_tokens_are_counted(tokenizers, tmp_path):
    encoded = text.encode(table("片子很好 film"), tokenizers["bert"], tmp_path / "a.arrow", max_length=20)
    assert encoded.unknown_tokens == 4


def test_the_tokenizers_own_limit_cuts_nothing_before_the_count(tmp_path):
    tokenizer = text.load_tokenizer(tiny.write_tiny(tmp_path / "model", "bert"))
    tokenizer.backend_tokenizer.enable_truncation(8)
    tokenizer.backend_tokenizer.enable_padding(length=8)
    encoded = text.encode(table(LONG, "a film"), tokenizer, tmp_path / "a.arrow", max_length=50)
    assert encoded.text_lengths[0] > 100
    assert encoded.lengths.tolist() == [50, 4]


def test_many_batches_keep_their_row_numbers(tokenizers, tmp_path):
    texts = [f"film {number}" for number in range(1203)]
    encoded = text.encode(table(*texts), tokenizers["gpt2"], tmp_path / "a.arrow", max_length=20)
    assert encoded.rows.tolist() == list(range(1203))
    picked = [1202, 0, 500]
    expected = [tokenizers["gpt2"](texts[row])["input_ids"] for row in picked]
    assert [row.tolist() for row in encoded.lists().take(picked)] == expected


@pytest.mark.parametrize("long_text", ["keep-ends", "keep-start", "keep-end", "windows"])
@pytest.mark.parametrize("lengths", [(100,), (10, 100), (60, 80), (100, 3)])
def test_no_row_is_over_the_budget_and_every_token_is_kept_or_counted(long_text, lengths):
    cutter = Cutter(40, long_text, 5, texts=len(lengths))
    rows, left_out = cutter.spans(lengths)
    kept = [set() for _ in lengths]
    for row in rows:
        parts = [[n for piece in slices for n in range(piece.start, piece.stop)] for slices in row]
        assert sum(map(len, parts)) == 40
        for found, part in zip(kept, parts, strict=True):
            found.update(part)
    assert left_out == sum(lengths) - sum(map(len, kept))


def test_choose_max_length():
    assert text.choose_max_length(512) == 256
    assert text.choose_max_length(128) == 128
    assert text.choose_max_length(None, asked=1024) == 1024
    with pytest.raises(UsageError, match="the base model reads 512 tokens"):
        text.choose_max_length(512, asked=1024)


def test_length_limit(tokenizers):
    assert text.length_limit(tokenizers["bert"]) == 64
