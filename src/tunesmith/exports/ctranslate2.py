"""A model for CTranslate2, by its own converter: decoders and encoder-decoders, in 8 bits where that is close enough."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith import params, quiet
from tunesmith.engines.ctranslate2 import FACTS, TOKENIZER
from tunesmith.errors import UsageError
from tunesmith.exports import base
from tunesmith.params import param

if TYPE_CHECKING:
    from tunesmith.bundle import Bundle

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
        try:
            from ctranslate2.converters import TransformersConverter
        except ImportError:
            raise base.missing_package("ctranslate2", "ctranslate2") from None
        own = base.writer(bundle, "ctranslate2")
        own.save_tokenizer(folder / TOKENIZER)
        kind = str(own.model.config.model_type)
        first, embedded = _BUILT.get(kind, (None, None))
        for name, value in (("normalize_before", first), ("normalize_embedding", embedded)):
            if value is not None and not hasattr(own.model.config, name):
                setattr(own.model.config, name, value)
        names = _names(own.tokenizer, own.facts.size)
        if kind == "marian":
            _keep_padding(own.model, names)

        class Converter(TransformersConverter):  # type: ignore[misc]
            """Converts the model that is in memory."""

            def load_model(self, *_: Any, **__: Any) -> Any:
                return own.model

            def load_tokenizer(self, *_: Any, **__: Any) -> Any:
                return _Named(own.tokenizer, names)

        converted = folder / "converted"
        with _quietly():
            try:
                converter = Converter(str(folder / TOKENIZER))
                converter.convert(str(converted), quantization=_NAMES[self.precision])
            except (ValueError, NotImplementedError, AttributeError, KeyError) as error:
                hint = "gguf, or merged, for other programs"
                raise UsageError(
                    f"CTranslate2 has no form for this model: {quiet.first_line(error)}", where=kind, hint=hint
                ) from error
        for file in converted.iterdir():
            file.rename(folder / file.name)
        converted.rmdir()
        (folder / FACTS).write_text(json.dumps(own.facts.to_json()), encoding="utf-8")
        if own.facts.has_encoder:
            _begin(folder, own.facts.start[0])


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


def _begin(folder: Path, start: int) -> None:
    """Have answers begin with a token."""
    tokens = json.loads((folder / "shared_vocabulary.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    told = {**config, "decoder_start_token": tokens[start], "add_source_bos": False, "add_source_eos": False}
    (folder / "config.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the converter's progress."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with quiet.transformers():
            yield
    finally:
        logger.setLevel(before)
