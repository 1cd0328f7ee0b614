import numpy as np
import pyarrow as pa

import tiny
from tunesmith.data import check
from tunesmith.text import encode as text


def table(*texts):
    source = pa.array(["a.csv"] * len(texts)).dictionary_encode()
    return pa.table({"text": list(texts), "_line": list(range(2, len(texts) + 2)), "_source": source})


def test_digests_ignore_case_spaces_and_unicode_form():
    digest = check.digests(table("Café  noir", "cafe\u0301 noir", "CAFÉ NOIR ", "cafe noir"), ["text"])
    assert digest[0] == digest[1] == digest[2] != digest[3]


def test_digests_of_pairs_keep_the_texts_apart():
    rows = pa.table({"text": ["a b", "a"], "text_pair": ["c", "b c"]})
    assert len(set(check.digests(rows, ["text", "text_pair"]).tolist())) == 2


def test_leaked():
    train, other = (np.array(values, np.uint64) for values in ([1, 2, 3], [3, 9]))
    assert check.leaked(train, other).tolist() == [False, False, True]


def encode(tmp_path, rows, **options):
    tokenizer = text.load_tokenizer(tiny.write_tiny(tmp_path / "model", "bert"))
    return text.encode(rows, tokenizer, tmp_path / "a.arrow", **options)


def test_long_texts_are_told_with_what_is_lost(tmp_path):
    rows = table("a fine film", "a fine film " * 30)
    [found] = check.token_findings("train", rows, encode(tmp_path, rows, max_length=12))
    assert (found.code, found.severity, found.count) == ("long_text", "warning", 1)
    assert "1 train texts (50.0%) are over 12 tokens" in found.message
    assert "82.5% of all tokens are left out" in found.message
    assert found.examples[0].startswith("a.csv:3: a fine film")


def test_windows_lose_nothing(tmp_path):
    rows = table("a fine film", "a fine film " * 30)
    encoded = encode(tmp_path, rows, max_length=12, long_text="windows", window_overlap=2)
    [found] = check.token_findings("train", rows, encoded)
    assert found.severity == "note"
    assert f"read in {len(encoded) - 1} windows" in found.message


def test_a_base_model_that_cannot_read_the_language(tmp_path):
    rows = table("这部电影很好看", "我不喜欢这本书")
    [found] = check.token_findings("train", rows, encode(tmp_path, rows, max_length=30))
    assert found.code == "unknown_token"
    assert "multilingual" in found.hint
