"""Pieces add up to the text, whatever the tokens and stop strings: byte-level BPE, and BPE that falls back to bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tunesmith.generation.text import TextStream

LETTERS = "abc de\n天气很好👍😀👨‍👩‍👧é ñ▁"
TEXTS = ("the weather is fine", "天气很好，我们去公园吧。", "a 😀 b 👨‍👩‍👧 c", "abc abc de de")


def byte_level() -> Any:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, special_tokens=["</s>"], show_progress=False),
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")


def byte_fallback() -> Any:
    """As sentencepiece makes it for Llama: spaces are letters, what is unknown becomes its bytes."""
    letters = [*"▁abcdefhirstw", "天", "气", "▁the", "▁a", "bc"]
    pieces = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    merges = [("b", "c"), ("▁", "a")]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    core = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", unk_token="<unk>")


TOKENIZERS = {"byte-level": byte_level(), "byte-fallback": byte_fallback()}
every = pytest.mark.parametrize("name", TOKENIZERS)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
words = st.text(LETTERS, max_size=40)


def pushed(stream: TextStream, tokens: list[int]) -> list[str]:
    return [*(stream.push(token) for token in tokens), stream.finish()]


@every
@quick
@given(text=words)
def test_pieces_of_a_text_add_up_and_are_whole_letters(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    tokens = tokenizer.encode(text, add_special_tokens=False)
    stream = TextStream(tokenizer)
    pieces = pushed(stream, tokens)
    assert "".join(pieces) == stream.text == tokenizer.decode(tokens, skip_special_tokens=True)
    assert not any("\ufffd" in piece for piece in pieces)


@every
@quick
@given(data=st.data())
def test_pieces_of_any_tokens_add_up(name: str, data: st.DataObject) -> None:
    """A random model writes broken bytes too. One makes the fallback call back good letters beside it, which are kept here."""
    tokenizer = TOKENIZERS[name]
    tokens = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=40))
    stream, whole = TextStream(tokenizer), tokenizer.decode(tokens, skip_special_tokens=True)
    assert "".join(pushed(stream, tokens)) == stream.text
    if name == "byte-level" or "\ufffd" not in whole:
        assert stream.text == whole


@every
@quick
@given(
    text=words, stops=st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=3), extra=st.booleans()
)
def test_a_stop_string_is_never_shown_wherever_tokens_part_it(
    name: str, text: str, stops: list[str], extra: bool
) -> None:
    tokenizer = TOKENIZERS[name]
    if extra and len(text) > 5:
        stops = [*stops, text[2:5]]
    tokens = tokenizer.encode(text, add_special_tokens=False)
    whole = tokenizer.decode(tokens, skip_special_tokens=True)
    stream = TextStream(tokenizer, stops)
    pieces = pushed(stream, tokens)
    found = [place for stop in stops if (place := whole.find(stop)) >= 0]
    shown = "".join(pieces)
    assert shown == stream.text
    if not found:
        assert (shown, stream.stop) == (whole, None)
        return
    assert stream.stop in stops
    assert whole.startswith(shown)
    assert whole[len(shown) :].startswith(str(stream.stop))
    assert not any(stop in shown for stop in stops)
