"""Words and the tokens that speak for them, on every kind of tokenizer, in windows and with texts cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest

import tiny
from tunesmith.heads import IGNORED
from tunesmith.text import encode as text
from tunesmith.text import spans, tags, token_words
from tunesmith.text.answer_spans import Window
from tunesmith.text.spans import Span
from tunesmith.text.token_words import Units

FAMILIES = get_args(tiny.Family)
CHINESE = "这家图书馆周一休息，上午九点开门😀，在Paris没有。"
TEXTS = [*tiny.TEXTS, CHINESE, "x", "  spaced   out ", "naïve café\u200e!"]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("tokenizers")
    return {name: text.load_tokenizer(tiny.write_tiny(root / name, name, [*tiny.TEXTS, CHINESE])) for name in FAMILIES}


def encode(tokenizer: Any, folder: Path, texts: list[str], length: int = 60, **more: Any) -> text.Encoded:
    options = {"long_text": "windows", "window_overlap": 4, **more}
    table = pa.table({"text": texts})
    return text.encode(table, tokenizer, folder / "a.arrow", max_length=length, offsets=True, **options)


def units(encoded: text.Encoded, texts: list[str]) -> list[Units]:
    return list(token_words.units(encoded, [spans.split(one) for one in texts]))


@pytest.mark.parametrize("length", [60, 12])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_word_is_spoken_for_by_its_last_token(
    tokenizers: dict[str, Any], family: str, length: int, tmp_path: Path
) -> None:
    encoded = encode(tokenizers[family], tmp_path, TEXTS, length)
    ends, starts = encoded.lists("ends"), encoded.lists("starts")
    sequence = 0
    for one, read in zip(TEXTS, units(encoded, TEXTS), strict=True):
        covered = {place for start, end in read.places.tolist() for place in range(start, end)}
        letters = {place for place, letter in enumerate(one) if not letter.isspace() and letter != "\u200e"}
        assert letters <= covered
        seen: set[int] = set()
        for window in read.windows:
            own_ends, own_starts = ends.take([sequence])[0], starts.take([sequence])[0]
            positions = read.positions(window)
            assert (np.diff(positions) > 0).all(), "one token speaks for one unit"
            for unit, position in zip(read.inside(window).tolist(), positions.tolist(), strict=True):
                start, end = read.places[unit].tolist()
                assert own_starts[position] < end <= own_ends[position] or end > own_ends[position] > start
            seen.update(read.inside(window).tolist())
            sequence += 1
        assert seen == set(range(len(read))), "nothing is silently left out"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scheme", ["iob2", "iobes"])
def test_labels_lead_back_to_the_spans(tokenizers: dict[str, Any], family: str, scheme: Any, tmp_path: Path) -> None:
    encoded = encode(tokenizers[family], tmp_path, TEXTS)
    names = tags.labels(["a", "b"], scheme)
    for one, read in zip(TEXTS, units(encoded, TEXTS), strict=True):
        places = [tuple(place) for place in read.places.tolist()]
        marked = [Span(*places[number], "ab"[number % 4 > 1]) for number in range(0, len(places), 2)]
        found = token_words.labels(read, marked, names, scheme)
        assert len(found) == len(read), one
        assert spans.in_characters(places, tags.read([names[number] for number in found])) == marked


def test_words_that_share_a_token_are_one_unit(tokenizers: dict[str, Any], tmp_path: Path) -> None:
    encoded = encode(tokenizers["bert"], tmp_path, ["the film"])
    letters = [(0, 1), (1, 2), (2, 3), (4, 6), (6, 8)]
    [read] = token_words.units(encoded, [letters])
    assert read.places.tolist() == [[0, 3], [4, 8]]
    assert token_words.touched(read, [Span(1, 2, "a"), Span(2, 5, "b")]) == [Span(0, 1, "a"), Span(1, 2, "b")]


def test_a_token_has_a_slot_for_each_of_its_first_words(tokenizers: dict[str, Any], tmp_path: Path) -> None:
    encoded = encode(tokenizers["bert"], tmp_path, ["the film"])
    letters = [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (7, 8)]
    [read] = token_words.units(encoded, [letters], slots=3)
    assert read.places.tolist() == [[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [6, 8]]
    assert read.slots is not None
    assert read.slots.tolist() == [0, 1, 2, 0, 1, 2]
    [window] = read.windows
    assert read.cells(window, 3).tolist() == [3, 4, 5, 6, 7, 8]
    [codes] = token_words.targets(read, np.arange(6), 3)
    assert codes.tolist() == [[IGNORED] * 3, [0, 1, 2], [3, 4, 5], [IGNORED] * 3]


def test_targets_stand_at_speaking_tokens_of_every_window(tokenizers: dict[str, Any], tmp_path: Path) -> None:
    long = " ".join(tiny.TEXTS)
    encoded = encode(tokenizers["bert"], tmp_path, [long], 14)
    [read] = units(encoded, [long])
    numbers = np.arange(len(read))
    found = list(token_words.targets(read, numbers))
    assert [len(row) for row in found] == encoded.lengths.tolist()
    assert {number for row in found for number in row.tolist()} - {IGNORED} == set(numbers.tolist())
    for row in found:
        assert row[0] == row[-1] == IGNORED, "special tokens have no label"


@pytest.mark.parametrize("way", ["keep-ends", "keep-start", "keep-end"])
def test_words_that_are_cut_away_are_outside_for_certain(tokenizers: dict[str, Any], way: str, tmp_path: Path) -> None:
    long = " ".join(tiny.TEXTS)
    encoded = encode(tokenizers["bert"], tmp_path, [long], 14, long_text=way)
    [read] = units(encoded, [long])
    [window] = read.windows
    rows = np.tile([0.0, 1.0], (len(read.inside(window)), 1))
    found = token_words.joined(read, [rows])
    unread = read.tokens < 0
    assert unread.sum() == 1, "what is cut is one gap"
    assert (found[unread] == [1, 0]).all()
    assert (found[~unread] == [0, 1]).all()
    assert int(unread.argmax()) == {"keep-start": len(read) - 1, "keep-end": 0}.get(way, int(unread.argmax()))
    assert token_words.labels(read, [Span(0, len(long), "a")], ["O", "B-a", "I-a"], "iob2").tolist()[0] == 1


def test_of_two_windows_that_hold_a_word_the_one_with_more_around_it_counts() -> None:
    windows = (Window(1, 0, 6, 8), Window(1, 3, 6, 8))
    read = Units(np.array([[place, place + 1] for place in range(9)]), np.arange(9), windows)
    outputs = [np.full((6, 2), 0.1), np.full((6, 2), 0.9)]
    found = token_words.joined(read, outputs)[:, 1]
    assert found.tolist() == [0.1, 0.1, 0.1, 0.1, 0.1 if found[4] == 0.1 else 0.9, 0.9, 0.9, 0.9, 0.9]


def test_a_text_of_nothing_that_can_be_read_has_no_units(tokenizers: dict[str, Any], tmp_path: Path) -> None:
    encoded = encode(tokenizers["bert"], tmp_path, ["\u200e", "a"])
    first, second = units(encoded, ["\u200e", "a"])
    assert (len(first), len(second)) == (0, 1)
    assert token_words.joined(first, [np.zeros((0, 3))]).shape == (0, 3)
    assert token_words.labels(first, [], ["O"], "iob2").tolist() == []
