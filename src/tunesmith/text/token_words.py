"""From words to the tokens that speak for them, and from what a model gives for tokens back to spans of characters.

A word is spoken for by its last token, which a model that reads from left to right has read whole. A token may speak for
several words, most of all in scripts without spaces: it has a slot for each of the first few, and those that share a slot
are one unit, which can only have one label. Shapes: N units of a text, S slots of a token, O labels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.outputs import IGNORED
from tunesmith.text import answer_spans, spans, tags
from tunesmith.text.answer_spans import Passage, Window
from tunesmith.text.decoding import Rules
from tunesmith.text.encode import Encoded
from tunesmith.text.spans import Place, Span
from tunesmith.text.tags import Scheme

Floats = NDArray[np.floating]
Numbers = NDArray[np.int64]

_UNREAD = -1


@dataclass(frozen=True, eq=False)
class Units:
    """The units of one text.

    Args:
        places: first character and the one after the last of each; int, shape (N, 2).
        tokens: number of the token that speaks for each, among the tokens of the text; -1 where it was cut away.
        windows: in which the text is read.
        slots: in which of its token's slots each stands; None: there is only one.
    """

    places: Numbers
    tokens: Numbers
    windows: tuple[Window, ...]
    slots: Numbers | None = None

    def __len__(self) -> int:
        return len(self.places)

    def inside(self, window: Window) -> Numbers:
        """Numbers of the units that a window holds."""
        return np.flatnonzero((self.tokens >= window.first) & (self.tokens < window.first + window.size))

    def positions(self, window: Window) -> Numbers:
        """Where in the window's sequence the tokens of these units stand."""
        return self.tokens[self.inside(window)] - window.first + window.place

    def cells(self, window: Window, slots: int) -> Numbers:
        """The places of these units among all slots of the window's sequence, token by token."""
        inside = 0 if self.slots is None else self.slots[self.inside(window)]
        return self.positions(window) * slots + inside


def units(encoded: Encoded, words: Sequence[Sequence[Place]], slots: int = 1) -> Iterator[Units]:
    """The units of encoded texts, one after another.

    Args:
        encoded: texts with offsets.
        words: where the words of each text stand.
        slots: S.
    """
    passages = answer_spans.passages(encoded, part=0)
    for passage, places, left_out in zip(passages, words, encoded.left_out.tolist(), strict=True):
        yield _units(passage, np.array(places, np.int64).reshape(-1, 2), slots, cut=left_out > 0)


def labels(text: Units, marked: Sequence[Span], names: Sequence[str], scheme: Scheme) -> Numbers:
    """The label of each unit, (N,).

    Args:
        text: its units.
        marked: spans of characters that do not overlap; each is given to all units that it touches.
        names: the labels.
        scheme: that the labels are of.
    """
    number = {name: place for place, name in enumerate(names)}
    return np.array([number[tag] for tag in tags.write(touched(text, marked), len(text), scheme)], np.int64)


def touched(text: Units, marked: Sequence[Span]) -> list[Span]:
    """Spans of characters as spans of the units that they touch; of two that touch the same unit, the first has it."""
    found: list[Span] = []
    free = 0
    for start, end, name in sorted(marked):
        first = max(free, int(np.searchsorted(text.places[:, 1], start, side="right")))
        last = int(np.searchsorted(text.places[:, 0], end, side="left"))
        if first < last:
            found.append(Span(first, last, name))
            free = last
    return found


def targets(text: Units, numbers: Numbers, slots: int = 1) -> Iterator[Numbers]:
    """What to learn of each token of each window, (its tokens,) or (its tokens, S): the labels of the units it speaks for."""
    for window in text.windows:
        codes = np.full(window.length * slots, IGNORED, np.int64)
        codes[text.cells(window, slots)] = numbers[text.inside(window)]
        yield codes if slots == 1 else codes.reshape(-1, slots)


def joined(text: Units, outputs: Sequence[Floats]) -> Floats:
    """What is given for each unit, (N, O): by the window where it stands farthest from an edge that is none of the text's.

    Args:
        text: its units.
        outputs: of each window, for its units, (units inside, O); the first output is "outside".

    Returns:
        Units that were cut away are outside for certain.
    """
    found = np.zeros((len(text), outputs[0].shape[1] if outputs else 1))
    found[:, 0] = 1.0
    best = np.full(len(text), -1)
    end = max(window.first + window.size for window in text.windows)
    for window, rows in zip(text.windows, outputs, strict=True):
        inside = text.inside(window)
        own = text.tokens[inside]
        before = own - window.first if window.first else np.full(len(own), end)
        after = window.first + window.size - 1 - own if window.first + window.size < end else np.full(len(own), end)
        depth = np.minimum(before, after)
        better = depth > best[inside]
        found[inside[better]] = rows[better]
        best[inside[better]] = depth[better]
    return found


@functools.cache
def rules(names: tuple[str, ...], scheme: Scheme) -> Rules:
    """Which label of a scheme may come first, after which, and last."""
    outside, parsed = tags.parse("O"), [tags.parse(name) for name in names]
    return Rules(
        first=np.array([tags.follows(outside, tag, scheme) for tag in parsed]),
        after=np.array([[tags.follows(before, tag, scheme) for tag in parsed] for before in parsed]),
        last=np.array([tags.follows(tag, outside, scheme) for tag in parsed]),
    )


def _units(passage: Passage, words: Numbers, slots: int, *, cut: bool) -> Units:
    read = np.flatnonzero(passage.ends > passage.starts)
    starts, ends = passage.starts[read], passage.ends[read]
    first = np.searchsorted(ends, words[:, 0], side="right")
    last = np.searchsorted(starts, words[:, 1], side="left") - 1
    there = first <= last
    tokens = np.full(len(words), _UNREAD)
    tokens[there] = read[last[there]]
    if not cut:  # what the tokenizer makes nothing of, such as a mark of direction, is in no unit
        words, tokens = words[there], tokens[there]
    inside = np.where(tokens >= 0, np.minimum(_places_in_runs(tokens), slots - 1), 0)
    begins = np.flatnonzero(_changes(tokens) | _changes(inside))
    finishes = np.append(begins[1:], len(tokens))[: len(begins)] - 1
    places = np.stack([words[begins, 0], words[finishes, 1]], axis=1)
    return Units(places, tokens[begins], passage.windows, inside[begins])


def _changes(values: Numbers) -> NDArray[np.bool_]:
    """Whether each value differs from the one before; the first does."""
    return np.concatenate([np.ones(min(1, len(values)), bool), values[1:] != values[:-1]])


def _places_in_runs(values: Numbers) -> Numbers:
    """The place of each value among equal ones that stand together.

    >>> _places_in_runs(np.array([7, 7, 7, 3, 7])).tolist()
    [0, 1, 2, 0, 0]
    """
    numbers = np.arange(len(values))
    return numbers - np.maximum.accumulate(np.where(_changes(values), numbers, 0))


def words_of(text: str, given: Sequence[str] | None) -> list[Place]:
    """Where the words of a text stand: as given, else as it is split."""
    if given is None:
        return spans.split(text)
    places = spans.locate(given, text)
    assert places is not None, "rows whose words are not those of their text are refused"
    return places
