"""From answers in a text to the tokens that they are made of, and from scores of tokens back to the likeliest answers.

A question and its context are read together; a long context in several windows, each behind the question. The first
token of a sequence stands for "the answer is not in this window": the null position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.outputs import END, IGNORED, START
from tunesmith.text.encode import Encoded

NULL = 0
"""The null position: the place in a sequence that both marks of "no answer here" stand at."""

NO_PLACE = -1
"""Start and end of the candidate that says "no answer"."""

CONTEXT = 1
"""The context is the second of the two texts."""

_TRIED = 32  # cells looked at for each candidate, before all are


@dataclass(frozen=True)
class Window:
    """The context tokens of one sequence.

    Args:
        place: of the first of them in the sequence.
        first: its number in the context.
        size: how many there are.
        length: tokens of the whole sequence.
    """

    place: int
    first: int
    size: int
    length: int


@dataclass(frozen=True)
class Passage:
    """The context of one row as tokens.

    Args:
        starts: first character of each token; int, shape (N,).
        ends: the character after each token; int, shape (N,).
        windows: that it is read in, in their order.
    """

    starts: np.ndarray
    ends: np.ndarray
    windows: tuple[Window, ...]

    def tokens(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last token that the characters ``start`` to ``end`` touch; None where there is none."""
        touched = np.flatnonzero((self.ends > start) & (self.starts < end) & (self.ends > self.starts))
        return (int(touched[0]), int(touched[-1])) if len(touched) else None


def passages(encoded: Encoded, part: int = CONTEXT) -> Iterator[Passage]:
    """One of the texts of each encoded row, such as the context of question and context; ``encoded`` has offsets."""
    if not len(encoded):
        return
    columns = [encoded.lists(name) for name in ("starts", "ends", "part")]
    firsts = encoded.table["first"].to_numpy()
    for group in np.split(np.arange(len(encoded)), np.flatnonzero(np.diff(encoded.rows)) + 1):
        starts, ends, parts = (column.take(group) for column in columns)
        windows = tuple(_window(own == part, first) for own, first in zip(parts, firsts[group].tolist(), strict=True))
        yield Passage(_joined(starts, windows), _joined(ends, windows), windows)


