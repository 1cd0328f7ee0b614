"""A model for CTranslate2, by its own converter: decoders and encoder-decoders, in 8 bits where that is close enough."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith import params, quiet
from tunesmith.engines.ctranslate2 import FACTS, TOKENIZER
from tunesmith.errors import UsageError
from tunesmith.exports import base
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle
    from tunesmith.generation.facts import Facts

_NAMES = {"fp32": "float32", "int8": "int8", "int16": "int16", "fp16": "float16", "bf16": "bfloat16"}
_BOUNDS = {"fp32": 1e-4, "int16": 0.02, "fp16": 0.02, "bf16": 0.05, "int8": 0.1}
_BUILT = {"bart": (False, True), "mbart": (True, True), "pegasus": (True, False)}
"""Of families whose configs no longer say it: whether blocks normalise first, and whether embeddings are normalised."""


class Params(params.Params):
    """How the weights are written."""

    precision: Literal["fp32", "int8", "int16", "fp16", "bf16"] = param(
        "int8",
        "Number format of the weights. A probability among the golden answers may move by 0.0001 (fp32), 0.02 (int16, fp16), 0.05 (bf16) or 0.1 (int8).",
    )


class Export(base.Export):
    """A folder ``ctranslate2/`` that CTranslate2 opens by itself too."""

    engine = place = "ctranslate2"
    options: Params

    def __init__(self, options: Params) -> None:
        super().__init__(options)
        self.tolerance = _BOUNDS[options.precision]

    @property
    def precision(self) -> str:
        return self.options.precision

    def write(self, bundle: Bundle, folder: Path) -> None:
        own = base.writer(bundle, "ctranslate2")
        own.save_tokenizer(folder / TOKENIZER)
        convert(own.model, own.tokenizer, own.facts, folder, _NAMES[self.precision])


def convert(model: Any, tokenizer: Any, facts: Facts, folder: Path, quantization: str) -> None:
    """Write a model of transformers as CTranslate2 reads it, with what else must be known of it.

    Args:
        model: is of no use afterwards.
        tokenizer: the model's.
        facts: of the model.
        folder: where it goes.
        quantization: of the weights, by CTranslate2's names.

    Raises:
        UsageError: the package is missing, or it has no form for such a model.
    """
    try:
        from ctranslate2.converters import TransformersConverter
    except ImportError:
        raise base.missing_package("ctranslate2", "ctranslate2") from None
    kind = str(model.config.model_type)
    names = _names(tokenizer, facts.size)
    _complete(model, names)

    class Converter(TransformersConverter):  # type: ignore[misc]
        """Converts the model that is in memory."""

        def load_model(self, *_: Any, **__: Any) -> Any:
            return model

        def load_tokenizer(self, *_: Any, **__: Any) -> Any:
            return _Named(tokenizer, names)

    with quiet.transformers(), tempfile.TemporaryDirectory() as described:
        model.config.save_pretrained(described)
        converted = Path(described) / "converted"
        try:
            Converter(described).convert(str(converted), quantization=quantization)
        except (ValueError, NotImplementedError, AttributeError, KeyError) as error:
            hint = "gguf, or merged, for other programs"
            what = f"CTranslate2 has no form for this model: {quiet.first_line(error)}"
            raise UsageError(what, where=kind, hint=hint) from error
        folder.mkdir(parents=True, exist_ok=True)
        for file in converted.iterdir():
            shutil.move(file, folder / file.name)
    (folder / FACTS).write_text(json.dumps(facts.to_json()), encoding="utf-8")
    _settle(folder / "config.json", names, facts)


def _complete(model: Any, names: list[str]) -> None:
    """Have the model say what the converter asks of it."""
    for name, value in zip(
        ("normalize_before", "normalize_embedding"), _BUILT.get(model.config.model_type, ()), strict=False
    ):
        if not hasattr(model.config, name):
            setattr(model.config, name, value)
    if model.config.model_type == "marian":
        _keep_padding(model, names)


class _Named:
    """A tokenizer that has a name for every row of the model's vocabulary."""

    def __init__(self, tokenizer: Any, names: list[str]) -> None:
        self._tokenizer, self._names = tokenizer, names
        self.num_madeup_words = 0

    def get_vocab(self) -> dict[str, int]:
        """Numbers by name."""
        return {name: number for number, name in enumerate(self._names)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def _names(tokenizer: Any, size: int) -> list[str]:
    """A name of its own for each token of the vocabulary."""
    known = {number: name for name, number in tokenizer.get_vocab().items()}
    return [known.get(number, f"<unused {number}>") for number in range(size)]


def _keep_padding(model: Any, names: list[str]) -> None:
    """Give the converter a last row to take off: it takes Marian's for padding, which then would be missing.

    A softmax over one token less gives other probabilities. The row is named as the converter looks for it.
    """
    model.resize_token_embeddings(len(names) + 1, mean_resizing=False)
    names[:] = ["<padding>" if name == "<pad>" else name for name in names]
    names.append("<pad>")


def _settle(file: Path, names: list[str], facts: Facts) -> None:
    """Have answers begin with the model's own token, and name a token where the tokenizer has none of a kind."""
    told = json.loads(file.read_text(encoding="utf-8"))
    end = names[min(facts.ends, default=0)]
    told |= {name: end for name in ("bos_token", "eos_token") if told.get(name) is None}
    if told.get("unk_token") is None:
        told["unk_token"] = ""
    if facts.has_encoder:
        told |= {"decoder_start_token": names[facts.start[0]], "add_source_bos": False, "add_source_eos": False}
    file.write_text(json.dumps(told, indent=1), encoding="utf-8")
