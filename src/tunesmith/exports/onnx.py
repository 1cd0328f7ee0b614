"""A graph for ONNX Runtime: answers without PyTorch, faster on processors; in 8 bits if it scores as well."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith import params, quiet
from tunesmith.errors import UsageError
from tunesmith.exports import base
from tunesmith.params import param
from tunesmith.text import plain_tokenizer

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle
    from tunesmith.networks.traced import Traceable

_FILE = "model.onnx"
_MOST_BYTES = 1_900_000_000
"""A file of this format holds 2 GiB; weights beyond lie beside it."""


class Params(params.Params):
    """How the graph is written."""

    precision: Literal["fp32", "int8"] = param(
        "fp32",
        "Number format of the weights; int8 is kept only if it scores within half a point of fp32 on labelled rows.",
    )


class Export(base.Export):
    """``onnx/model.onnx``, with any number of rows of any length."""

    engine = place = "onnx"
    options: Params

    @property
    def smaller(self) -> str | None:
        return "int8" if self.options.precision == "int8" else None

    def check(self, bundle: Bundle) -> None:
        for package in ("onnx", "onnxscript", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                raise base.missing_package(package, "onnx-export")

    def write(self, bundle: Bundle, folder: Path) -> None:
        graph = base.traceable(bundle)
        plain_tokenizer.save(bundle.tokenizer(), folder)
        try:
            with _quietly():
                program = _program(graph)
        except Exception as error:  # the exporter has no error of its own for models that it cannot take
            why = quiet.first_line(error)
            raise UsageError(f"no graph can be made of this model: {why}", where=str(bundle.folder)) from error
        if fixed := [
            one.name for one in program.model.graph.inputs if any(isinstance(size, int) for size in one.shape)
        ]:
            raise UsageError(f"the graph would take one size of {fixed[0]} only", where=str(bundle.folder))
        size = sum(weight.numel() * weight.element_size() for weight in graph.module.parameters())
        program.save(str(folder / _FILE), external_data=size > _MOST_BYTES)

    def shrink(self, bundle: Bundle, written: Path, folder: Path) -> None:
        """Weights in 8 bits, activations as they come (Jacob et al. 2018).

        Weights use seven of the eight bits: processors without VNNI add two products in 16 bits, which would overflow.
        """
        from onnxruntime.quantization import QuantType, quantize_dynamic

        plain_tokenizer.save(bundle.tokenizer(), folder)
        with _quietly():
            quantize_dynamic(
                str(written / _FILE),
                str(folder / _FILE),
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                op_types_to_quantize=["MatMul", "Gemm", "Gather"],
                extra_options={"MatMulConstBOnly": True},
            )


def _program(graph: Traceable) -> Any:
    """The graph as the exporter gives it, without its notes on where in which files on this machine each node comes from."""
    import torch

    program: Any = torch.onnx.export(
        graph.module,
        graph.example,
        dynamo=True,
        input_names=list(graph.names),
        output_names=["outputs"],
        dynamic_shapes=graph.sizes,
        verbose=False,
    )
    for node in program.model.graph:
        node.metadata_props.clear()
    return program


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter tells those who work on it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
