"""The bundle: the folder that a run leaves, complete enough to answer, and readable by the field's own libraries.

config.yaml            the run's config, completely filled
bundle.json            what was learned beside weights: labels, thresholds, precision, hashes, versions
config.json, *.safetensors, tokenizer...   the base model as transformers saves it, or the adapter as PEFT does
adapter.safetensors    instead of the latter, where PEFT lacks the adapter
head/                                      the head
modules.json, 1_Pooling/, 2_Dense/ ...     the same in sentence-transformers' layout, where that can express it
onnx/ ...              the model in another form, with its own record and golden answers (see ``exported``)
engine.json            the engine that was fastest, by the machine that it was measured on
golden.jsonl           a few inputs with their outputs, replayed wherever the bundle is loaded anew
training.json          what the training rows were like, to tell later whether what is asked has changed
report.json, report.html, README.md, predictions.jsonl   how good it is
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import config as configs
from tunesmith import plugins, quiet, sources
from tunesmith.config import Config
from tunesmith.errors import BundleError, TrainingError, UsageError
from tunesmith.sources import scratch
from tunesmith.tasks.base import Target, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from tunesmith.adapters.base import Adapter
    from tunesmith.networks.network import Network
    from tunesmith.networks.shared import Bases

FORMAT = 2
_HASHED = (".safetensors", ".json", ".txt", ".model")
_FREE = ("bundle.json", "report.json", "engine.json", "training.json", "presets.json")
"""What changes no answer by itself, or may change."""
_CONFIG = "config.yaml"
_READABLE = 0o644  # safetensors writes files that only their owner may read, and another user may serve them
_RESUMABLE = "the run can be resumed when there is room"
_LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "accelerate")


@dataclass(frozen=True)
class Bundle:
    """A saved model.

    Args:
        folder: where it lies.
        config: the filled config of its run.
        target: what it predicts.
        base_fingerprint: hash of the base model, if the bundle holds an adapter alone.
        untuned: whether the base model is meant as it was before training, read as the bundle's own is.
        bases: base models that its weights are shared with; None: it loads its own.
    """

    folder: Path
    config: Config
    target: Target
    base_fingerprint: str | None = None
    untuned: bool = False
    bases: Bases | None = field(default=None, compare=False)

    @property
    def task(self) -> Task:
        """The task plugin with the run's options."""
        task: Task = plugins.load("tasks", self.config.task_name)(self.config.task)
        return task

    @property
    def precision(self) -> str:
        """Number format that it was trained and evaluated in."""
        return self.config.train.precision

    def network(self, adapter: Adapter | None = None, *, merged: bool = False) -> Network:
        """The network with its weights, on the CPU.

        Args:
            adapter: puts the weights in, and can save them afterwards; None: one of its own.
            merged: its adapter is part of the base model's weights.

        Raises:
            UsageError: it is wanted untuned, and there was nothing before training that could answer; or merged, and
                the adapter is no change of weights.
        """
        from safetensors.torch import load_file

        if self.untuned:
            return self._untuned_network()
        backbone = self._backbone(adapter or self.adapter(), merged=merged)
        network = self.task.network(backbone, self.target, self.config.model)
        network.head.load_state_dict(load_file(self.folder / "head" / "model.safetensors"))
        return network.eval()

    def tokenizer(self) -> Any:
        """The tokenizer."""
        return self.task.load_tokenizer(self.folder, self.described)

    @property
    def described(self) -> Path:
        """The folder with the config of its model: its own, or the base model's where it holds an adapter alone."""
        return sources.resolve(self.config.model.base or "").path if self.base_fingerprint else self.folder

    def _untuned_network(self) -> Network:
        """The base model as it was, where that can answer by itself."""
        if scratch.is_scratch(self.config.model.base):
            raise UsageError("the model was made from nothing: there is none before training", where=str(self.folder))
        base = self.task.load_base(sources.resolve(self.config.model.base or "").path, bases=self.bases)
        network = self.task.network(base, self.target, self.config.model)
        if any(True for _ in network.head.parameters()):
            hint = "only models that write have answers before training"
            raise UsageError(f"untuned, the head for {self.config.task_name} knows nothing", hint=hint)
        return network.eval()

    def adapter(self) -> Adapter:
        """A fresh adapter plugin with the run's options."""
        adapter: Adapter = plugins.load("adapters", self.config.adapter_name)(self.config.adapter)
        return adapter

    def _backbone(self, adapter: Adapter, *, merged: bool) -> Any:
        if self.base_fingerprint is None:  # whole from the start, or merged
            return self.task.load_base(self.folder)
        assert self.config.model.base is not None
        source = sources.resolve(self.config.model.base)
        if sources.fingerprint(source.path) != self.base_fingerprint:
            hint = "the adapter only fits the base model that it was trained on"
            raise BundleError(
                f"the base model {self.config.model.base} has changed since this bundle was made",
                where=str(self.folder),
                hint=hint,
            )
        backbone = self.task.load_base(source.path, bases=self.bases)
        adapter.restore(backbone, self.folder)
        if merged:
            adapter.merge(backbone)
        return backbone


