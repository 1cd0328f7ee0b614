"""Exact curves equal what drawing gives, and what the formulas give when written out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tunesmith.explaining import curves, exact
from tunesmith.explaining.curves import OFF, Asking
from tunesmith.explaining.paths import Path
from tunesmith.generation.sampler import Row, draw, process

DRAWS, ERRORS = 400, 4.0
Array = np.ndarray

CASES: list[tuple[str, Any]] = [
    ("temperature", 0.6),
    ("temperature", 1.4),
    ("top_k", 5),
    ("top_p", 0.8),
    ("min_p", 0.1),
    ("typical_p", 0.6),
    ("repetition_penalty", 1.4),
    ("frequency_penalty", 1.5),
    ("presence_penalty", 1.5),
]


def softmax(z: Array) -> Array:
    weights = np.exp(z - z.max())
    return weights / weights.sum()


def only(p: Array, keep: Any) -> Array:
    kept = np.zeros_like(p)
    kept[keep] = p[keep]
    return kept / kept.sum()


def written_out(name: str, value: Any, z: Array, prompt: list[int], output: list[int]) -> Array:
    """Each formula as its paper has it, one place at a time."""
    p, order = softmax(z), np.argsort(-z)
    if name == "temperature":
        return softmax(z / value)
    if name == "top_k":
        return only(p, z >= np.sort(z)[-value])
    if name == "top_p":
        return only(p, order[: int(np.searchsorted(p[order].cumsum(), value)) + 1])
    if name == "min_p":
        return only(p, p >= value * p.max())
    if name == "typical_p":
        surprise = np.abs(-np.log(p) + (p * np.log(p)).sum())
        typical = np.argsort(surprise)
        return only(p, typical[: int(np.searchsorted(p[typical].cumsum(), value)) + 1])
    changed = z.copy()
    for token in set(prompt + output):
        if name == "repetition_penalty":
            changed[token] = z[token] / value if z[token] > 0 else z[token] * value
        elif name == "frequency_penalty":
            changed[token] -= value * output.count(token)
        elif token in output:
            changed[token] -= value
    return softmax(changed)


def places(asking: Asking, paths: list[Path], logits: Any) -> Iterator[tuple[Row, torch.Tensor, exact.Next]]:
    """The last place of each path, with the distribution there."""
    for path in paths:
        row = dataclasses.replace(asking.row(asking.values[0], path), output=list(path.output[:-1]))
        z = logits.along(path)[-1:]
        yield row, z, exact.distribution(z, [row])


def drawn(row: Row, number: int) -> list[Row]:
    """The row many times, with seeds that no other prompt has: the errors of prompts are then independent."""
    return [dataclasses.replace(row, seed=number * DRAWS + seed) for seed in range(DRAWS)]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_a_distribution_is_its_formula(
    name: str, value: Any, asking: Callable[..., Asking], paths: list[Path], logits: Any
) -> None:
    for row, z, found in places(asking(name, value), paths, logits):
        expected = written_out(name, value, z[0].double().numpy(), list(row.prompt), row.output)
        np.testing.assert_allclose(found.p[0].numpy(), expected, atol=1e-6)
        assert found.open[0].tolist() == (expected > 0).tolist()


@pytest.mark.parametrize(("name", "value"), CASES)
def test_curves_are_the_formulas_on_every_place(
    name: str, value: Any, asking: Callable[..., Asking], paths: list[Path], logits: Any
) -> None:
    found = curves.trace(asking(name, value, OFF[name]), paths, logits)
    entropy, nucleus, kept, flips, distance = [], [], [], [], []
    for path in paths:
        for step in range(len(path.output)):
            z = logits.along(path)[step].double().numpy()
            p = written_out(name, value, z, list(path.prompt), list(path.output[:step]))
            was = softmax(z)
            entropy.append(-(p[p > 0] * np.log(p[p > 0])).sum())
            nucleus.append((p > 0).sum())
            kept.append(was[p > 0].sum())
            flips.append(p.argmax() != was.argmax())
            distance.append(np.abs(p - was).sum() / 2)
    for measure, expected in {"entropy": entropy, "nucleus": nucleus, "kept": kept, "flip": flips}.items():
        np.testing.assert_allclose(found.measures[measure][0], np.array(expected, float), atol=1e-6)
    np.testing.assert_allclose(found.measures["distance"][0], distance, atol=1e-6)
    assert found.measures["distance"][1].max() == 0  # switched off
    assert found.places == len(entropy) == 50 * 6


@pytest.mark.parametrize(("name", "value"), CASES)
def test_curves_equal_drawing_within_sampling_error(
    name: str, value: Any, asking: Callable[..., Asking], paths: list[Path], logits: Any
) -> None:
    """On each of fifty prompts the tokens drawn with many seeds are as frequent as the exact probabilities say.

    Chi-square over all prompts: its mean is the degrees of freedom, its standard error the root of twice that. What can
    never be drawn is never drawn. The mean surprise of the draws is the entropy, within four standard errors.
    """
    square, freedom, clear, surprises, entropies, variance = 0.0, 0, 0, [], [], 0.0
    for number, (row, z, found) in enumerate(places(asking(name, value), paths, logits)):
        p = found.p[0].numpy()
        rows = drawn(row, number)
        tokens = np.array(draw(process(z.expand(DRAWS, -1), rows), rows))
        counts = np.bincount(tokens, minlength=len(p))
        assert counts[~found.open[0].numpy()].sum() == 0
        assert (counts[DRAWS * p > 25] > 0).all()  # what is in the nucleus comes
        second, first = np.sort(p)[-2:]
        if DRAWS * (first - second) > ERRORS * np.sqrt(DRAWS * (first + second)):
            assert counts.argmax() == int(found.best[0])
            clear += 1
        often = DRAWS * p >= 5
        seen = np.append(counts[often], counts[~often].sum())
        expected = np.append(DRAWS * p[often], DRAWS * p[~often].sum())
        seen, expected = seen[expected > 1], expected[expected > 1]
        square += float(((seen - expected) ** 2 / expected).sum())
        freedom += len(expected) - 1
        surprise = -np.log(p[tokens])
        surprises.append(surprise.mean())
        entropies.append(-(p[p > 0] * np.log(p[p > 0])).sum())
        variance += (p[p > 0] * np.log(p[p > 0]) ** 2).sum() - entropies[-1] ** 2
    assert freedom > 50
    assert clear > 5
    assert abs(square - freedom) < ERRORS * np.sqrt(2 * freedom)
    error = np.sqrt(variance / DRAWS) / len(surprises)
    assert abs(np.mean(surprises) - np.mean(entropies)) < ERRORS * max(error, 1e-9)


def test_xtc_is_the_mixture_of_what_chance_does(asking: Callable[..., Asking], paths: list[Path], logits: Any) -> None:
    share = 0.3
    asked = asking("xtc_probability", share, xtc_threshold=0.1, temperature=1.0)
    square, freedom = 0.0, 0
    for number, (row, z, found) in enumerate(places(asked, paths, logits)):
        rows = drawn(row, number)
        tokens = draw(process(z.expand(DRAWS, -1), rows), rows)
        p = found.p[0].numpy()
        assert p.sum() == pytest.approx(1)
        often = DRAWS * p >= 5
        counts = np.bincount(tokens, minlength=len(p))[often]
        square += float(((counts - DRAWS * p[often]) ** 2 / (DRAWS * p[often] * (1 - p[often] + 1e-12))).sum())
        freedom += int(often.sum())
    assert abs(square - freedom) < ERRORS * np.sqrt(2 * freedom)


def test_greedy_puts_all_on_the_likeliest(asking: Callable[..., Asking], paths: list[Path], logits: Any) -> None:
    found = curves.trace(asking("temperature", 0.0), paths, logits)
    assert found.mean("entropy") == [0]
    assert found.mean("nucleus") == [1]
    assert found.mean("flip") == [0]
    np.testing.assert_allclose(found.measures["kl"][0], -np.log(found.measures["kept"][0]), atol=1e-9)


def test_a_truncation_loses_the_logarithm_of_what_it_keeps(
    asking: Callable[..., Asking], paths: list[Path], logits: Any
) -> None:
    found = curves.trace(asking("top_k", 3, 10), paths, logits)
    np.testing.assert_allclose(found.measures["kl"], -np.log(found.measures["kept"]), atol=1e-6)
    np.testing.assert_allclose(found.measures["kept"] + found.measures["cut"], 1)
    np.testing.assert_allclose(found.measures["distance"], found.measures["cut"], atol=1e-6)


def test_expected_length_is_that_of_answers_that_end_by_chance() -> None:
    hazards = np.array([0.1, 0.0, 0.5, 0.3])
    length, ended = exact.endings(hazards)
    chance = np.random.default_rng(0).random((200_000, 4)) < hazards
    first = np.where(chance.any(1), chance.argmax(1) + 1, 4)
    assert length == pytest.approx(first.mean(), abs=0.01)
    assert ended == pytest.approx(chance.any(1).mean(), abs=0.01)
