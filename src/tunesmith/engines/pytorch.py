"""Runs the network with PyTorch, on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.engines import base
from tunesmith.generation import honours

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle
    from tunesmith.data.examples import Examples
    from tunesmith.generation.answers import Generated
    from tunesmith.generation.facts import Facts
    from tunesmith.generation.request import GenerationRequest
    from tunesmith.machine import Machine
    from tunesmith.networks.network import Network


class Engine(base.Engine):
    """A network in evaluation mode; also the one that training is about to change."""

    network: Network
    honours = honours.everything()

    def __init__(self, network: Network, machine: Machine) -> None:
        self.network = network.to(machine.device)
        self.machine = machine

    @classmethod
    def finds(cls, folder: Path) -> bool:
        return (folder / "head" / "model.safetensors").is_file()

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        import torch

        from tunesmith import machine
        from tunesmith.networks.generators import Generator

        network, own = bundle.network(), machine.prepare(bundle.precision)
        if own.device == "cuda" and own.precision == "bf16" and isinstance(network.backbone, Generator):
            network.to(torch.bfloat16)  # a step waits for weights, and autocast would bring them into bf16 in each
        return cls(network, own)

    def inputs(self, examples: Examples, indices: np.ndarray) -> Mapping[str, Any]:
        return examples.collate(indices)  # tensors, or states that training keeps

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        import torch

        self.network.eval()
        moved = {name: tensor.to(self.machine.device) for name, tensor in inputs.items()}
        enabled = self.machine.precision == "bf16"
        with torch.inference_mode(), torch.autocast(self.machine.device, dtype=torch.bfloat16, enabled=enabled):
            result: np.ndarray = self.network(moved).float().cpu().numpy()
        return result

    @property
    def facts(self) -> Facts:
        from tunesmith.generation.facts import Facts

        return Facts.of_model(self._writer)

    def write(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest], tokenizer: Any
    ) -> list[list[Generated]]:
        from tunesmith.generation import decode

        return decode.generate(self._writer, tokenizer, prompts, requests)

    @property
    def _writer(self) -> Any:
        return self.network.eval().backbone.model
