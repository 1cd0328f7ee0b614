"""API keys: a file of their hashes, with what each may do.

A key is random, so that its SHA-256 is as safe as the key is long; the file holds no key. A thread reads it again and again,
so that requests never wait for a disk and no change is missed, however soon it follows another.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import secrets
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock

from tunesmith.bundle import write_text
from tunesmith.errors import DataError, UsageError, did_you_mean
from tunesmith.serving.refusal import Refusal

Scope = Literal["infer", "admin", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_LOG = logging.getLogger("tunesmith.serving")
_LOOK_EVERY_S = 0.25


@dataclass(frozen=True)
class Key:
    """Who asks, and what they may do."""

    name: str
    scopes: tuple[Scope, ...]
    digest: str = ""
    made_at: float = 0.0


ANYONE = Key("", SCOPES)
"""Whoever reaches a server without keys."""


class Keys:
    """The keys of a file, as it is now or was a moment ago (0.25 s). A file that is damaged meanwhile changes nothing.

    Raises:
        DataError: the file cannot be read or is no file of keys.
    """

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)
        self._content = _content(self._file)
        self._keys = parse(self._content, self._file)
        self._fault: str | None = None
        looking = threading.Thread(target=_look, args=[weakref.ref(self)], name="tunesmith keys", daemon=True)
        looking.start()

    def all(self) -> tuple[Key, ...]:
        """Every key."""
        return self._keys

    def look(self) -> None:
        """Read the file; where that fails, say so once and keep the keys that were."""
        try:
            content = _content(self._file)
            if content != self._content:
                self._keys, self._content = parse(content, self._file), content
                _LOG.info("the keys have changed: there are %d now", len(self._keys))
            self._fault = None
        except DataError as error:
            if str(error) != self._fault:
                _LOG.error("the keys stay as they were: %s", error)
            self._fault = str(error)

    def who(self, authorization: str | None) -> Key:
        """The key of an ``Authorization`` header, compared in constant time.

        Raises:
            Refusal: there is no such key.
        """
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not given.strip():
            raise Refusal("no API key was given", "invalid_api_key", 401, hint="send Authorization: Bearer KEY")
        digest, found = digest_of(given.strip()), None
        for key in self.all():
            if hmac.compare_digest(digest, key.digest):
                found = key
        if found is None:
            raise Refusal("there is no such API key", "invalid_api_key", 401)
        return found


def _look(keys: weakref.ref[Keys]) -> None:
    """Look after a file as long as somebody has its keys."""
    while True:
        time.sleep(_LOOK_EVERY_S)
        if (found := keys()) is None:
            return
        found.look()
        del found


def read(file: Path) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        DataError: it is no file of keys.
    """
    return parse(_content(file), file)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"the keys cannot be read: {error.strerror}", where=str(file)) from None


def parse(content: bytes, file: Path) -> tuple[Key, ...]:
    """The keys that some bytes hold.

    Raises:
        DataError: they are no file of keys.
    """
    try:
        rows = json.loads(content)["keys"]
        keys = tuple(Key(**{**row, "scopes": tuple(row["scopes"])}) for row in rows)
        whole = all(
            isinstance(key.name, str)
            and isinstance(key.made_at, (int, float))
            and re.fullmatch("[0-9a-f]{64}", key.digest)
            for key in keys
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise DataError("is no file of keys", where=str(file), hint="make one: tunesmith keys add FILE NAME")
    unknown = sorted({str(scope) for key in keys for scope in key.scopes} - set(SCOPES))
    if unknown:
        raise DataError(f"unknown scope '{unknown[0]}'", where=str(file), hint=f"legal: {', '.join(SCOPES)}")
    return keys


def add(file: Path, name: str, scopes: tuple[Scope, ...]) -> str:
    """Make a key and keep its hash; return the key, which is never shown again.

    Raises:
        UsageError: there is one of that name.
    """
    with _changing(file):
        keys = read(file) if file.exists() else ()
        if any(key.name == name for key in keys):
            raise UsageError(f"there is a key '{name}' already", where=str(file), hint="remove it first")
        made = f"ts-{secrets.token_urlsafe(32)}"
        _write(file, (*keys, Key(name, scopes, digest_of(made), time.time())))
    return made


def remove(file: Path, name: str) -> None:
    """Take a key away; a running server notices.

    Raises:
        UsageError: there is none of that name.
    """
    with _changing(file):
        keys = read(file)
        if all(key.name != name for key in keys):
            hint = did_you_mean(name, [key.name for key in keys]) or f"{len(keys)} others are there"
            raise UsageError(f"there is no key '{name}'", where=str(file), hint=hint)
        _write(file, tuple(key for key in keys if key.name != name))


@contextmanager
def _changing(file: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile."""
    with FileLock(file.with_name(f".{file.name}.lock")):
        yield


def digest_of(key: str) -> str:
    """The hash that is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _write(file: Path, keys: tuple[Key, ...]) -> None:
    write_text(file, json.dumps({"keys": [asdict(key) for key in keys]}, indent=1))
    file.chmod(0o600)
