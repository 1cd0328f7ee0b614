"""What may be asked of a sweep, beside the request parameters that it varies."""

from __future__ import annotations

from typing import Any, Literal

from tunesmith.params import Params, Seconds, param


class Settings(Params):
    """How to sweep, and what to do with what is found."""

    metric: str | None = param(None, "Score that settings are compared by; none: the first that the task reports.")
    design: Literal["grid", "random", "sobol", "race"] = param(
        "grid",
        "Settings that are tried: every combination; random ones; ones spread evenly (Sobol); or every combination, where worse ones are dropped on the way.",
    )
    share: float = param(
        0.45,
        "A race gives less than this share of a grid's answers; 1: it drops only what is surely worse.",
        gt=0,
        le=1,
    )
    settings: int = param(32, "How many settings a random or Sobol design has.", ge=2, le=4096)
    rows: int | None = param(None, "Rows of the data that are answered, drawn by the seed; none: all.", ge=4)
    held_out: float = param(
        0.3, "Share of the rows that only the best setting and the defaults answer, at the end.", ge=0.1, le=0.8
    )
    samples: int = param(
        1, "Answers to each row where they are drawn; 2 or more tell how varied they are.", ge=1, le=64
    )
    budget: Seconds | None = param(None, "Time for the answers; none: until all are there.")
    margin: float | None = param(
        None, "Differences of the metric below this do not count; none: 2 % of its scale.", gt=0
    )
    valid_against: dict[str, Any] | None = param(
        None,
        "A response_format that answers are judged by, whatever they were asked for; none: the one that settings ask for.",
        name="valid-against",
    )
    seed: int = param(0, "Of rows, of designs, and of every answer; the same for every setting.", ge=0, lt=2**31)
    price: float | None = param(None, "Price of 1,000 generated tokens, to tell costs.", gt=0)
    engine: str | None = param(None, "What computes the answers, or the address of a server; none: PyTorch.")
    engines: tuple[str, ...] = param(
        (),
        "Several of these, to see where the same settings and seeds differ: pytorch,int8,vllm@http://HOST:8000/v1#MODEL.",
    )
    key_variable: str = param(
        "TUNESMITH_KEY",
        "Environment variable that holds the key for servers; unset: none is sent.",
        name="key-variable",
    )
    timeout: Seconds = param(600.0, "How long a server may take for one answer.")
    out: str | None = param(None, "Folder of the study; none: sweeps/NAME, here.")
    resume: bool = param(False, "Go on with the study in the folder: answers that are there are not asked for again.")
    save_preset: str | None = param(
        None, "Keep the recommended setting in the bundle as a preset of this name.", name="save-preset"
    )
