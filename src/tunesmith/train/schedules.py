"""Schedules: the course of the learning rate after the warmup. A public function here is a schedule.

Each takes the share of the steps done since the warmup (0 to 1) and the training parameters, and returns a factor
of the peak learning rate. ``plateau`` follows the validation score instead and is driven by the loop.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunesmith.config import Train


def constant(done: float, train: Train) -> float:
    """The peak throughout."""
    return 1.0


def linear(done: float, train: Train) -> float:
    """Straight down to 0."""
    return 1.0 - done


def cosine(done: float, train: Train) -> float:
    """Half a cosine down to 0, ``cycles`` times over (Loshchilov and Hutter 2017, SGDR)."""
    part = 1.0 if done >= 1 else (done * train.cycles) % 1.0
    return 0.5 * (1 + math.cos(math.pi * part))


def polynomial(done: float, train: Train) -> float:
    """(1 - share) to the ``power``."""
    return float((1.0 - done) ** train.power)


def inverse_sqrt(done: float, train: Train) -> float:
    """1 / sqrt(1 + t), with t in units of the warmup (Vaswani et al. 2017); it never reaches 0."""
    unit = train.warmup / (1 - train.warmup) or 0.1
    return 1.0 / math.sqrt(1.0 + done / unit)


def one_cycle(done: float, train: Train) -> float:
    """Cosine up from a 25th of the peak over the first 30 %, then down to 0 (Smith and Topin 2018)."""
    if done < 0.3:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * done / 0.3))
    return 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))


def plateau(done: float, train: Train) -> float:
    """The peak, halved whenever ``patience`` evaluations in a row brought no better score."""
    return 1.0
