"""A server that speaks OpenAI's protocol: found out what it is, asked, and waited for where it is full.

Its key comes from an environment variable, goes to the address that was named and nowhere else, and is in no message.
"""

from __future__ import annotations

import email.utils
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tunesmith.errors import EngineError, UsageError

KEY, MODEL = "TUNESMITH_ENGINE_KEY", "TUNESMITH_ENGINE_MODEL"
"""Environment variables: the key, and the model's name on a server that has several."""

FULL = (429, 503)
"""Statuses that say: come again."""
_TRIES = 6
_LONGEST_WAIT_S = 60.0


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, which would take the key elsewhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Nowhere."""
        return None


OPENER = urllib.request.build_opener(Stay)
"""Asks without following redirections."""


@dataclass(frozen=True)
class Server:
    """A server with a model.

    Args:
        address: with the version, such as ``http://host:8000/v1``.
        model: its name there.
        is_vllm: whether it says that it is vLLM.
        timeout_s: how long one answer may take.
    """

    address: str
    model: str = ""
    is_vllm: bool = False
    timeout_s: float = 300.0

    def __str__(self) -> str:
        return self.address

    @classmethod
    def at(cls, address: str, *, timeout_s: float = 300.0) -> Server:
        """The server at an address; ``/v1`` may be left out.

        Raises:
            UsageError: that is no address, or there are several models and none was named.
            EngineError: nothing answers there as a server of the protocol does.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("is no address of a server", where=address or "--engine-url", hint="http://HOST:8000/v1")
        if parts.username or parts.password or parts.query:
            where = f"{parts.scheme}://{parts.hostname}"
            raise UsageError("the address holds more than a place", where=where, hint=f"give a key in {KEY}")
        root = address.rstrip("/").removesuffix("/v1")
        bare = cls(f"{root}/v1", timeout_s=timeout_s)
        listed = bare._json("GET", f"{root}/v1/models")
        models = listed.get("data")
        if (
            not isinstance(models, list)
            or not models
            or not all(isinstance(one, dict) and one.get("id") for one in models)
        ):
            raise EngineError("the server lists no models", where=address)
        owned = {one["id"]: one.get("owned_by") for one in models}
        name = os.environ.get(MODEL) or (next(iter(owned)) if len(owned) == 1 else "")
        if name not in owned:
            what = f"the server has no model '{name}'" if name else "the server has several models"
            raise UsageError(what, where=MODEL, hint=f"one of: {', '.join(owned)}")
        return cls(bare.address, name, bare._says_vllm(root, owned[name]), timeout_s)

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """What comes after a prompt, with the parameters beside it.

        Raises:
            EngineError: it is full for too long, refuses, or fails.
        """
        return self._json("POST", f"{self.address}/completions", {"model": self.model, **body})

    def _says_vllm(self, root: str, owner: Any) -> bool:
        """VLLM tells its version beside the protocol, and owns what it serves (or an adapter of it)."""
        try:
            told = self._json("GET", f"{root}/version")
        except EngineError:
            return False
        return isinstance(told.get("version"), str) and owner == "vllm"

    def _json(self, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        key = os.environ.get(KEY)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, content, headers, method=method)
        for attempt in range(_TRIES):
            try:
                with OPENER.open(request, timeout=self.timeout_s) as answer:
                    found = json.load(answer)
                break
            except urllib.error.HTTPError as error:
                if error.code not in FULL or attempt == _TRIES - 1:
                    raise EngineError(_refusal(error), where=url) from None
                time.sleep(wait_s(error.headers.get("Retry-After"), attempt))
            except TimeoutError:
                raise EngineError(f"no answer within {self.timeout_s:g} s", where=url) from None
            except (OSError, ValueError) as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, TimeoutError):
                    raise EngineError(f"no answer within {self.timeout_s:g} s", where=url) from None
                raise EngineError(f"the server cannot be asked: {reason}", where=url) from None
        if not isinstance(found, dict):
            raise EngineError("the server's answer is no JSON object", where=url)
        return found


def wait_s(told: str | None, attempt: int) -> float:
    """Seconds to wait: as the server says, in seconds or as a date, else ever longer; at most a minute.

    >>> wait_s("2", 0), wait_s(None, 3)
    (2.0, 4.0)
    """
    try:
        wait = float(told) if told else 0.5 * 2**attempt
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(str(told)).timestamp() - time.time()
        except ValueError:
            wait = 0.5 * 2**attempt
    return min(max(0.0, wait), _LONGEST_WAIT_S)


def _refusal(error: urllib.error.HTTPError) -> str:
    """What the server says against it."""
    try:
        told = json.load(error)
        inner = told.get("error", told)
        message = inner.get("message") if isinstance(inner, dict) else inner
    except (ValueError, OSError, AttributeError):
        message = None
    return f"the server refuses, {error.code}: {str(message or error.reason)[:500]}"
