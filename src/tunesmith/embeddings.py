"""Embeddings as numbers: how near two are, and which of many is the nearest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_CELLS_AT_ONCE = 4_000_000


def directions(embeddings: np.ndarray) -> np.ndarray:
    """Embeddings (..., D) of length 1; one of length 0 stays.

    >>> directions(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    found: np.ndarray = embeddings / np.where(lengths > 0, lengths, 1)
    return found


def cosines(pairs: np.ndarray) -> np.ndarray:
    """Cosine of each pair of embeddings (rows, 2, D); (rows,).

    >>> cosines(np.array([[[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [0.0, 5.0]]])).tolist()
    [1.0, 0.0]
    """
    both = directions(pairs)
    found: np.ndarray = (both[:, 0] * both[:, 1]).sum(1)
    return found


def ranks(pairs: np.ndarray, texts: Sequence[str], seconds: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The place of each row's second text among the second texts of all rows, sorted by how near they are to its first.

    Each text is a candidate once. Other right texts of the same first text are passed over, and candidates that are as
    near as the right one stand before it, so that embeddings which are all alike earn nothing.

    Args:
        pairs: embeddings of both texts, (rows, 2, D).
        texts: the first texts.
        seconds: the second texts.

    Returns:
        The place, from 1, and the number of a row whose second text comes first; both int64, (rows,).
    """
    both = directions(pairs)
    _, first, own = np.unique(np.array(seconds, object), return_index=True, return_inverse=True)
    asking, candidates = both[:, 0], both[first, 1]
    right: dict[str, list[int]] = {}
    for text, answer in zip(texts, own.tolist(), strict=True):
        right.setdefault(text, []).append(answer)
    places, nearest = np.empty(len(both), np.int64), np.empty(len(both), np.int64)
    step = max(1, _CELLS_AT_ONCE // len(candidates))
    for rows in np.split(np.arange(len(both)), range(step, len(both), step)):
        near = asking[rows] @ candidates.T
        wanted = near[np.arange(len(rows)), own[rows]]
        for line, row in zip(near, rows.tolist(), strict=True):
            line[right[texts[row]]] = -np.inf
        places[rows] = 1 + (near >= wanted[:, None]).sum(1)
        nearest[rows] = np.where(places[rows] == 1, rows, first[near.argmax(1)])
    return places, nearest
