"""How threads of engines wait while a server runs."""

from __future__ import annotations

import os

import pytest

from deployed import understood


@pytest.mark.parametrize(("given", "then"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_that_wait_sleep_unless_the_operator_wants_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None, then: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        del os.environ["OMP_WAIT_POLICY"]
    understood(["serve", "runs/reviews"])
    assert os.environ["OMP_WAIT_POLICY"] == then
