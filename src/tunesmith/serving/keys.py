"""API keys: a file of their hashes, with what each may do.

A key is random, so that its SHA-256 is as safe as the key is long; the file holds no key. It is read again when it changes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from tunesmith.bundle import write_text
from tunesmith.errors import DataError, UsageError
from tunesmith.serving.refusal import Refusal

Scope = Literal["infer", "admin", "metrics"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


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
    """The keys of a file.

    Raises:
        DataError: the file cannot be read or is no file of keys.
    """

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)
        self._read_at = 0.0
        self._keys: tuple[Key, ...] = ()
        self.all()

    def all(self) -> tuple[Key, ...]:
        """Every key, as the file has them now."""
        try:
            changed = self._file.stat().st_mtime
        except OSError as error:
            raise DataError(f"the keys cannot be read: {error.strerror}", where=str(self._file)) from None
        if changed != self._read_at:
            self._keys, self._read_at = read(self._file), changed
        return self._keys

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


def read(file: Path) -> tuple[Key, ...]:
    """The keys of a file.

    Raises:
        DataError: it is no file of keys.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["keys"]
        keys = tuple(Key(**{**row, "scopes": tuple(row["scopes"])}) for row in rows)
    except OSError as error:
        raise DataError(f"the keys cannot be read: {error.strerror}", where=str(file)) from None
    except (ValueError, KeyError, TypeError):
        raise DataError("is no file of keys", where=str(file), hint="make one: tunesmith keys add FILE NAME") from None
    unknown = sorted({scope for key in keys for scope in key.scopes} - set(SCOPES))
    if unknown:
        raise DataError(f"unknown scope '{unknown[0]}'", where=str(file), hint=f"legal: {', '.join(SCOPES)}")
    return keys


def add(file: Path, name: str, scopes: tuple[Scope, ...]) -> str:
    """Make a key and keep its hash; return the key, which is never shown again.

    Raises:
        UsageError: there is one of that name.
    """
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
    keys = read(file)
    if all(key.name != name for key in keys):
        hint = f"there are: {', '.join(key.name for key in keys) or 'none'}"
        raise UsageError(f"there is no key '{name}'", where=str(file), hint=hint)
    _write(file, tuple(key for key in keys if key.name != name))


def digest_of(key: str) -> str:
    """The hash that is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _write(file: Path, keys: tuple[Key, ...]) -> None:
    write_text(file, json.dumps({"keys": [asdict(key) for key in keys]}, indent=1))
    file.chmod(0o600)
