"""A file for llama.cpp and Ollama, of decoders like Llama, Mistral, Qwen and GPT-2; a Modelfile lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith import params
from tunesmith.errors import BundleError
from tunesmith.exports import base
from tunesmith.llama_cpp import running
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle

FILE = "model.gguf"
_BOUNDS = {"fp32": 0.002, "fp16": 0.02, "bf16": 0.05, "q8_0": 0.1, "q5_1": 0.2, "q4_1": 0.3, "q4_0": 0.3}
_COMPARED_TEXTS = 8


class Params(params.Params):
    """How the weights are written."""

    precision: Literal["fp32", "fp16", "bf16", "q8_0", "q5_1", "q4_1", "q4_0"] = param(
        "fp16",
        "Number format of the matrices, by llama.cpp's names. In llama.cpp a probability among the golden answers may move by 0.002 (fp32), 0.02 (fp16), 0.05 (bf16), 0.1 (q8_0), 0.2 (q5_1) or 0.3 (q4_1, q4_0).",
    )


class Export(base.Export):
    """``gguf/model.gguf``, which is run in llama.cpp to be compared, where the package xllamacpp is installed."""

    place = "gguf"
    options: Params

    def __init__(self, options: Params) -> None:
        super().__init__(options)
        self.tolerance = _BOUNDS[options.precision]

    @property
    def precision(self) -> str:
        return self.options.precision

    def write(self, bundle: Bundle, folder: Path) -> None:
        try:
            import gguf
        except ImportError:
            raise base.missing_package("gguf", "gguf") from None
        from tunesmith.llama_cpp import modelfile, vocabulary, weights

        own = base.writer(bundle, "gguf")
        family = weights.family_of(own.model.config)
        writer = gguf.GGUFWriter(str(folder / FILE), family.architecture)
        try:
            writer.add_name(bundle.folder.resolve().name)
            weights.add_sizes(writer, own.model.config, family)
            vocabulary.add(writer, own.tokenizer, own.facts.size, own.facts.ends)
            weights.add_tensors(writer, own.model, family, self.precision)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()
        (folder / "Modelfile").write_text(
            modelfile.text(FILE, bundle.task, own.tokenizer, own.facts.ends, dict(bundle.config.request)),
            encoding="utf-8",
        )

    def drift(self, bundle: Bundle, inputs: list[Any], then: list[Any], folder: Path) -> float | None:
        if not running.is_here():
            return None
        from tunesmith.predict import Model

        own = base.writer(bundle, "gguf")
        engine = running.Engine(folder / FILE, own.facts, own.tokenizer)
        for text in _texts(inputs)[:_COMPARED_TEXTS]:
            if not engine.reads_as(text, own.tokenizer(text)["input_ids"]):
                hint = "nothing was kept; export --to merged keeps the tokenizer as it is"
                raise BundleError("llama.cpp makes other tokens of a golden text", where=repr(text[:60]), hint=hint)
        now = Model(bundle, engine, own.tokenizer).golden(inputs)
        return float(bundle.task.drift(then, now, bundle.target))


def _texts(value: Any) -> list[str]:
    """The texts in an input."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [text for part in parts for text in _texts(part)]
