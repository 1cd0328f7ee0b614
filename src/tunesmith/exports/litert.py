"""A file for LiteRT (TensorFlow Lite), which runs on phones and small devices; it reads one text of a fixed length at a time."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tunesmith import params, quiet
from tunesmith.engines.litert import FILE, INPUTS
from tunesmith.errors import UsageError
from tunesmith.exports import base
from tunesmith.params import param
from tunesmith.text import plain_tokenizer

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle


class Params(params.Params):
    """How the file is written."""

    length: int | None = param(
        None, "Tokens that it always reads, shorter texts filled up; none: model.max_length, the most that there can be.",
        ge=2,
    )  # fmt: skip


class Export(base.Export):
    """``litert/model.tflite``."""

    engine = place = "litert"
    options: Params

    def check(self, bundle: Bundle) -> None:
        for package, extra in (("litert_torch", "litert-export"), ("ai_edge_litert", "litert")):
            if importlib.util.find_spec(package) is None:
                raise base.missing_package(package.replace("_", "-"), extra)
        longest = bundle.config.model.max_length
        if self.options.length is not None and longest is not None and self.options.length < longest:
            hint = f"legal: >= {longest}, the model.max_length that texts are cut or divided to"
            raise UsageError("is shorter than what the model reads", where="--length", hint=hint)

    def write(self, bundle: Bundle, folder: Path) -> None:
        import litert_torch
        import torch

        graph = base.traceable(bundle)
        length = self.options.length or bundle.config.model.max_length or 512
        texts = 2 if getattr(cast(Any, graph.module).network.head, "pair", False) else 1
        full = {"attention_mask": torch.ones(texts, length, dtype=torch.int32)}
        rows = tuple(full.get(name, torch.zeros(texts, length, dtype=torch.int32)) for name in graph.names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                program = litert_torch.convert(_narrow(graph.module), rows)
            except Exception as error:  # the converter fails in whichever of its stages meets what it does not know
                what = f"LiteRT has no form for this model: {quiet.first_line(error)}"
                raise UsageError(what, where="litert", hint="--to onnx") from error
            program.export(str(folder / FILE))
        plain_tokenizer.save(bundle.tokenizer(), folder)
        described: dict[str, Any] = {"names": list(graph.names), "rows": texts, "length": length}
        (folder / INPUTS).write_text(json.dumps(described), encoding="utf-8")


def _narrow(network: Any) -> Any:
    """The network with inputs in 32 bits, as devices have them."""
    import torch

    class Narrow(torch.nn.Module):
        """Widens its inputs."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: torch.Tensor) -> Any:
            """Outputs of the network."""
            return self.network(*(one.long() for one in inputs))

    return Narrow().eval()
