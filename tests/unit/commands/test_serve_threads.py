"""How threads of engines wait while a server runs."""

from __future__ import annotations

import os

import pytest

from deployed import understood

ONE, TWO = ["runs/reviews"], ["runs/reviews", "runs/chat"]
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("bundles", "given", "then"),
    [
        (ONE, {}, ("ACTIVE", "1000")),
        (TWO, {}, ("PASSIVE", None)),
        (ONE, {"OMP_WAIT_POLICY": "PASSIVE"}, ("PASSIVE", None)),
        (TWO, {"GOMP_SPINCOUNT": "7"}, (None, "7")),
    ],
)
def test_they_sleep_where_others_need_their_cores_unless_the_operator_wants_otherwise(
    monkeypatch: pytest.MonkeyPatch, bundles: list[str], given: dict[str, str], then: tuple[str | None, str | None]
) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # put back afterwards, whatever the command sets
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    understood(["serve", *bundles])
    assert tuple(map(os.environ.get, NAMES)) == then
