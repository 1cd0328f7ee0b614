"""Command lines run in processes of their own, which can be killed; they start quickly, since the libraries are loaded once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_LOADED = ["tunesmith.train.run", "tunesmith.cli", "peft", "sklearn.metrics", "matplotlib.figure"]


def start(words: Sequence[str], output: Path, environment: Mapping[str, str] | None = None) -> BaseProcess:
    """Start ``tunesmith WORDS`` with what it prints going to a file."""
    _CONTEXT.set_forkserver_preload(_LOADED)
    child = _CONTEXT.Process(target=_run, args=(list(words), str(output), dict(environment or {})))
    child.start()
    return child


def _run(words: list[str], output: str, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where it is ignored
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from tunesmith import cli

    sys.exit(cli.main(words))
