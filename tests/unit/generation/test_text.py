"""Text comes whole letter by whole letter, and never shows a stop string."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from generators import Generator
from tunesmith.generation.text import TextStream

Of = Callable[[str], Generator]
TEXTS = ("weather in Paris, naïve café", "日本語 and 😀😀 faces", "Ωmega\n\n ends.")


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_whole_letters_and_add_up(generator: Of, text: str) -> None:
    tokenizer = generator("gpt2").tokenizer
    stream = TextStream(tokenizer)
    pieces = [stream.push(token) for token in tokenizer.encode(text)]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) + stream.finish() == text == stream.text


def test_any_tokens_add_up_to_their_text(generator: Of) -> None:
    tokenizer = generator("gpt2").tokenizer
    for seed in range(30):
        tokens = torch.randint(1, len(tokenizer), (40,), generator=torch.Generator().manual_seed(seed)).tolist()
        stream = TextStream(tokenizer)
        pieces = [stream.push(token) for token in tokens]
        assert "".join(pieces) + stream.finish() == tokenizer.decode(tokens)


def test_a_letter_cut_off_at_the_end_is_shown_as_such(generator: Of) -> None:
    tokenizer = generator("gpt2").tokenizer
    stream = TextStream(tokenizer)
    first, *_ = [stream.push(token) for token in tokenizer.encode("a😀")[:-1]]
    assert first == "a"
    assert stream.finish() == "\ufffd"


@pytest.mark.parametrize("stop", ["fine", "s f", "r in Paris is fine;", ";"])
def test_a_stop_string_is_found_across_tokens_and_held_back(generator: Of, stop: str) -> None:
    tokenizer, text = generator("gpt2").tokenizer, "the weather in Paris is fine; London"
    stream, shown = TextStream(tokenizer, ["never", stop]), ""
    for token in tokenizer.encode(text):
        shown += stream.push(token)
        assert text[: text.find(stop)].startswith(shown)
        if stream.stop:
            break
    assert stream.stop == stop
    assert shown + stream.finish() == text[: text.find(stop)] == stream.text


def test_the_beginning_of_a_stop_string_is_handed_out_when_it_goes_on_otherwise(generator: Of) -> None:
    tokenizer = generator("gpt2").tokenizer
    stream = TextStream(tokenizer, ["abc"])
    pieces = [stream.push(token) for letter in "xab" for token in tokenizer.encode(letter)]
    assert pieces == ["x", "", ""]
    assert stream.push(tokenizer.encode("d")[0]) == "abd"
    assert stream.push(tokenizer.encode("a")[0]) == ""
    assert stream.finish() == "a"


def test_the_first_of_several_stop_strings_counts_and_nothing_follows(generator: Of) -> None:
    tokenizer = generator("gpt2").tokenizer
    stream = TextStream(tokenizer, ["Paris", "in"])
    pieces = [stream.push(token) for token in tokenizer.encode("weather in Paris")]
    assert (stream.stop, stream.text, "".join(pieces)) == ("in", "weather ", "weather ")
