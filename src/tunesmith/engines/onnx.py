"""Runs an exported graph with ONNX Runtime, on the processor; needs no PyTorch.

ONNX Runtime reports how it is used to its makers over the network. It is told not to, unless ``ORT_DISABLE_TELEMETRY`` is set
to 0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.engines import base
from tunesmith.errors import UsageError
from tunesmith.text import plain_tokenizer

if TYPE_CHECKING:
    import numpy as np

    from tunesmith.bundle import Bundle


_SLOW = "SkipLayerNormFusion"
"""Of its optimisations the one that makes ours slower: its fused kernel takes ten times as long as the two that it replaces."""


class Engine(base.Engine):
    """An ONNX Runtime session over ``onnx/model.onnx``."""

    place: ClassVar[str] = "onnx"
    needs: ClassVar[str] = "onnxruntime"

    batch_tokens = 512

    def __init__(self, session: Any) -> None:
        self._session = session
        self._reads = [one.name for one in session.get_inputs()]

    @classmethod
    def open(cls, bundle: Bundle) -> Engine:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        try:
            import onnxruntime
        except ImportError:
            hint = "pip install 'tunesmith[onnx]'"
            raise UsageError("the package onnxruntime is not installed", where="engine onnx", hint=hint) from None
        file = bundle.folder / cls.place / "model.onnx"
        session = onnxruntime.InferenceSession(
            str(file), _options(), providers=["CPUExecutionProvider"], disabled_optimizers=[_SLOW]
        )
        return cls(session)

    @classmethod
    def tokenizer(cls, bundle: Bundle) -> Any:
        return plain_tokenizer.load(bundle.folder / cls.place)

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        found = self._session.run(None, {name: base.fed(name, inputs) for name in self._reads})[0]
        return base.side_by_side(found, inputs)


def _options() -> Any:
    """A thread for each core, and memory as it is asked for: lengths differ from batch to batch, so no plan of it fits twice.

    Threads that wait sleep: turning, they would take the cores from whatever brings the next texts.
    """
    import onnxruntime

    from tunesmith import machine

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = machine.physical_cores()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options
