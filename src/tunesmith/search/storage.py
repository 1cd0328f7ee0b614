"""Where a study is kept: SQLite in its folder, or a server that several machines reach."""

from __future__ import annotations

import re
import socket
import warnings
from pathlib import Path
from typing import Any

from tunesmith import quiet
from tunesmith.errors import SourceError, UsageError

FILE = "study.db"
"""The SQLite file in a study's folder."""

_REDIS = ("redis://", "rediss://", "unix://")
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}
_LOCKED_S = 120


def library() -> Any:
    """Optuna, which an extra brings; it prints nothing by itself.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UsageError(f"a search needs {error.name}", hint="pip install 'tunesmith[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_storage(url: str | None, folder: Path) -> Any:
    """An Optuna storage.

    Args:
        url: of the storage; None: a file in ``folder``.
        folder: of the study.

    Raises:
        UsageError: no such kind of storage, or its driver is not installed.
        SourceError: the server cannot be reached or refuses.
    """
    library()
    try:
        return _redis(url) if url and url.startswith(_REDIS) else _database(url, folder)
    except ModuleNotFoundError as error:
        extra = "redis" if url and url.startswith(_REDIS) else "postgresql"
        hint = (
            f"pip install 'tunesmith[{extra}]'" if error.name in ("redis", "psycopg") else f"pip install {error.name}"
        )
        raise UsageError(f"this storage needs {error.name}", where="--storage", hint=hint) from None
    except (UsageError, SourceError):
        raise
    except Exception as error:  # every driver fails in its own way
        if type(error).__module__.split(".")[0] not in ("sqlalchemy", "redis", "psycopg", "optuna", "builtins"):
            raise
        raise SourceError(
            f"the storage cannot be opened: {quiet.first_line(error)}", where=shown(url) if url else str(folder / FILE)
        ) from error


def of(study: Any) -> Any:
    """The storage of a study, for which Optuna has no public name."""
    return study._storage


def shown(url: str) -> str:
    """A URL without its password.

    >>> shown("postgresql://me:secret@host/studies")
    'postgresql://me:***@host/studies'
    """
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)


def here() -> str:
    """Where a process number means a process: this machine since it was started, and its container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _redis(url: str) -> Any:
    import redis  # noqa: F401 - Optuna tells of its absence only in a long text
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalRedisBackend

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return JournalStorage(JournalRedisBackend(url, prefix="tunesmith"))


def _database(url: str | None, folder: Path) -> Any:
    from optuna.storages import RDBStorage

    if url is None:
        return RDBStorage(f"sqlite:///{(folder / FILE).absolute()}", engine_kwargs=_waiting())
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise UsageError(
            f"'{url}' is no URL",
            where="--storage",
            hint="such as postgresql://user:password@host/name, redis://host:6379/0",
        )
    options = _waiting() if scheme.startswith("sqlite") else {"pool_pre_ping": True}
    return RDBStorage(f"{_DRIVERS.get(scheme, scheme)}://{rest}", engine_kwargs=options)


def _waiting() -> dict[str, Any]:
    """A writer waits for another one rather than fail."""
    return {"connect_args": {"timeout": _LOCKED_S}}
