"""Accelerate for the loop, and the experiment trackers that come with it."""

from __future__ import annotations

from pathlib import Path

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

from tunesmith import machine
from tunesmith.config import Config
from tunesmith.errors import Problem, UsageError, did_you_mean


def start(config: Config, folder: Path) -> Accelerator:
    """An accelerator in the config's number format, with its trackers begun.

    Raises:
        UsageError: a tracker is unknown, or its library is not installed.
    """
    _check(config.track.to)
    # Its state is global: a second run in one process, in another number format, needs a fresh one.
    AcceleratorState._reset_state(reset_partial_state=False)
    runs_on = machine.prepare(config.train.precision, config.train.threads)
    accelerator = Accelerator(
        cpu=runs_on.device == "cpu",
        mixed_precision="bf16" if runs_on.precision == "bf16" else "no",
        log_with=list(config.track.to) or None,
        project_dir=str(folder),
        step_scheduler_with_optimizer=False,
    )
    if config.track.to:
        own_folder = {"wandb": {"wandb": {"dir": str(folder), "name": folder.name}}}
        options = {key: value for name in config.track.to for key, value in own_folder.get(name, {}).items()}
        accelerator.init_trackers(config.track.project, config=_flat(config), init_kwargs=options)
    return accelerator


def finish(accelerator: Accelerator, scores: dict[str, float]) -> None:
    """Give the trackers the final scores and end them."""
    if accelerator.trackers:
        accelerator.log({f"test/{name}": score for name, score in scores.items()})
        accelerator.end_training()


def _check(names: tuple[str, ...]) -> None:
    installed = {str(name) for name in get_available_trackers()}
    problems = []
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            problems.append(Problem(f"no tracker '{name}'", "track.to", did_you_mean(name, list(LOGGER_TYPE_TO_CLASS))))
        elif name not in installed:
            problems.append(Problem(f"the tracker '{name}' is not installed", "track.to", f"pip install {name}"))
    if problems:
        raise UsageError("trackers cannot be started", problems=problems)


def _flat(config: Config) -> dict[str, int | float | str | bool]:
    """The config as the flat names and plain values that trackers take."""
    plain = (int, float, str, bool)
    flat: dict[str, int | float | str | bool] = {}
    for section, values in config.model_dump(mode="json").items():
        inner = values.items() if isinstance(values, dict) else [("", values)]
        for name, value in inner:
            flat[f"{section}.{name}".rstrip(".")] = value if isinstance(value, plain) else str(value)
    return flat
