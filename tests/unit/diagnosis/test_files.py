"""Corrections that are filled in unseen: what becomes of a row follows from how likely its labels are."""

from __future__ import annotations

import pytest

from tunesmith.diagnosis import files
from tunesmith.diagnosis.model import Row, Suspect


@pytest.mark.parametrize(
    ("probability", "margin", "action"),
    [
        (0.8, -0.7, "relabel"),
        (0.45, -0.3, "drop"),
        (0.5, -0.4, "drop"),
        (0.52, -0.08, "keep"),
        (0.4, -0.05, "keep"),
    ],
)
def test_only_a_likely_suggestion_is_taken(probability: float, margin: float, action: str) -> None:
    row = Row(0, "mail.csv", 2, "t-00", "train", ("the card came late",), ("card",))
    assert files.accepted(Suspect(row, ("delivery",), probability, margin)) == action
