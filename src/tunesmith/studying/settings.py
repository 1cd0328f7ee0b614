"""What may be asked of a study of training parameters, beside the config whose parameters it varies."""

from __future__ import annotations

from tunesmith.params import Params, Seconds, param


class Settings(Params):
    """How to study."""

    seeds: int = param(3, "Seeds with which every combination is trained.", ge=2, le=100)
    points: int = param(3, "Values of each range that says no number of them (1e-5:1e-3:log).", ge=2, le=100)
    margin: float = param(0.01, "A parameter is called inert where all its effects are surely smaller than this.", gt=0)
    budget: Seconds | None = param(
        None, "Time for this call ('30m', '2h'); combinations come in random order, and --resume goes on; none: no limit."
    )  # fmt: skip
    workers: int = param(1, "Processes that train side by side; each gets its share of the cores.", ge=1, le=256)
    resume: bool = param(False, "Go on with the study in a folder.")
    seed: int = param(0, "Seed of the order of combinations.", ge=0)
