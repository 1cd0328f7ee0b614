"""The likeliest sequence of labels that keeps to the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST = 1e-30
_BATCH_CELLS = 1 << 22

Floats = NDArray[np.floating]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rules:
    """Which label may come first, after which, and last.

    Args:
        first: bool, shape (O,).
        after: bool, shape (O, O): ``after[a, b]`` says whether b may follow a.
        last: bool, shape (O,).
    """

    first: NDArray[np.bool_]
    after: NDArray[np.bool_]
    last: NDArray[np.bool_]


def decode(probabilities: Sequence[Floats], rules: Rules) -> list[Numbers]:
    """Of each row, the legal sequence of labels with the largest product of probabilities.

    Where the likeliest label of each place makes a legal sequence, it is that one, and nothing has to be searched;
    elsewhere Viterbi's algorithm (Viterbi 1967) finds it. Over the marginal probabilities of a conditional random field
    it is the posterior decoding of Fariselli et al. 2005.

    Args:
        probabilities: of each row, shape (its length, O).
        rules: what is legal. From any label some legal sequence must go on and end.

    Returns:
        Label numbers of each row, shape (its length,).
    """
    paths: list[Numbers] = [np.asarray(row).argmax(1) if len(row) else np.zeros(0, np.int64) for row in probabilities]
    broken = [row for row, path in enumerate(paths) if not is_legal(path, rules)]
    broken.sort(key=lambda row: -len(paths[row]))
    start = 0
    while start < len(broken):
        length, outputs = probabilities[broken[start]].shape
        end = start + max(1, _BATCH_CELLS // (length * outputs))
        rows = broken[start:end]
        for row, path in zip(rows, viterbi([_log(probabilities[row]) for row in rows], rules), strict=True):
            paths[row] = path
        start = end
    return paths


def is_legal(path: Numbers, rules: Rules) -> bool:
    """Whether a sequence of labels keeps to the rules; an empty one does."""
    if not len(path):
        return True
    return bool(rules.first[path[0]] and rules.last[path[-1]] and rules.after[path[:-1], path[1:]].all())


def viterbi(scores: Sequence[Floats], rules: Rules) -> list[Numbers]:
    """The legal sequence with the largest sum of scores, of rows (length, O) whose lengths fall from first to last."""
    lengths = np.array([len(row) for row in scores])
    outputs = rules.after.shape[0]
    ways = np.where(rules.after, 0.0, -np.inf)
    padded = np.zeros((len(scores), lengths[0], outputs))
    for place, row in enumerate(scores):
        padded[place, : len(row)] = row
    best = padded[:, 0] + np.where(rules.first, 0.0, -np.inf)
    came_from = np.zeros(padded.shape, np.int64)
    for step in range(1, lengths[0]):
        active = int((lengths > step).sum())
        through = best[:active, :, None] + ways
        came_from[:active, step] = through.argmax(1)
        best[:active] = through.max(1) + padded[:active, step]
    best += np.where(rules.last, 0.0, -np.inf)
    return [_traced(came_from[row], best[row], length) for row, length in enumerate(lengths.tolist())]


def _traced(came_from: Numbers, best: Floats, length: int) -> Numbers:
    path = np.zeros(length, np.int64)
    path[-1] = best.argmax()
    for step in range(length - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return path


def _log(probabilities: Floats) -> Floats:
    found: Floats = np.log(np.maximum(probabilities, _LEAST, dtype=np.float64))
    return found
