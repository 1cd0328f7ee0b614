"""How trials that fall behind are given up; each public function is a pruner of Optuna's.

Trials report their score with the share of their steps that is done, in percent, as the resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

_WHOLE_PERCENT = 100
_FIRST_RUNG_PERCENT = 11
_REDUCTION = 3
_STARTUP_TRIALS = 4


def asha() -> BasePruner:
    """Asynchronous successive halving (Li et al. 2020): at 11 and 33 percent of its steps the best third goes on."""
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(min_resource=_FIRST_RUNG_PERCENT, reduction_factor=_REDUCTION)


def hyperband() -> BasePruner:
    """Successive halving with several first rungs side by side (Li et al. 2018)."""
    from optuna.pruners import HyperbandPruner

    return HyperbandPruner(min_resource=_FIRST_RUNG_PERCENT, max_resource=_WHOLE_PERCENT, reduction_factor=_REDUCTION)


def median() -> BasePruner:
    """A trial goes on while it is at least as good as the median of the others was at the same share of their steps."""
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=_STARTUP_TRIALS)


def nothing() -> BasePruner:
    """Every trial is trained to its end."""
    from optuna.pruners import NopPruner

    return NopPruner()
