"""The files in ``deploy/`` as those read them who use them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from tunesmith import cli
from tunesmith.serving import server
from tunesmith.serving.options import Options

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
LONGEST_END_S = 12.0
"""After the drain: streams are told that they end, and workers are waited for."""


@dataclass(frozen=True)
class Call:
    """What the server would be started with."""

    folders: dict[str, str]
    options: Options


def understood(words: Sequence[str]) -> Call:
    """What the command line makes of words, all but serving.

    Raises:
        AssertionError: it refuses them.
    """
    calls: list[Call] = []

    def note(folders: dict[str, str], options: Options) -> None:
        calls.append(Call(folders, options))

    with patch.object(server, "run", note):
        assert cli.main(list(words)) == 0, words
    return calls[0]


def parsed(name: str) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return [one for one in yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")) if one]


def instructions(name: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, in order."""
    lines = (DEPLOY / name).read_text(encoding="utf-8").splitlines()
    joined = "\n".join(line for line in lines if not line.lstrip().startswith("#")).replace("\\\n", " ")
    found = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, _, rest in found]


def words_of(arguments: str) -> list[str]:
    """Arguments in either of the forms that a Dockerfile has."""
    return list(json.loads(arguments)) if arguments.startswith("[") else shlex.split(arguments)
