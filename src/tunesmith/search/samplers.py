"""How the next values are chosen; each public function is a sampler of Optuna's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

_STARTUP_TRIALS = 8


def tpe(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), all parameters together; eight random trials come first."""
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)


def cma_es(seed: int) -> BaseSampler:
    """Covariance matrix adaptation (Hansen and Ostermeier 2001) of the numbers; choices are drawn at random."""
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=seed, warn_independent_sampling=False)


def random(seed: int) -> BaseSampler:
    """Every value independently at random (Bergstra and Bengio 2012)."""
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def grid(seed: int) -> BaseSampler:
    """Every combination of choices and of ``points`` values of each range, in random order."""
    return random(seed)  # the combinations wait in the study: nothing is left to choose
