"""What several processes of one run must agree on; with one process everything is as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list, gather_object

from tunesmith.errors import TunesmithError

T = TypeVar("T")


def here() -> PartialState:
    """This process among those of the run, which talk to one another from now on; without a GPU they do on the CPU."""
    return PartialState(cpu=not torch.cuda.is_available())


def largest(accelerator: Accelerator, value: float) -> float:
    """The largest of all processes' values; a truth value that holds in one of them comes out as 1.0."""
    if accelerator.num_processes == 1:
        return float(value)
    own = torch.tensor([float(value)], dtype=torch.float64, device=accelerator.device)
    return float(accelerator.gather(own).max())


def total(accelerator: Accelerator, value: float) -> float:
    """The sum of all processes' values."""
    if accelerator.num_processes == 1:
        return value
    own = torch.tensor([value], dtype=torch.float64, device=accelerator.device)
    return float(accelerator.gather(own).sum())


def of_all(accelerator: Accelerator, value: T) -> list[T]:
    """Each process's value, in the order of their numbers."""
    return [value] if accelerator.num_processes == 1 else list(gather_object([value]))


def by_main(action: Callable[[], T]) -> T:
    """What the main process's action gives, in every process; an error of it is raised in every process.

    Raises:
        TunesmithError: as the action did.
    """
    state = here()
    told: list[Any] = [None]
    if state.is_main_process:
        try:
            told = [action()]
        except TunesmithError as error:
            told = [error]
    if state.num_processes > 1:
        broadcast_object_list(told)
    if isinstance(told[0], TunesmithError):
        raise told[0]
    found: T = told[0]
    return found
