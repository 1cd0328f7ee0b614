"""Embeddings as numbers: ranks against a plain search."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith import embeddings


def search(pairs: np.ndarray, texts: list[str], seconds: list[str]) -> list[int]:
    """Ranks by looking at every candidate of every row."""
    unit = pairs / np.linalg.norm(pairs, axis=2, keepdims=True)
    found = []
    for row, text in enumerate(texts):
        right = {second for first, second in zip(texts, seconds, strict=True) if first == text}
        others = {second: at for at, second in enumerate(seconds) if second not in right}
        own = unit[row, 0] @ unit[row, 1]
        found.append(1 + sum(unit[row, 0] @ unit[at, 1] >= own for at in others.values()))
    return found


@pytest.mark.parametrize("cells", [10**6, 50])
def test_ranks_are_those_of_a_plain_search(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "_CELLS_AT_ONCE", cells)
    random = np.random.default_rng(0)
    numbers = random.integers(0, 20, (40, 2))
    texts, seconds = [f"a{n}" for n in numbers[:, 0]], [f"b{n}" for n in numbers[:, 1]]
    of_text = {text: random.normal(size=5) for text in {*texts, *seconds}}
    pairs = np.array([[of_text[text], of_text[second]] for text, second in zip(texts, seconds, strict=True)])
    places, nearest = embeddings.ranks(pairs, texts, seconds)
    assert places.tolist() == search(pairs, texts, seconds)
    assert 1 < places.mean() < 20
    for row, (place, near) in enumerate(zip(places.tolist(), nearest.tolist(), strict=True)):
        assert (place == 1) == (near == row)


def test_the_text_found_first_is_told() -> None:
    pairs = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], float)
    places, nearest = embeddings.ranks(pairs, ["a", "b"], ["c", "d"])
    assert places.tolist() == [2, 2]
    assert nearest.tolist() == [1, 0]


def test_embeddings_that_are_all_alike_earn_nothing() -> None:
    places, _ = embeddings.ranks(np.ones((3, 2, 4)), ["a", "b", "c"], ["d", "e", "f"])
    assert places.tolist() == [3, 3, 3]
    assert embeddings.ranks(np.ones((1, 2, 4)), ["a"], ["d"])[0].tolist() == [1]


def test_one_text_that_is_no_number_stays_finite() -> None:
    assert embeddings.cosines(np.zeros((1, 2, 3))).tolist() == [0.0]
