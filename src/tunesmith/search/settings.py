"""What may be asked of a search, beside the config that it varies."""

from __future__ import annotations

from typing import Literal

from tunesmith.params import Params, Seconds, param

USUAL_TRIALS = 20


class Settings(Params):
    """How to search."""

    trials: int | None = param(
        None, f"Trials of the whole study; none: {USUAL_TRIALS}, or without a limit where there is a budget.", ge=1
    )
    budget: Seconds | None = param(
        None, "Time for this call ('30m', '2h'), with the retraining at the end and the report; none: no limit."
    )
    workers: int = param(1, "Processes that run trials side by side; each gets its share of the cores.", ge=1, le=256)
    storage: str | None = param(
        None,
        "Where the study is kept: a URL that SQLAlchemy knows, such as postgresql://user:password@host/name, or redis://host:port/0; none: a SQLite file in the study's folder.",
    )
    study: str | None = param(None, "Name of the study in its storage; none: that of its folder.")
    resume: bool = param(False, "Go on with the study of this name, or help with it from another machine.")
    sampler: str = param("tpe", "How the next values are chosen.", plugin="search.samplers")
    pruner: str | None = param(
        None,
        "How trials that fall behind are given up; none: asha, or no pruning with several objectives.",
        plugin="search.pruners",
    )
    points: int = param(5, "Values of each range that the grid tries.", ge=2, le=100)
    against: tuple[Literal["latency", "size"], ...] = param(
        (),
        "Further objectives to hold against the score: latency (milliseconds a text), size (megabytes of weights).",
    )
    seeds: int = param(
        5,
        "Seeds with which the defaults and the winner are trained at the end; fewer where the budget is short; 0: neither is.",
        ge=0,
    )
    seed: int = param(0, "Seed of the sampler.", ge=0)
