"""The database of a log: its address, its driver, its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith import quiet
from tunesmith.errors import SourceError, UsageError

_LOCKED_S = 5
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def shown(url: str) -> str:
    """A URL without its password.

    >>> shown("postgresql://me:secret@host/log"), shown("log.db")
    ('postgresql://me:***@host/log', 'log.db')
    """
    head, at, rest = url.rpartition("@")
    user, colon, _ = head.partition("://")[2].partition(":")
    return f"{head.partition('://')[0]}://{user}:***@{rest}" if at and colon else url


def engine(url: str, *, make: bool) -> Any:
    """An engine of SQLAlchemy; nothing is asked of the database yet.

    Args:
        url: as SQLAlchemy writes it, or the path of an SQLite file.
        make: whether a file may be made where there is none.

    Raises:
        UsageError: it is no address, there is no such file, or the driver is not installed.
    """
    try:
        import sqlalchemy as sa
    except ModuleNotFoundError as error:
        raise UsageError(f"a log needs {error.name}", hint="pip install 'tunesmith[sql]'") from None
    if "://" not in url:
        url = f"sqlite:///{url}"
    try:
        asked = sa.make_url(url)
        asked = asked.set(drivername=_DRIVERS.get(asked.drivername, asked.drivername))
        lite = asked.get_backend_name() == "sqlite"
        if lite:
            _check_file(asked.database, make=make)
        made = sa.create_engine(asked, connect_args=_patience(asked.get_backend_name()), pool_pre_ping=not lite)
    except (ModuleNotFoundError, sa.exc.NoSuchModuleError) as error:
        hint = "pip install 'tunesmith[postgresql]'" if "psycopg" in str(error) else None
        raise UsageError(f"the database's driver is missing: {error}", where=shown(url), hint=hint) from None
    except sa.exc.ArgumentError:
        raise UsageError("is no address of a database", where=shown(url), hint="such as sqlite:///log.db") from None
    if lite:
        sa.event.listen(made, "connect", _prepare_sqlite)
    return made


def _patience(backend: str) -> dict[str, Any]:
    """How a driver is told to give up soon where the database is locked or away."""
    if backend == "sqlite":
        return {"timeout": _LOCKED_S}
    if backend == "postgresql":
        return {"connect_timeout": _LOCKED_S, "options": f"-c lock_timeout={1000 * _LOCKED_S}"}
    return {}


def _check_file(database: str | None, *, make: bool) -> None:
    if not database or database == ":memory:":
        raise UsageError("a log in memory is nowhere kept", hint="such as sqlite:///log.db")
    file = Path(database)
    if not make and not file.is_file():
        raise UsageError("there is no such log", where=database, hint="made by: serve --prediction-log")
    if not file.parent.is_dir():
        raise UsageError("there is no such folder", where=str(file.parent))


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Readers do not wait for the writer, and feedback goes with its prediction."""
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


@contextmanager
def asked(where: str) -> Iterator[None]:
    """Errors of a database, while something is asked of it, as those of users.

    Raises:
        UsageError: it refuses what it is asked.
        SourceError: it does not answer, is locked or full.
    """
    import sqlalchemy as sa

    try:
        yield
    except (sa.exc.DataError, sa.exc.IntegrityError, sa.exc.ProgrammingError) as error:
        raise UsageError(f"the log refuses: {quiet.first_line(error)}", where=where) from None
    except sa.exc.SQLAlchemyError as error:
        raise SourceError(f"the log does not answer: {quiet.first_line(error)}", where=where) from None
