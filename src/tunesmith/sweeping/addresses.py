"""Addresses among engines: ``PROGRAM@http://HOST:PORT/v1#MODEL``; program and model only where they must be said.

A program that is not named is asked for: Tunesmith, vLLM and llama.cpp say of their models who serves them, and
``transformers serve`` describes a route that nobody else has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith import bundle
from tunesmith.asked_over_http import Client
from tunesmith.errors import EngineError, TunesmithError, UsageError, did_you_mean

PROGRAMS = ("tunesmith", "vllm", "llama.cpp", "transformers", "openai")
"""Of ``openai`` are all servers of which nothing more is known than that they speak OpenAI's protocol."""

_OWNERS = {"tunesmith": "tunesmith", "vllm": "vllm", "llamacpp": "llama.cpp", "llama.cpp": "llama.cpp"}
_SCHEMES = ("http://", "https://")
_TRANSFORMERS_ROUTE = "/load_model"


@dataclass(frozen=True)
class Address:
    """What a user writes for a server.

    Args:
        url: of the server.
        program: that runs there; None: it is asked.
        model: its name there; None: the only one.
    """

    url: str
    program: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Server:
    """A server that was found.

    Args:
        name: as the user wrote it.
        client: which reaches it.
        program: one of ``PROGRAMS``.
        model: its name there.
        about: what the server says of the model.
    """

    name: str
    client: Client
    program: str
    model: str
    about: Mapping[str, Any]


FILE = "server.json"


def keep(server: Server, folder: Path) -> None:
    """Say in a folder of answers whose they are.

    Raises:
        UsageError: there are answers of another program or model, or of the same model trained anew.
    """
    told = {"program": server.program, "model": server.model, "fingerprint": server.about.get("system_fingerprint")}
    file = folder / FILE
    if not file.exists():
        bundle.write_text(file, json.dumps(told))
    elif json.loads(file.read_text(encoding="utf-8")) != told:
        hint = "begin another study by --out"
        raise UsageError("the server has another model than when the study was begun", where=server.name, hint=hint)


def is_address(text: str) -> bool:
    """Whether an engine is named by an address.

    >>> is_address("vllm@http://127.0.0.1:8000/v1#bot"), is_address("int8")
    (True, False)
    """
    return text.startswith(_SCHEMES) or text.partition("@")[2].startswith(_SCHEMES)


def read(text: str) -> Address:
    """An address as it was written.

    Raises:
        UsageError: nobody knows the program.

    >>> read("vllm@http://127.0.0.1:8000/v1#bot")
    Address(url='http://127.0.0.1:8000/v1', program='vllm', model='bot')
    """
    program, url = (None, text) if text.startswith(_SCHEMES) else text.split("@", 1)
    if program is not None and program not in PROGRAMS:
        hint = did_you_mean(program, PROGRAMS) or f"legal: {', '.join(PROGRAMS)}"
        raise UsageError(f"no program '{program}'", where=text, hint=hint)
    url, _, model = url.partition("#")
    return Address(url, program, model or None)


def find(text: str, *, key_variable: str, timeout_s: float) -> Server:
    """The server at an address, asked what it has.

    Args:
        text: the address.
        key_variable: environment variable that holds the key.
        timeout_s: how long an answer may take.

    Raises:
        UsageError: that is no address, nothing answers there, or there is no such model.
    """
    address = read(text)
    client = Client.of(address.url, key_variable, timeout_s=timeout_s)
    try:
        models = _models(client, text)
    except EngineError as error:
        raise gone(error, text) from None
    model = address.model or _only(models, text)
    if model not in models and address.program != "transformers":  # which loads whatever it is asked for
        hint = did_you_mean(model, list(models)) or f"one of: {', '.join(models)}"
        raise UsageError(f"the server has no model '{model}'", where=text, hint=hint)
    about = models.get(model, {})
    return Server(text, client, address.program or _program(client, about), model, about)


def gone(error: TunesmithError, where: str) -> UsageError:
    """The error of a call that names a server which does not answer."""
    return UsageError(error.headline.message, where=where, hint=error.headline.hint)


def _models(client: Client, text: str) -> dict[str, Mapping[str, Any]]:
    told = client.get("/v1/models")
    listed = told.get("data") if isinstance(told, dict) else None
    found: dict[str, Mapping[str, Any]] = {
        str(one["id"]): one for one in listed or () if isinstance(one, dict) and one.get("id")
    }
    if not found:
        raise UsageError(
            "the server lists no models",
            where=text,
            hint="it may still be loading one, or be no server of OpenAI's form",
        )
    return found


def _only(models: Mapping[str, Any], text: str) -> str:
    if len(models) == 1:
        return next(iter(models))
    raise UsageError("which model is meant?", where=text, hint=f"write #MODEL behind it, one of: {', '.join(models)}")


def _program(client: Client, about: Mapping[str, Any]) -> str:
    if known := _OWNERS.get(str(about.get("owned_by")).lower()):
        return known
    try:
        described = client.get("/openapi.json")
    except TunesmithError:
        return "openai"
    paths = described.get("paths") if isinstance(described, dict) else None
    return "transformers" if isinstance(paths, dict) and _TRANSFORMERS_ROUTE in paths else "openai"
