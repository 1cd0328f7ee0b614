"""Every pruner lets the best go on; all but one give up what stays behind."""

from __future__ import annotations

import pytest

from tunesmith import plugins
from tunesmith.search import storage

PERCENT = (25, 50, 75)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("name", plugins.names("search.pruners"))
def test_pruners(name: str, direction: str) -> None:
    study = storage.library().create_study(direction=direction, pruner=plugins.load("search.pruners", name)())
    sign = 1 if direction == "maximize" else -1
    ended = []
    for number in range(12):
        score = 0.9 if number == 11 else 0.8 - 0.05 * number
        trial, pruned = study.ask(), False
        for percent in PERCENT:
            trial.report(sign * score, step=percent)
            pruned = pruned or trial.should_prune()
        ended.append(pruned)
        study.tell(trial, sign * score)
    assert not ended[0]
    assert not ended[11]
    assert any(ended) == (name != "nothing")
