"""What is decided after training, chosen on the validation rows.

The same rows also chose the best weights: probabilities are a little surer on them than on new texts. What is fitted here
is few numbers, held near what is usual, so that this shows hardly more in the answers than in the scores.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from tunesmith.decisions import answers, calibration, class_thresholds, options
from tunesmith.decisions.decision import Decision
from tunesmith.metrics.thresholds import tune_thresholds

if TYPE_CHECKING:
    from tunesmith.decisions.calibration import Pairs
    from tunesmith.decisions.options import Decided
    from tunesmith.tasks.base import Target

_DOUBT = 0.1  # chance that fewer answers are right than was asked for
_FEWEST = 20  # answers that must be left when the others are withheld


def tuned(target: Target, chances: NDArray[Any], truth: NDArray[Any], wanted: Decided) -> Target:
    """The target with its decisions.

    Args:
        target: of which nothing is decided yet.
        chances: probabilities of the validation rows as the network gives them, (N, O).
        truth: label numbers (N,), or marks (N, O) of several labels.
        wanted: what the user set.
    """
    chosen = options.chosen(wanted, target.kind)
    target = calibrated(target, chosen["calibrate"], chances, truth)
    chances = answers.calibrated(chances, target)
    target = _aimed(target, chosen["decide_by"], chances, truth, wanted.costs or {})
    if wanted.abstain_accuracy is None:
        return target
    given = answers.decided(chances, target)
    least = sure_from(answers.confidence(chances, given), given == truth, wanted.abstain_accuracy)
    return answers.asked(target, least)


def calibrated(target: Target, how: str, chances: NDArray[Any], truth: NDArray[Any]) -> Target:
    """The target with a calibration: ``none``, ``temperature`` or ``platt``."""
    pairs: Pairs = ()
    if how == "platt":
        pairs = calibration.fit_each(chances, truth)
    elif how == "temperature" and len(chances):
        pairs = calibration.fit_temperature(chances, truth, exclusive=target.kind != "multi-label")
    return dataclasses.replace(target, decision=Decision(calibration=pairs))


def sure_from(confidence: NDArray[Any], right: NDArray[Any], wanted: float) -> float:
    """The lowest probability from which a share of the answers is right, with nine chances in ten.

    After Geifman and El-Yaniv 2017 ("Selective Classification for Deep Neural Networks"): the share is the lower end of
    the exact interval (Clopper and Pearson 1934) of those right among the answers of at least this probability. Where no
    probability will do, the one with the highest such share; the report says what it came to on other rows.

    Args:
        confidence: probability of each answer (N,).
        right: whether it is right (N,).
        wanted: the share, in (0, 1).
    """
    order = np.argsort(-confidence, kind="stable")
    ranked, hits = confidence[order], np.cumsum(right[order])
    given = np.arange(1, len(ranked) + 1)
    surely = np.where(hits > 0, beta.ppf(_DOUBT, np.maximum(hits, 1), given - hits + 1), 0.0)
    # rows of the same probability are answered together
    last = np.append(ranked[1:] < ranked[:-1], True) & (given >= min(_FEWEST, len(ranked)))
    enough = np.flatnonzero(last & (surely >= wanted))
    place = enough[-1] if len(enough) else int(np.argmax(np.where(last, surely, -1.0)))
    return float(ranked[place])


def _aimed(
    target: Target, aim: str, chances: NDArray[Any], truth: NDArray[Any], costs: Mapping[str, Mapping[str, float]]
) -> Target:
    """The target with the thresholds or costs that answers follow."""
    if aim == "cost":
        return _costly(target, costs)
    if aim == "probability":
        return target
    if target.kind == "multi-label":
        if aim == "f1_micro":
            (one,) = tune_thresholds(chances.reshape(-1, 1), truth.reshape(-1, 1))
            found = np.full(len(target.labels), one)
        else:
            found = tune_thresholds(chances, truth)
    else:
        found = class_thresholds.tuned(chances, truth, aim, target.labels)
    return dataclasses.replace(target, thresholds=tuple(found.tolist()))


def _costly(target: Target, costs: Mapping[str, Mapping[str, float]]) -> Target:
    """The target with what mistakes cost; of several labels with the thresholds that follow from it (Elkan 2001, eq. 2)."""
    table: tuple[tuple[float, ...], ...]
    if target.kind == "multi-label":
        rows = [costs.get(label, {}) for label in target.labels]
        pairs = [(float(row.get(options.MISSED, 1)), float(row.get(options.WRONG, 1))) for row in rows]
        thresholds = tuple(wrong / (missed + wrong) if missed + wrong else answers.EVEN for missed, wrong in pairs)
        target, table = dataclasses.replace(target, thresholds=thresholds), tuple(pairs)
    else:
        table = tuple(
            tuple(float(costs.get(label, {}).get(answer, answer != label)) for answer in target.labels)
            for label in target.labels
        )
    return dataclasses.replace(target, decision=dataclasses.replace(target.decision, costs=table))