def targets(passage: Passage, answers: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """What to learn of each window, as ``heads.spans.span_cross_entropy`` takes it.

    Args:
        passage: the context.
        answers: first character and the one after the last of each answer, the preferred first.

    Returns:
        int64, shape (tokens of the sequence,), one a window. Marked is the first answer that is wholly in the window, else
        the null position.
    """
    spans = [span for answer in answers if (span := passage.tokens(*answer))]
    return [_window_targets(window, spans) for window in passage.windows]


def inside(window: Window, span: tuple[int, int]) -> bool:
    """Whether a window holds all of a span of context tokens."""
    return window.first <= span[0] and span[1] < window.first + window.size


def candidates(
    passage: Passage, outputs: Sequence[np.ndarray], *, count: int, max_tokens: int, null: bool
) -> np.ndarray:
    """The likeliest answers over all windows of a row.

    Of every window the score of a span is that of its start plus that of its end, less the same of the null position.
    So scores of different windows compare, whatever constant each adds to its own; of a span that is in several windows
    the highest counts. The softmax over all spans of the row, and "no answer" with score 0, gives probabilities.

    Args:
        passage: the context.
        outputs: scores of start and end, float, shape (tokens, 2), of the sequence of each window.
        count: most answers to return.
        max_tokens: most tokens of an answer.
        null: whether "no answer" is a candidate.

    Returns:
        float64, shape (K, 3): probability, first character, the character after the last, likeliest first. With ``null``,
        and where the context has no tokens, the last one is "no answer", with ``NO_PLACE`` for both characters.
    """
    grid = _grid(passage, outputs, max_tokens)
    possible = np.isfinite(grid).any()
    highest = max(float(grid.max(initial=-np.inf)), 0.0 if null or not possible else -np.inf)
    weights = np.exp(grid - highest)
    null_weight = np.exp(-highest) if null or not possible else 0.0
    total = weights.sum() + null_weight
    found = [
        (weights[first, more] / total, passage.starts[first], passage.ends[first + more])
        for first, more in _best(grid, passage, count)
    ]
    if null or not possible:
        found.append((null_weight / total, NO_PLACE, NO_PLACE))
    return np.array(found, dtype=np.float64)


def null_share(found: np.ndarray) -> float:
    """How likely "no answer" is beside the best answer alone, in [0, 1]; 0 where it is no candidate."""
    null, best = found[found[:, 1] == NO_PLACE, 0], found[found[:, 1] != NO_PLACE, 0]
    if not len(null) or not len(best):
        return float(len(null))
    return float(null[0] / (null[0] + best.max()))


def decided(found: np.ndarray, threshold: float) -> np.ndarray:
    """Candidates with the answer first: "no answer" where its share reaches the threshold; the others by probability."""
    is_null = found[:, 1] == NO_PLACE
    null_first = bool(is_null.any()) and (null_share(found) >= threshold or bool(is_null.all()))
    order = np.lexsort((np.arange(len(found)), -found[:, 0]))
    answer = next(index for index in order.tolist() if is_null[index] == null_first)
    return found[[answer, *(index for index in order.tolist() if index != answer)]]


def moved(then: np.ndarray, now: np.ndarray) -> float:
    """Largest change of a candidate's probability; one that is no longer listed has at most that of the least likely one."""
    least = float(now[:, 0].min())
    listed = {(start, end): probability for probability, start, end in now.tolist()}
    changes = (
        abs(probability - listed.get((start, end), min(probability, least)))
        for probability, start, end in then.tolist()
    )
    return float(max(changes))


def best_threshold(shares: np.ndarray, with_answer: np.ndarray, with_null: np.ndarray) -> float:
    """The share of "no answer" from which saying so scores best; of equally good ones the nearest to a half.

    Args:
        shares: ``null_share`` of each row; shape (n,).
        with_answer: score of each row if the best answer is given; shape (n,).
        with_null: score of each row if "no answer" is given; shape (n,).

    >>> best_threshold(np.array([0.9, 0.7, 0.1]), np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0]))
    0.8
    """
    order = np.argsort(-shares, kind="stable")
    edges = np.concatenate([[1.0], shares[order], [0.0]])
    gains = np.concatenate([[0.0], np.cumsum((with_null - with_answer)[order])])
    middles = (edges[:-1] + edges[1:]) / 2
    apart = edges[:-1] > edges[1:]
    apart[-1] = True  # from 0 on, everything is
    best = gains[apart].max()
    return float(min(middles[apart & (gains >= best - 1e-9)].tolist(), key=lambda middle: abs(middle - 0.5)))


def _window(own: np.ndarray, first: int) -> Window:
    places = np.flatnonzero(own)
    return Window(int(places[0]) if len(places) else 0, first, len(places), len(own))


def _joined(values: Sequence[np.ndarray], windows: Sequence[Window]) -> np.ndarray:
    """One value for each context token, from the windows that hold it."""
    joined = np.zeros(max(window.first + window.size for window in windows), dtype=np.int64)
    for row, window in zip(values, windows, strict=True):
        joined[window.first : window.first + window.size] = row[window.place : window.place + window.size]
    return joined


def _window_targets(window: Window, spans: Sequence[tuple[int, int]]) -> np.ndarray:
    codes = np.full(window.length, IGNORED, dtype=np.int64)
    codes[window.place : window.place + window.size] = 0
    codes[NULL] = 0
    shift = window.place - window.first
    first, last = next(((a + shift, b + shift) for a, b in spans if inside(window, (a, b))), (NULL, NULL))
    codes[first] |= START
    codes[last] |= END
    return codes


def _grid(passage: Passage, outputs: Sequence[np.ndarray], max_tokens: int) -> np.ndarray:
    """Score of the span from token i over l more tokens, shape (N, L); -inf where there is none."""
    count = len(passage.starts)
    width = max(1, min(max_tokens, count))
    grid = np.full((count, width), -np.inf)
    for window, scores in zip(passage.windows, outputs, strict=True):
        own = scores[window.place : window.place + window.size].astype(np.float64)
        spans = own[:, :1] + _ahead(own[:, 1], width, -np.inf) - scores[NULL].astype(np.float64).sum()
        rows = grid[window.first : window.first + window.size]
        np.maximum(rows, spans, out=rows)
    grid[_ahead(passage.ends, width, NO_PLACE) <= passage.starts[:, None]] = -np.inf
    return grid


def _ahead(values: np.ndarray, width: int, beyond: float) -> np.ndarray:
    """The values from each place on, shape (N, width), with ``beyond`` past the end."""
    padded = np.concatenate([values, np.full(width - 1, beyond, dtype=values.dtype)])
    return np.lib.stride_tricks.sliding_window_view(padded, width)[: len(values)] if len(values) else padded[:0, None]


def _best(grid: np.ndarray, passage: Passage, count: int) -> list[tuple[int, int]]:
    """Cells of the highest scores, best first, of each piece of text once: several tokens may share a character."""
    flat = grid.ravel()
    few = (
        np.argpartition(-flat, _TRIED * count)[: _TRIED * count] if len(flat) > _TRIED * count else np.arange(len(flat))
    )
    found = _distinct(few, grid, passage, count)
    return (
        found if len(found) == count or len(few) == len(flat) else _distinct(np.arange(len(flat)), grid, passage, count)
    )


def _distinct(cells: np.ndarray, grid: np.ndarray, passage: Passage, count: int) -> list[tuple[int, int]]:
    scores = grid.ravel()[cells]
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for place in np.lexsort((cells, -scores)).tolist():
        if len(found) == count or scores[place] == -np.inf:
            break
        first, more = divmod(int(cells[place]), grid.shape[1])
        found.setdefault((int(passage.starts[first]), int(passage.ends[first + more])), (first, more))
    return list(found.values())
