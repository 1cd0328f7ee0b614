"""Every sampler stays in the space, goes on from the defaults, and is the same for the same seed."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith import plugins
from tunesmith.params import Choices, Range
from tunesmith.search import queue, storage
from tunesmith.search.space import Dimension, Space

SPACE = Space(
    (
        Dimension("rate", Range(1e-5, 1e-1, log=True)),
        Dimension("share", Range(0, 1)),
        Dimension("size", Range(1, 8), whole=True),
        Dimension("kind", Choices(("a", None, True))),
    )
)
FIRST = {"rate": 1e-3, "share": 0.5, "size": 4, "kind": None}


def searched(name: str, seed: int, trials: int = 14) -> list[dict[str, Any]]:
    study = storage.library().create_study(direction="maximize", sampler=plugins.load("search.samplers", name)(seed))
    study.enqueue_trial(FIRST)
    for _ in range(trials):
        trial = queue.take(study, None, SPACE.distributions())
        study.tell(trial, trial.params["share"])
    return [trial.params for trial in study.get_trials()]


@pytest.mark.parametrize("name", plugins.names("search.samplers"))
def test_samplers(name: str) -> None:
    found = searched(name, 0)
    assert found[0] == FIRST
    assert all(not SPACE.outside(SPACE.values(labels)) for labels in found)
    assert len({labels["share"] for labels in found}) > 10
    assert found == searched(name, 0)
    assert found != searched(name, 1)
