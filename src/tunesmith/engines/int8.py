"""Runs the network with PyTorch on a CPU, its weights in eight bits: a quarter of the memory, and several times the tokens.

Answers differ a little from those of the weights as trained (a language model's perplexity by about 0.3 %); `tunesmith
evaluate BUNDLE DATA --engine int8` says what it costs on a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.errors import UsageError
from tunesmith.network_engine import NetworkEngine

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle
    from tunesmith.networks.network import Network


class Engine(NetworkEngine):
    """A network whose linear layers have weights of eight bits; its adapter is part of them where that can be."""

    exact = False
    weights = "int8"

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        from tunesmith import machine
        from tunesmith.networks import int8

        network = _merged(bundle)
        int8.quantise(network.backbone.model)
        return cls(network, machine.prepare("fp32"))


def _merged(bundle: Bundle) -> Network:
    try:
        return bundle.network(merged=bundle.base_fingerprint is not None)
    except UsageError:  # the adapter is no change of weights
        return bundle.network()
