"""A parameter without effect is called inert, and one with an effect is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunesmith.errors import UsageError
from tunesmith.explaining import curves, telling
from tunesmith.explaining.curves import Asking
from tunesmith.explaining.paths import Path

Of = Callable[..., Asking]


@pytest.mark.parametrize(
    ("name", "values", "held"),
    [
        ("top_p", (0.5, 0.7, 0.9), {"top_k": 1}),
        ("top_p", (0.5, 0.9), {"temperature": 0.0}),
        ("top_k", (400, 1000), {}),
        ("xtc_probability", (0.2, 0.8), {"xtc_threshold": 0.9}),
        ("dry_base", (1.5, 3.0), {}),
        ("no_repeat_ngram_size", (30,), {}),
        ("frequency_penalty", (0.0,), {}),
    ],
)
def test_what_changes_no_distribution_is_inert(
    name: str, values: Any, held: Any, asking: Of, paths: list[Path], logits: Any
) -> None:
    found = curves.trace(asking(name, *values, **held), paths, logits)
    assert found.is_inert
    assert found.largest < 1e-6


@pytest.mark.parametrize(
    ("name", "values", "held"),
    [
        ("top_p", (0.9,), {"top_k": 10}),
        ("top_k", (1, 400), {}),
        ("temperature", (0.99, 1.0), {}),
        ("frequency_penalty", (0.01,), {}),
        ("dry_multiplier", (1.0,), {"dry_allowed_length": 1}),
        ("no_repeat_ngram_size", (1,), {}),
        ("min_tokens", (20,), {}),
        ("xtc_threshold", (0.1,), {"xtc_probability": 0.5}),
    ],
)
def test_what_changes_one_is_not(name: str, values: Any, held: Any, asking: Of, paths: list[Path], logits: Any) -> None:
    found = curves.trace(asking(name, *values, **held), paths, logits)
    assert not found.is_inert
    assert found.largest > 1e-4


def test_held_parameters_stand_on_both_sides(asking: Of, paths: list[Path], logits: Any) -> None:
    alone = curves.trace(asking("top_p", 0.9), paths, logits)
    beside = curves.trace(asking("top_p", 0.9, temperature=0.5), paths, logits)
    assert beside.before["entropy"].mean() < alone.before["entropy"].mean()
    assert beside.mean("cut")[0] <= 0.1 + 1e-6  # top_p cuts at most what is left of one
    assert beside.mean("nucleus")[0] < alone.mean("nucleus")[0]


def test_a_divergence_is_infinite_where_tokens_may_come_that_could_not(
    asking: Of, paths: list[Path], logits: Any
) -> None:
    found = curves.trace(asking("temperature", 0.5, 2.0, top_p=0.7), paths, logits)
    assert np.isfinite(found.mean("kl")).tolist() == [True, False]
    assert (
        json.loads(json.dumps(telling.found(found, "m", "chat", "greedy").to_json(), allow_nan=False))["inert"] is False
    )


def test_penalties_see_the_answer_so_far(asking: Of, paths: list[Path], logits: Any) -> None:
    found = curves.trace(asking("presence_penalty", 1.0), paths, logits)
    first = np.array([np.flatnonzero(found.numbers == number)[0] for number in range(len(paths))])
    assert found.measures["distance"][0, first].max() == 0  # nothing stands in the answer yet
    later = np.delete(np.arange(found.places), first)
    assert found.measures["distance"][0, later].min() > 0


def test_a_path_that_cannot_come_is_told(asking: Of, paths: list[Path], logits: Any) -> None:
    found = curves.trace(asking("top_k", 1, 0), paths, logits)
    greedy = [path.output == tuple(logits.along(path).argmax(1).tolist()) for path in paths]
    assert np.isfinite(found.path_probability[0]).tolist() == greedy
    assert found.impossible[1] == 0
    assert np.isfinite(found.path_probability[1]).all()


def test_the_place_that_changes_most_is_shown(asking: Of, paths: list[Path], logits: Any) -> None:
    found = curves.trace(asking("temperature", 0.0, 1.0), paths, logits)
    path, place = paths[found.most.path], found.most
    best = logits.along(path)[place.step].argmax()
    assert found.measures["distance"].max() == pytest.approx(1 - max(before for _, before, _ in place.tokens))
    assert [now for _, _, (now, _) in place.tokens].count(1.0) == 1
    assert best is not None


def test_parameters_that_do_not_go_together_are_refused(asking: Of, paths: list[Path], logits: Any) -> None:
    with pytest.raises(UsageError, match="temperature"):
        curves.trace(asking("top_p", 0.9, num_beams=2, temperature=1.0), paths, logits)
