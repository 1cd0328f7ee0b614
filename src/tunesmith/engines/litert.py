"""Runs an exported file with LiteRT (TensorFlow Lite), one text after another; needs no PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.engines import base
from tunesmith.errors import UsageError
from tunesmith.text import plain_tokenizer

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle

FILE, INPUTS = "model.tflite", "inputs.json"
"""In its folder: the model, and the names of its inputs, how many texts a row has, and the tokens of a text."""


class Engine(base.Engine):
    """An interpreter over ``litert/model.tflite``."""

    place = "litert"
    needs = "ai_edge_litert"

    def __init__(self, folder: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            hint = "pip install 'tunesmith[litert]'"
            raise UsageError("the package ai-edge-litert is not installed", where="engine litert", hint=hint) from None
        from tunesmith import machine

        told = json.loads((folder / INPUTS).read_text(encoding="utf-8"))
        self._names, self._texts, self._length = list(told["names"]), int(told["rows"]), int(told["length"])
        self._interpreter = Interpreter(str(folder / FILE), num_threads=machine.physical_cores())
        self._run = self._interpreter.get_signature_runner()

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        return cls(bundle.folder / cls.place)

    @classmethod
    def tokenizer(cls, bundle: Bundle) -> Any:
        return plain_tokenizer.load(bundle.folder / cls.place)

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        import numpy as np

        grids = [self._filled(base.fed(name, inputs)) for name in self._names]
        width = inputs["input_ids"].shape[1]
        rows = len(grids[0]) // self._texts
        found = []
        for row in range(rows):
            # The texts of a row lie one block of rows apart.
            given = {f"args_{place}": grid[row::rows] for place, grid in enumerate(grids)}
            (output,) = self._run(**given).values()
            found.append(output[:, :width] if output.ndim > 2 else output)
        blocks = [np.concatenate([one[text : text + 1] for one in found]) for text in range(len(found[0]))]
        return base.side_by_side(np.concatenate(blocks), inputs)

    def _filled(self, grid: np.ndarray) -> np.ndarray:
        """Texts filled up with what is not looked at."""
        import numpy as np

        wide = np.zeros((len(grid), self._length), np.int32)
        wide[:, : grid.shape[1]] = grid
        return wide
