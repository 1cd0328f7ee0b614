"""What the engines share that run the network itself, with PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.engines import base
from tunesmith.generation import honours

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.data.examples import Examples
    from tunesmith.generation.answers import Generated
    from tunesmith.generation.facts import Facts
    from tunesmith.generation.request import GenerationRequest
    from tunesmith.machine import Machine
    from tunesmith.networks.network import Network

_ROWS = 16
"""Rows answered together, unless a request needs more for itself."""


class NetworkEngine(base.Engine):
    """A network in evaluation mode; also the one that training is about to change."""

    network: Network
    needs = "torch"
    honours = honours.everything()

    def __init__(self, network: Network, machine: Machine) -> None:
        self.network = network.to(machine.device)
        self.machine = machine

    @classmethod
    def finds(cls, folder: Path) -> bool:
        """Whether the network's own weights are there."""
        return (folder / "head" / "model.safetensors").is_file()

    def inputs(self, examples: Examples, indices: np.ndarray) -> Mapping[str, Any]:
        """Tensors."""
        return examples.collate(indices)  # tensors, or states that training keeps

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """What the network gives."""
        import torch

        self.network.eval()
        moved = {name: tensor.to(self.machine.device) for name, tensor in inputs.items()}
        enabled = self.machine.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self.machine.device, dtype=torch.bfloat16, enabled=enabled):
            result: np.ndarray = self.network(moved).float().cpu().numpy()
        return result

    @cached_property
    def facts(self) -> Facts:
        """Of the model within."""
        from tunesmith.generation.facts import Facts

        return Facts.of_model(self._writer)

    def write(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        """Answers of our own scheduler."""
        from tunesmith.generation import decode

        most = max((request.rows for request in requests), default=1)
        name, rows = base.engine_name(type(self)), max(_ROWS, most)
        return decode.generate(self._writer, tokenizer, prompts, requests, max_rows=rows, engine=name)

    @property
    def _writer(self) -> Any:
        return self.network.eval().backbone.model
