"""A program of ``torch.export``: PyTorch runs it without transformers and without this package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import params
from tunesmith.exports import base

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle


class Params(params.Params):
    """The program has no options."""


class Export(base.Export):
    """``torch-export/model.pt2``, with any number of rows of any length."""

    engine = place = "torch-export"

    def write(self, bundle: Bundle, folder: Path) -> None:
        import torch

        graph = base.traceable(bundle)
        program = torch.export.export(graph.module, graph.example, dynamic_shapes=graph.sizes)
        torch.export.save(program, folder / "model.pt2", extra_files={"inputs": " ".join(graph.names)})