def open_bundle(folder: str | Path, *, whole: bool = True) -> Bundle:
    """Open a saved model and check that it is whole.

    Args:
        folder: where it lies.
        whole: whether its files are held against their hashes; those who need no weights may leave that out.

    Raises:
        BundleError: it is missing, unfinished, damaged or of a newer format.
    """
    folder = Path(folder)
    described = _describe(folder)
    if described["format"] > FORMAT:
        made_by = described["versions"].get("tunesmith")
        raise BundleError(f"made by a newer version ({made_by})", where=str(folder), hint="upgrade tunesmith")
    try:
        config = configs.resolve(folder / _CONFIG, environment={})
    except UsageError as error:
        problems = error.problems or (error.headline,)
        raise BundleError("damaged: its config cannot be read", where=str(folder), problems=problems) from None
    _check_files(folder, described["files"] if whole else {})
    return Bundle(folder, config, Target.from_json(described["target"]), described["base_fingerprint"])


def _check_files(folder: Path, files: Mapping[str, str]) -> None:
    damaged = [name for name, expected in files.items() if not is_intact(folder / name, expected)]
    if damaged:
        hint = "request parameters of your own are presets: they go into presets.json" if _CONFIG in damaged else None
        message = f"damaged: {', '.join(damaged)} changed or missing since the bundle was made"
        raise BundleError(message, where=str(folder), hint=hint)


def write(folder: Path, network: Network, tokenizer: Any, config: Config, target: Target, adapter: Adapter) -> Bundle:
    """Save a trained network as a bundle; ``bundle.json``, which makes it one, is written last.

    Raises:
        TrainingError: the folder cannot be written or is full.
    """
    from safetensors import SafetensorError

    names = dict(enumerate(target.labels))
    network.backbone.model.config.id2label = names
    network.backbone.model.config.label2id = {label: number for number, label in names.items()}
    fingerprint = None
    if adapter.needs_base:
        assert config.model.base is not None
        fingerprint = sources.fingerprint(sources.resolve(config.model.base).path)
    try:
        with quiet.transformers():
            adapter.save(network.backbone, folder)
            tokenizer.save_pretrained(str(folder))
        _write_head(folder, network)
        write_text(folder / _CONFIG, configs.to_yaml(config))
        described = description(folder, config, target, fingerprint)
        write_text(folder / "bundle.json", json.dumps(described, indent=1, ensure_ascii=False))
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or quiet.first_line(error)
        raise TrainingError(f"the model cannot be written: {why}", where=str(folder), hint=_RESUMABLE) from None
    return Bundle(folder, config, target, fingerprint)


def description(folder: Path, config: Config, target: Target, fingerprint: str | None) -> dict[str, Any]:
    """What ``bundle.json`` says; it covers by their hashes all files that answers depend on, but presets, which may change."""
    places = (folder, folder / "head", *sorted(folder.glob("[1-9]_*")))
    needed = (path for place in places for path in sorted(place.glob("*")))
    hashed = [folder / _CONFIG, *(path for path in needed if path.suffix in _HASHED and path.name not in _FREE)]
    for path in hashed:
        path.chmod(_READABLE)
    return {
        "format": FORMAT,
        "task": config.task_name,
        "target": target.to_json(),
        "base_fingerprint": fingerprint,
        "versions": {
            "tunesmith": version("tunesmith"),
            "python": platform.python_version(),
            **{name: version(name) for name in _LIBRARIES},
        },
        "files": {path.relative_to(folder).as_posix(): digest(path) for path in hashed},
    }


def write_text(file: Path, text: str) -> None:
    """Write a text file all at once."""
    unfinished = file.with_name(f".new-{file.name}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)


def _write_head(folder: Path, network: Network) -> None:
    """The head's weights; and, where that has modules for them, once more as sentence-transformers reads them."""
    from safetensors.torch import save_file

    (folder / "head").mkdir(exist_ok=True)
    save_file(_plain(network.head.state_dict()), folder / "head" / "model.safetensors")
    modules = [("", "Transformer")]
    for number, layer in enumerate(network.head.layout(), 1):
        place = folder / f"{number}_{layer.kind}"
        place.mkdir(exist_ok=True)
        if layer.settings:
            write_text(place / "config.json", json.dumps(layer.settings))
        if layer.weights:
            save_file(_plain(layer.weights), place / "model.safetensors")
        modules.append((place.name, layer.kind))
    if len(modules) > 1:
        rows = [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in enumerate(modules)
        ]
        write_text(folder / "modules.json", json.dumps(rows, indent=1))


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as safetensors takes them."""
    return {name: weight.contiguous() for name, weight in weights.items()}


def _describe(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise BundleError(
            "no such bundle", where=str(folder), hint="a bundle is the folder that `tunesmith train` leaves"
        )
    file = folder / "bundle.json"
    if not file.exists():
        unfinished = (folder / "config.yaml").exists()
        hint = f"the run is not finished: tunesmith resume {folder}" if unfinished else "a bundle holds a bundle.json"
        raise BundleError("not a bundle", where=str(folder), hint=hint)
    try:
        described: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise BundleError("damaged: bundle.json is not JSON", where=str(folder)) from None
    if not isinstance(described, dict) or not {"format", "target", "versions", "files"} <= described.keys():
        raise BundleError("damaged: bundle.json does not describe a bundle", where=str(folder))
    return described


def digest(file: Path) -> str:
    """Hash of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_intact(file: Path, expected: str) -> bool:
    """Whether a file is there and has this digest."""
    return file.exists() and digest(file) == expected
