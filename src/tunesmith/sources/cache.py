"""The cache folder: where fetched models and data are kept, and what may enter it.

A folder appears in it whole or not at all, whichever process fetches it and whenever that process is killed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from filelock import FileLock

from tunesmith.errors import SourceError

MODEL_SUFFIXES = frozenset(
    {".safetensors", ".gguf", ".json", ".txt", ".model", ".jinja", ".spm", ".bpe", ".vocab", ".md"}
)
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".xlsx", ".conll", ".txt", ".md"})
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_COMPRESSIONS = frozenset({".gz", ".zst"})
_ARCHIVES = (".tar.gz", ".zip")
"""Kept whole: what is inside is for the reader to judge, member by member."""


def is_data(name: str) -> bool:
    """Whether a file's name says that it holds only data: no code, no pickle, nothing that can be executed.

    >>> is_data("model/config.json"), is_data("train.csv.gz"), is_data("pytorch_model.bin"), is_data("a.pkl.gz")
    (True, True, False, False)
    """
    path = PurePosixPath(name)
    if name.lower().endswith(_ARCHIVES):
        return True
    suffix = PurePosixPath(path.stem).suffix if path.suffix in _COMPRESSIONS else path.suffix
    return suffix.lower() in MODEL_SUFFIXES | TABLE_SUFFIXES


def folder() -> Path:
    """The cache folder: ``$TUNESMITH_CACHE``, else ``~/.cache/tunesmith``."""
    return Path(os.environ.get("TUNESMITH_CACHE") or "~/.cache/tunesmith").expanduser().absolute()


def filled(target: Path, fill: Callable[[Path], None]) -> Path:
    """Return the folder ``target``, calling ``fill`` to make its content if it is not there yet.

    ``fill`` writes into a folder beside it that is then renamed; other processes wait for the one that fills.

    Raises:
        SourceError: the folder cannot be written; whatever ``fill`` raises passes through.
    """
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not target.is_dir():
                _fill(target, fill)
    except OSError as error:
        hint = "free some space, or set TUNESMITH_CACHE to a folder that can be written"
        raise SourceError(f"cannot keep a download in {target.parent}: {error}", hint=hint) from error
    return target


def _fill(target: Path, fill: Callable[[Path], None]) -> None:
    """Make the folder under the lock: what lies in its place was left by a process that was killed."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        fill(partial)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
