"""The model that a parameter is looked at on, and the inputs: of a call, of a file, or those that a bundle keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import config as configs
from tunesmith import plugins, predict, sources
from tunesmith.bundle import Bundle
from tunesmith.data.labelled import read_labelled
from tunesmith.errors import UsageError
from tunesmith.predict import Model
from tunesmith.tasks.base import Target

if TYPE_CHECKING:
    import pyarrow as pa

_CHAT, _ENGINE = "chat", "pytorch"
_LENGTH = 1024


def open_model(reference: str) -> Model:
    """A bundle, or a base model that writes as it was before any training, which is asked as a chat.

    A bundle that writes is opened by PyTorch, since its logits are wanted; others by the engine that answers requests.

    Raises:
        BundleError, SourceError: there is none, or it is damaged.
    """
    folder = Path(reference)
    if folder.is_dir() and ((folder / "bundle.json").exists() or not (folder / "config.json").exists()):
        return predict.load(folder, _ENGINE if _writes(folder) else None)
    encoders = [alias.name for alias in sources.aliases() if alias.kind == "encoder"]
    if reference in encoders:
        raise UsageError(f"{reference} answers nothing before it is trained", hint="name the folder of a bundle")
    given = {"task": _CHAT, "model.base": reference, "model.max_length": _LENGTH, "train.precision": "fp32"}
    config = configs.resolve(keywords=given, environment={})
    kind = plugins.module("tasks", _CHAT).Task.kind
    opened = Bundle(sources.resolve(reference).path, config, Target(kind), untuned=True)
    return Model(opened, plugins.load("engines", _ENGINE).open(opened), opened.tokenizer())


def rows_of(model: Model, prompts: Sequence[str], data: str | None, most: int, folder: Path) -> pa.Table:
    """Canonical rows: of the prompts, or the first ones of a labelled file, or what the bundle keeps of its validation rows.

    Raises:
        UsageError: there is nothing to ask, or it cannot be read.
        DataError: rows of the file cannot be used.
    """
    if prompts:
        return model.rows([predict.typed(text, model.task.inputs) for text in prompts])
    if data is not None:
        return read_labelled(data, model.bundle.config, model.target, folder).slice(0, most)
    if model.bundle.untuned:
        raise UsageError("a model without training keeps no inputs", hint="give --prompt TEXT, or --data FILE")
    return model.rows(model.golden_inputs()[:most])


def _writes(folder: Path) -> bool:
    try:
        task: Any = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["task"]
        return bool(plugins.load("tasks", task).writes)
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return False  # opening it tells what is wrong
