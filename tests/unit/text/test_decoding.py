"""The likeliest legal sequence is the one that trying all of them finds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tunesmith.text import decoding, tags, token_words
from tunesmith.text.decoding import Rules
from tunesmith.text.tags import Scheme

Path = tuple[int, ...]


def best_of_all(scores: np.ndarray, rules: Rules) -> tuple[float, Path]:
    """Highest sum of scores over the legal paths, and a path that has it, by trying every one."""
    length, labels = scores.shape
    legal = (
        path for path in itertools.product(range(labels), repeat=length) if decoding.is_legal(np.array(path), rules)
    )
    return max((sum(scores[place, label] for place, label in enumerate(path)), path) for path in legal)


def some_rules(random: np.random.Generator, labels: int) -> Rules:
    """Rules under which the first label is always legal."""
    first, last, after = (random.random(shape) < 0.6 for shape in (labels, labels, (labels, labels)))
    first[0] = last[0] = True
    after[0], after[:, 0] = True, True
    return Rules(first, after, last)


@pytest.mark.parametrize("seed", range(40))
def test_decoding_finds_what_trying_all_finds(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = int(random.integers(2, 5))
    rules = some_rules(random, labels)
    rows = [random.dirichlet(np.ones(labels), size=int(length)) for length in random.integers(1, 6, size=6)]
    for row, path in zip(rows, decoding.decode(rows, rules), strict=True):
        value, _ = best_of_all(np.log(row), rules)
        assert decoding.is_legal(path, rules)
        assert np.log(row)[np.arange(len(row)), path].sum() == pytest.approx(value)


def test_a_legal_greedy_path_is_taken_as_it_is() -> None:
    rules = token_words.rules(("O", "B-a", "I-a"), "iob2")
    sure = np.array([[0.1, 0.9, 0.0], [0.2, 0.0, 0.8], [1.0, 0.0, 0.0]])
    assert decoding.decode([sure], rules)[0].tolist() == [1, 2, 0]


def test_certain_but_illegal_labels_give_way() -> None:
    rules = token_words.rules(("O", "B-a", "I-a"), "iob2")
    impossible = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    [path] = decoding.decode([impossible], rules)
    assert decoding.is_legal(path, rules)


def test_rows_of_many_lengths_are_told_apart_and_empty_ones_stay_empty() -> None:
    random = np.random.default_rng(0)
    rules = token_words.rules(tuple(tags.labels(["a", "b"], "iobes")), "iobes")
    rows = [random.dirichlet(np.ones(9), size=size) for size in (7, 0, 1, 30, 0, 2)]
    together = decoding.decode(rows, rules)
    assert [len(path) for path in together] == [7, 0, 1, 30, 0, 2]
    for row, path in zip(rows, together, strict=True):
        assert path.tolist() == decoding.decode([row], rules)[0].tolist()


@pytest.mark.parametrize("scheme", ["iob2", "iobes", "io", "iob1"])
def test_whatever_the_probabilities_no_tag_breaks_its_scheme(scheme: Scheme) -> None:
    random = np.random.default_rng(1)
    names = tuple(tags.labels(["a", "b"], scheme))
    rows = [random.dirichlet(np.full(len(names), 0.3), size=int(size)) for size in random.integers(1, 20, size=300)]
    for path in decoding.decode(rows, token_words.rules(names, scheme)):
        assert tags.illegal([names[number] for number in path], scheme) == []
