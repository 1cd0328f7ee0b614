"""Runs a program of ``torch.export`` with PyTorch, on the processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.engines import base

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle


class Engine(base.Engine):
    """The program in ``torch-export/model.pt2``."""

    place: ClassVar[str] = "torch-export"
    needs: ClassVar[str] = "torch"

    def __init__(self, module: Any, names: list[str]) -> None:
        self._module, self._names = module, names

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        import torch

        from tunesmith import machine

        machine.prepare("fp32")
        told = {"inputs": ""}
        program = torch.export.load(bundle.folder / cls.place / "model.pt2", extra_files=told)
        # The tracer guards that a pair is not alone, which nothing in the program needs.
        return cls(program.module(check_guards=False), told["inputs"].split())

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        import torch

        fed = [torch.from_numpy(base.fed(name, inputs)) for name in self._names]
        with torch.inference_mode():
            found: np.ndarray = self._module(*fed).numpy()
        return base.side_by_side(found, inputs)
