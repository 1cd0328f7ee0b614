"""What may be said of parameters: what matters is found, what does not is called inert, and what cannot be told is left."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunesmith.studying import found as findings
from tunesmith.studying import show
from tunesmith.studying.found import Found, Trained

VALUES = {"rate": (1e-4, 1e-3, 1e-2), "dropout": (0.0, 0.1), "shape": ("a", "b")}
DEFAULTS = {"rate": 1e-4, "dropout": 0.0, "shape": "a"}


def study(score: Callable[[dict[str, Any]], float], noise: float, seeds: int = 4, random: int = 0) -> Found:
    """Of a known truth, with a seed's noise in common and some of each training's own."""
    chance = np.random.default_rng(random)
    rows = []
    for seed in range(seeds):
        common = chance.normal(0, 0.05)
        for place in itertools.product(*VALUES.values()):
            values = dict(zip(VALUES, place, strict=True))
            rows.append(Trained(values, seed, score(values) + common + chance.normal(0, noise), 1.0))
    return findings.of(rows, defaults=DEFAULTS, metric="f1", sign=1, margin=0.01, wanted=len(rows))


def effect(found: Found, name: str) -> findings.Effect:
    return next(one for one in found.effects if one.parameter == name)


def test_what_matters_is_found_and_what_does_not_is_inert() -> None:
    found = study(lambda v: 0.1 * np.log10(v["rate"] / 1e-4) + 0.02 * v["dropout"] / 0.1 * (v["shape"] == "b"), 0.001)
    assert effect(found, "rate").verdict == "matters"
    level = next(one for one in effect(found, "rate").levels if one.value == 1e-2)
    assert level.gain == pytest.approx(0.2, abs=0.01)
    assert level.interval is not None
    assert level.interval[0] < 0.2 < level.interval[1]
    assert found.best == {"rate": 1e-2, "dropout": 0.1, "shape": "b"}
    assert found.interactions["dropout", "shape"] > 10 * found.interactions["rate", "shape"]
    assert found.effects[0].parameter == "rate"


def test_nothing_within_the_margin_is_inert_and_noise_cannot_tell() -> None:
    quiet = study(lambda v: 0.5, 0.0005)
    assert {one.verdict for one in quiet.effects} == {"inert"}
    loud = study(lambda v: 0.5, 0.05, seeds=2, random=1)
    assert {one.verdict for one in loud.effects} == {"cannot tell"}
    assert all("seeds" in one.words for one in loud.effects)


def test_scores_that_no_value_changed_at_all_are_told_of() -> None:
    still = study(lambda v: 0.5, 0.0)
    (note,) = still.notes
    assert note.startswith("with each seed all combinations came to exactly the same f1")
    assert not study(lambda v: 0.5, 0.0005).notes


def test_the_value_that_others_are_held_against_is_marked_as_that() -> None:
    lines = dict(show.sections(study(lambda v: 0.5, 0.0005)))
    title = next(title for title in lines if title.startswith("dropout"))
    assert ["(compared with)" in line for line in lines[title]] == [True, False]


def test_false_alarms_are_as_rare_as_said() -> None:
    alarms = sum(
        any(one.verdict == "matters" for one in study(lambda v: 0.5, 0.02, random=random).effects)
        for random in range(200)
    )
    assert alarms <= 0.05 * 200 + 3 * (200 * 0.05 * 0.95) ** 0.5


def test_an_unfinished_study_says_so_and_has_no_shares() -> None:
    whole = study(lambda v: float(v["dropout"]), 0.001)
    part = findings.of(whole.rows[:-2], defaults=DEFAULTS, metric="f1", sign=1, margin=0.01, wanted=len(whole.rows))
    assert "46 of 48 trainings are done" in part.words
    assert effect(part, "dropout").verdict == "matters"


def test_lower_can_be_better() -> None:
    whole = study(lambda v: float(v["dropout"]), 0.001)
    found = findings.of(whole.rows, defaults=DEFAULTS, metric="loss", sign=-1, margin=0.01, wanted=48)
    assert effect(found, "dropout").levels[1].gain == pytest.approx(-0.1, abs=0.01)
    assert found.best["dropout"] == 0.0
