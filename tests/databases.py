"""A real PostgreSQL, started by a test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def folder_of_a_user() -> Iterator[Path]:
    """A folder that a user without rights can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="server-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def wait_until(works: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not works():
        assert time.monotonic() < end, "the server does not answer"
        time.sleep(0.1)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Runs while it lasts, with its data in a folder that a user can reach; gives its address."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if (
            shutil.which("runuser") is None
            or subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode
        ):
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    made = [*as_user, str(programs[-1]), "-D", str(data), "-U", "study", "--auth=trust", "--no-sync"]
    subprocess.run(made, check=True, **quiet)
    call = [str(programs[-1].with_name("postgres")), "-D", str(data), "-p", str(port), "-k", str(folder)]
    server = subprocess.Popen([*as_user, *call, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"], **quiet)
    try:
        wait_until(lambda: answers(port))
        yield f"postgresql://study@127.0.0.1:{port}/postgres"
    finally:
        stop = [*as_user, str(programs[-1].with_name("pg_ctl")), "-D", str(data), "-m", "immediate", "stop"]
        subprocess.run(stop, check=False, **quiet)
        server.wait(60)
