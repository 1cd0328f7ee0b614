"""Runs the network with PyTorch, on a GPU where there is one, and on a CPU with its weights as its products read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.network_engine import NetworkEngine

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle


class Engine(NetworkEngine):
    """A network with its weights as they were trained; also the one that training is about to change."""

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        import torch

        from tunesmith import machine
        from tunesmith.networks import packed
        from tunesmith.networks.generators import Generator

        network, own = bundle.network(), machine.prepare(bundle.precision)
        writes = isinstance(network.backbone, Generator)
        if own.device == "cuda" and own.precision == "bf16" and writes:
            network.to(torch.bfloat16)  # a step waits for weights, and autocast would bring them into bf16 in each
        packed.pack(network, leaves_file=(writes or own.precision == "fp32") and bundle.bases is None)
        return cls(network, own)
