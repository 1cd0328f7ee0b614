"""The register of metrics: a metric is a function; its name is the name users type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.metrics.predictions import Array

Formula = Callable[[Any], Array]
"""From a ``Sample`` or ``Totals`` of ``draws`` draws to ``(draws,)`` scores; undefined is NaN."""


@dataclass(frozen=True)
class Metric:
    """A formula with what is known of it.

    Args:
        formula: what computes it.
        higher_is_better: which way is better.
        ranks: it sorts the rows, and so costs more to resample.
        describes: it says how answers are, not how good: it gets neither interval nor test.
    """

    formula: Formula
    higher_is_better: bool
    ranks: bool
    describes: bool


METRICS: dict[tuple[str, str], Metric] = {}
"""By kind of predictions and name. ``binary`` is multi-class with two labels, ``labelled-relations`` multi-class with
labels that are relations; ``costly`` and ``abstaining`` are labels whose mistakes cost, and that may be withheld."""


def metric(
    *kinds: str, lower: bool = False, ranks: bool = False, describes: bool = False
) -> Callable[[Formula], Formula]:
    """Declare a metric of some kinds; ``lower`` is better, the others as in ``Metric``."""

    def declare(formula: Formula) -> Formula:
        for kind in kinds:
            METRICS[kind, formula.__name__] = Metric(formula, not lower, ranks, describes)
        return formula

    return declare


def ratio(above: Array, below: Array, empty: float = 0.0) -> Array:
    """``above / below``, and ``empty`` where nothing was counted."""
    return np.asarray(np.divide(above, below, out=np.full(np.shape(above), empty), where=np.asarray(below) > 0))
