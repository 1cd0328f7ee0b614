"""Made-up requests, legal and illegal ones: no answer is a 5xx, and each is as the description says."""

from __future__ import annotations

from fuzzing import fuzz
from served import Served


def test_made_up_requests_are_answered_as_described(every_task: Served) -> None:
    models = {served.name: served.task for served in every_task.serving.models}
    found = fuzz(every_task.url, models, 150)
    assert found.cases >= 150
    assert found.statuses[200] >= 20
    assert found.statuses[400] >= 20
    assert found.wrong == []
