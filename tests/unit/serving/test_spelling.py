"""What tokens spell, by tokenizers of each kind."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models

import tiny_generators
from tunesmith.generation.answers import TokenLogprob
from tunesmith.serving.spelling import Spelling

TEXT = "soup ü 翻译\n\ttoday  <a>"


@pytest.fixture(scope="module")
def by_letters() -> Any:
    return tiny_generators._tokenizer("llama", tiny_generators.TEXTS)


@pytest.fixture(scope="module")
def by_pieces() -> Any:
    """As SentencePiece's are: pieces with a sign for space, and bytes for what is not known."""
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", "<s>", "▁soup", "▁", "s", "o", *(f"<0x{byte:02X}>" for byte in range(256))]
    core = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, [], byte_fallback=True))
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", bos_token="<s>")


def test_the_bytes_of_tokens_add_up_to_the_text(by_letters: Any) -> None:
    spelt = Spelling(by_letters)
    ids = by_letters(TEXT, add_special_tokens=False)["input_ids"]
    assert b"".join(map(spelt.bytes_of, ids)).decode() == TEXT
    assert any(spelt.text_of(token) == "\ufffd" for token in ids), "no letter is split over tokens: nothing is tried"


def test_pieces_and_bytes(by_pieces: Any) -> None:
    spelt = Spelling(by_pieces)
    assert [spelt.bytes_of(token) for token in (1, 2, 3, 6 + 0xE7)] == [b"<s>", b" soup", b" ", b"\xe7"]
    assert spelt.longest == 5


def test_a_place_without_a_token_spells_nothing(by_letters: Any) -> None:
    assert Spelling(by_letters).bytes_of(10**6) == b""


def test_the_longest_token(by_letters: Any) -> None:
    spelt = Spelling(by_letters)
    longest = max((spelt.text_of(token).strip() for token in by_letters.get_vocab().values()), key=len)
    assert spelt.longest == len(longest) > 3


def test_a_token_that_stands_for_anything_has_no_length() -> None:
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    assert Spelling(PreTrainedTokenizerFast(tokenizer_object=core, unk_token="[UNK]")).longest is None


def test_parts_of_letters_are_named_by_their_bytes(by_pieces: Any) -> None:
    one = TokenLogprob(6 + 0xE7, -2.0, ((6 + 0xE8, -0.5), (2, -1.0)))
    told = Spelling(by_pieces).completion([TokenLogprob(1, None), one], 2, offset=4)
    assert told == {
        "tokens": ["<s>", "\ufffd"],
        "token_logprobs": [None, -2.0],
        "top_logprobs": [None, {"bytes:\\xe8": -0.5, " soup": -1.0, "bytes:\\xe7": -2.0}],
        "text_offset": [4, 7],
    }
    (entry,) = Spelling(by_pieces).chat([one])["content"]
    assert entry["bytes"] == [0xE7]
    assert entry["top_logprobs"][1] == {"token": " soup", "logprob": -1.0, "bytes": list(b" soup")}
