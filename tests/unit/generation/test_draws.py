"""Draws follow each sampler's formula, computed here anew with numpy; random numbers are even and independent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import chisquare, kstest

from tunesmith.generation import sampler
from tunesmith.generation.request import GenerationRequest as Request
from tunesmith.generation.sampler import SAMPLERS, Row, Vocabulary, draw, process, uniform

DRAWS, CHUNK, SIZE = 100_000, 5000, 40
PROMPT, OUTPUT = [1, 2, 3, 9, 2, 3], [4, 5, 4, 5, 4]
ENDS, WORDS = Vocabulary(ends=frozenset([0])), Vocabulary(bad_words=((7,), (4, 11), (9, 12)))
Z = 2 * np.random.default_rng(5).standard_normal(SIZE)
Floats = NDArray[np.float64]
Formula = Callable[[Floats], Floats]


def soft(z: Floats) -> Floats:
    weights = np.exp(z - z.max())
    found: Floats = weights / weights.sum()
    return found


def entropy(p: Floats) -> float:
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def only(z: Floats, keep: NDArray[np.bool_]) -> Floats:
    return np.where(keep, z, -np.inf)


def fewest(z: Floats, order: NDArray[np.int64], mass: float) -> Floats:
    """Tokens in their order until their probabilities sum to a mass."""
    p, keep, total = soft(z), np.zeros(SIZE, bool), 0.0
    for token in order:
        keep[token] = True
        total += p[token]
        if total >= mass:
            break
    return only(z, keep)


def but(z: Floats, *tokens: int) -> Floats:
    return only(z, ~np.isin(np.arange(SIZE), tokens))


def plus(z: Floats, changes: dict[int, float]) -> Floats:
    return z + np.array([changes.get(token, 0.0) for token in range(SIZE)])


def typical(z: Floats) -> Floats:
    p = soft(z)
    return fewest(z, np.argsort(np.abs(-np.log(p) - entropy(p)), kind="stable"), 0.6)


def sigma(z: Floats) -> Floats:
    return only(z, z >= z.max() - 1.1 * z.std())


def repeated(z: Floats) -> Floats:
    return np.array([(x / 1.5 if x > 0 else x * 1.5) if t in {*PROMPT, *OUTPUT} else x for t, x in enumerate(z)])


COUNTS = {4: 3, 5: 2}
# DRY: 4 5 4 was followed by 5 (three tokens repeat), nothing else repeats as much.
FORMULAS: dict[str, tuple[dict[str, Any], Formula]] = {
    "temperature": ({"temperature": 1.7}, lambda z: z / 1.7),
    "top_k": ({"top_k": 6}, lambda z: only(z, z >= np.sort(z)[-6])),
    "top_p": ({"top_p": 0.8}, lambda z: fewest(z, np.argsort(-z), 0.8)),
    "min_p": ({"min_p": 0.05}, lambda z: only(z, soft(z) >= 0.05 * soft(z).max())),
    "typical_p": ({"typical_p": 0.6}, typical),
    "top_n_sigma": ({"top_n_sigma": 1.1}, sigma),
    "epsilon_cutoff": ({"epsilon_cutoff": 0.02}, lambda z: only(z, soft(z) >= 0.02)),
    "eta_cutoff": (
        {"eta_cutoff": 0.05},
        lambda z: only(z, soft(z) >= min(0.05, np.sqrt(0.05) * np.exp(-entropy(soft(z))))),
    ),
    "repetition_penalty": ({"repetition_penalty": 1.5}, repeated),
    "frequency_penalty": ({"frequency_penalty": 0.4}, lambda z: plus(z, {t: -0.4 * n for t, n in COUNTS.items()})),
    "presence_penalty": ({"presence_penalty": -0.7}, lambda z: plus(z, dict.fromkeys(COUNTS, 0.7))),
    "dry": ({"dry_multiplier": 0.5, "dry_base": 1.6}, lambda z: plus(z, {5: -0.5 * 1.6 ** (3 - 2)})),
    "no_repeat_ngram_size": ({"no_repeat_ngram_size": 3}, lambda z: but(z, 5)),
    "logit_bias": ({"logit_bias": {3: 1.5, 8: -2.0}}, lambda z: plus(z, {3: 1.5, 8: -2.0})),
    "allowed_token_ids": (
        {"allowed_token_ids": [3, 4, 8, 20]},
        lambda z: only(z, np.isin(np.arange(SIZE), [0, 3, 4, 8, 20])),
    ),
    "bad_words": ({}, lambda z: but(z, 7, 11)),
    "min_tokens": ({"min_tokens": 6}, lambda z: but(z, 0)),
}


@pytest.fixture(scope="module")
def numbers() -> Iterator[None]:
    """Computes each random number once for all tests, as they all ask for the same."""
    known: dict[tuple[int, int, int, int], float] = {}

    def once(row: Row, purpose: int) -> float:
        place = row.seed, row.choice, len(row.output), purpose
        if place not in known:
            known[place] = uniform(row, purpose)
        return known[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampler, "uniform", once)
        yield


def drawn(request: Request, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """How often each token is drawn."""
    counts, z = np.zeros(SIZE, np.int64), torch.tensor(Z, dtype=torch.float32)[None].expand(CHUNK, SIZE)
    for first in range(0, DRAWS, CHUNK):
        rows = [Row(request, PROMPT, OUTPUT, vocabulary, seed=seed) for seed in range(first, first + CHUNK)]
        alike = process(z[:1], rows[:1]).expand(CHUNK, SIZE)
        counts += np.bincount(draw(process(z, rows) if request.xtc_probability else alike, rows), minlength=SIZE)
    return counts


def check(found: NDArray[np.int64], p: Floats) -> None:
    assert not found[p == 0].any()
    often = p * DRAWS >= 5
    observed, expected = np.append(found[often], found[~often].sum()), np.append(p[often], p[~often].sum()) * DRAWS
    some = expected > 0
    assert chisquare(observed[some], expected[some] * DRAWS / expected[some].sum()).pvalue > 1e-4


@pytest.mark.usefixtures("numbers")
@pytest.mark.parametrize("name", FORMULAS)
def test_draws_are_distributed_as_the_formula_says(name: str) -> None:
    given, formula = FORMULAS[name]
    vocabulary = {"bad_words": WORDS, "min_tokens": ENDS, "allowed_token_ids": ENDS}.get(name, Vocabulary())
    z = formula(Z)
    assert not np.array_equal(z, Z)
    check(drawn(Request(**{"temperature": 1.0, **given}), vocabulary), soft(z))


@pytest.mark.usefixtures("numbers")
def test_excluded_top_choices_are_a_mixture() -> None:
    p = soft(Z)
    top = np.flatnonzero(p >= 0.05)
    dropped = but(Z, *top[p[top] > p[top].min()])
    request = Request(temperature=1.0, xtc_probability=0.3, xtc_threshold=0.05)
    check(drawn(request, Vocabulary()), 0.7 * p + 0.3 * soft(dropped))


@pytest.mark.usefixtures("numbers")
def test_a_chain_is_its_formulas_in_order() -> None:
    request = Request(temperature=0.8, top_k=20, top_p=0.9, min_p=0.02, repetition_penalty=1.5)
    z = repeated(Z) / 0.8
    z = only(z, z >= np.sort(z)[-20])
    z = fewest(z, np.argsort(-z), 0.9)
    check(drawn(request, Vocabulary()), soft(only(z, soft(z) >= 0.02 * soft(z).max())))


def test_every_sampler_is_here() -> None:
    assert {*FORMULAS, "xtc", "response_format"} == {sampler.name for sampler in SAMPLERS}


@pytest.mark.parametrize("size", [100, 257, 5000])
@pytest.mark.parametrize("parameters", [{"top_p": 0.97}, {"typical_p": 0.97}, {"top_p": 0.3, "top_k": 60}], ids=str)
def test_a_part_of_the_order_gives_what_all_of_it_gives(size: int, parameters: Any) -> None:
    """Flat logits need more tokens than are sorted at first; mates with other needs change nothing, to the last bit."""
    source = torch.Generator().manual_seed(size)
    z = torch.cat([spread * torch.randn(2, size, generator=source) for spread in (0.01, 1.0, 5.0)])
    request = Request(temperature=1.0, **parameters)
    rows = [Row(request, [1], seed=row) for row in range(len(z))]
    together = process(z, rows)
    for row, kept in enumerate(together.isfinite().numpy()):
        p = soft(z[row].double().numpy())
        if "top_k" in parameters:
            p = np.where(p >= np.sort(p)[-min(60, size)], p, 0)
            p = p / p.sum()
        mass = parameters.get("top_p") or parameters["typical_p"]
        order = np.argsort(-p) if "top_p" in parameters else np.argsort(np.abs(-np.log(p) - entropy(p)))
        count = int((np.cumsum(p[order]) < mass - 1e-6).sum()) + 1
        assert abs(kept.sum() - count) <= (1 if mass < 0.99 else 2)
        assert torch.equal(together[row : row + 1], process(z[row : row + 1], rows[row : row + 1]))


def test_a_ruled_out_token_is_never_drawn() -> None:
    """Whatever sums round to: few tokens are left, at the edges of blocks and in the last one."""
    z = torch.full((5000, 1000), float("-inf"))
    allowed = [0, 255, 256, 511, 999]
    z[:, allowed] = torch.tensor([0.0, -20.0, 3.0, -60.0, 1.0])
    rows = [Row(Request(temperature=1.0), [1], seed=seed) for seed in range(len(z))]
    assert set(draw(z, rows)) <= set(allowed)


@pytest.mark.parametrize("worst", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("parameters", [{}, {"top_p": 0.5, "top_k": 3}, {"typical_p": 0.5}, {"min_p": 0.1}], ids=str)
def test_a_row_without_numbers_leaves_its_mates_alone(worst: float, parameters: Any) -> None:
    z = torch.randn(3, 300, generator=torch.Generator().manual_seed(1))
    rows = [Row(Request(temperature=1.0, **parameters), [1], seed=seed) for seed in range(3)]
    before = draw(process(z, rows), rows)
    z[1] = worst
    after = draw(process(z, rows), rows)
    assert (after[0], after[2]) == (before[0], before[2])


def _stream(count: int, **fixed: int) -> Floats:
    """Numbers along the one of seed, choice and step that is not fixed."""
    (along,) = {"seed", "choice", "step"} - fixed.keys()
    places = [{**fixed, along: place} for place in range(count)]
    outputs = [[0] * one["step"] for one in places] if along == "step" else [[0] * fixed["step"]] * count
    rows = [
        Row(Request(), [], output, seed=one["seed"], choice=one["choice"])
        for one, output in zip(places, outputs, strict=True)
    ]
    return np.array([uniform(row, 0) for row in rows])


@pytest.mark.parametrize(
    ("count", "fixed"),
    [(20_000, {"choice": 0, "step": 3}), (20_000, {"seed": 1, "step": 0}), (2000, {"seed": 7, "choice": 1})],
)
def test_numbers_are_even_and_independent_along_every_axis(count: int, fixed: dict[str, int]) -> None:
    found = _stream(count, **fixed)
    assert kstest(found, "uniform").pvalue > 1e-3
    for lag in (1, 2, 7):
        cells = np.histogram2d(found[:-lag], found[lag:], bins=8, range=[[0, 1], [0, 1]])[0]
        assert chisquare(cells.ravel()).pvalue > 1e-4
        assert abs(np.corrcoef(found[:-lag], found[lag:])[0, 1]) < 4 / np.sqrt(count)


def test_neighbouring_seeds_choices_and_purposes_have_nothing_in_common() -> None:
    rows = [Row(Request(), [], [0] * step, seed=2**62 + 1, choice=2) for step in range(2000)]
    tokens, others = (np.array([uniform(row, purpose) for row in rows]) for purpose in (0, 1))
    next_seed = _stream(2000, seed=2**62 + 2, choice=2)
    next_choice = _stream(2000, seed=2**62 + 1, choice=3)
    for other in (others, next_seed, next_choice):
        assert abs(np.corrcoef(tokens, other)[0, 1]) < 4 / np.sqrt(2000)
