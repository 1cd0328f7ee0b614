"""What was decided after training, as it is saved with the target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """How what a network gives becomes probabilities, and when these are too low for an answer.

    Args:
        calibration: factor and shift of the log odds, or where labels exclude one another of the log probabilities,
            before they become probabilities: one pair for all labels, or one a label; empty: as the network gives them.
        costs: of labels that exclude one another what each answer costs, (truth, answer); of several labels what a
            missed and what a wrongly given one costs, (label, 2). Empty: mistakes are not weighed.
        abstain_below: probability of the one answer below which none is given; 0: one is always given.
        abstain_each: the same, for each label that the answer may be; empty: ``abstain_below`` for all of them.
    """

    calibration: tuple[tuple[float, float], ...] = ()
    costs: tuple[tuple[float, ...], ...] = ()
    abstain_below: float = 0.0
    abstain_each: tuple[float, ...] = ()


UNDECIDED = Decision()
"""Outputs are taken as they are, and an answer is always given."""
