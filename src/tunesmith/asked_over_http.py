"""A server of models, asked over HTTP by Python's own library: waited for where it is full, its errors told as it tells them.

The key comes from an environment variable, goes to the address that was named and nowhere else, and is in no message.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from tunesmith import params, plugins
from tunesmith.errors import EngineError, UsageError
from tunesmith.generation.servers import FULL, Stay, wait_s

_TRIES = 6
_PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "embeddings": "/v1/embeddings"}


class Unreachable(EngineError):  # noqa: N818
    """Nothing answers there."""


class Refused(UsageError):  # noqa: N818
    """The server refuses the request; it would refuse it again.

    Args:
        status: of HTTP.
    """

    def __init__(self, message: str, *, where: str, status: int) -> None:
        super().__init__(message, where=where)
        self.status = status


@dataclass(frozen=True)
class Client:
    """A server, and the key for it.

    Args:
        root: its address, without a path.
        key: None: none is sent.
        opener: how it is reached.
        timeout_s: how long one answer may take.
    """

    root: str
    key: str | None
    opener: urllib.request.OpenerDirector
    timeout_s: float

    @classmethod
    def of(cls, address: str, variable: str, *, timeout_s: float, certificate: str | None = None) -> Client:
        """The server at an address; ``/v1`` may be written behind it.

        Raises:
            UsageError: that is no address of a server, or no certificate.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("is no address of a server", where=address, hint="http://HOST:8000")
        if parts.username or parts.password or parts.query:
            where = f"{parts.scheme}://{parts.hostname}"
            raise UsageError("the address holds more than a place", where=where, hint=f"give a key in {variable}")
        handlers: list[urllib.request.BaseHandler] = [Stay()]
        if certificate is not None:
            trusted = ssl.create_default_context()
            try:
                trusted.load_verify_locations(certificate)
            except (OSError, ssl.SSLError) as error:
                raise UsageError(f"is no certificate: {error}", where=certificate) from None
            handlers.append(urllib.request.HTTPSHandler(context=trusted))
        root = address.rstrip("/").removesuffix("/v1")
        key = os.environ.get(variable)
        return cls(root, key, urllib.request.build_opener(*handlers), timeout_s)

    def only_model(self) -> str:
        """The name of the model that the server has.

        Raises:
            UsageError: it has several.
            EngineError: it does not tell.
        """
        listed = self.get("/v1/models")
        data = listed.get("data") if isinstance(listed, dict) else None
        names = [str(one["id"]) for one in data or [] if isinstance(one, dict) and "id" in one]
        if len(names) != 1:
            known = f"one of: {', '.join(names)}" if names else None
            raise UsageError("which model is meant?", where="--model", hint=known)
        return names[0]

    def get(self, path: str) -> Any:
        """What stands there.

        Raises:
            Refused, EngineError: as for ``post``.
        """
        return self._whole("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What the server answers.

        Raises:
            Refused: the request is wrong.
            EngineError: the server is full for too long, fails, or cannot be reached.
        """
        return self._whole("POST", path, body)

    def events(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The objects of a stream as they come.

        Raises:
            Refused, EngineError: as for ``post``, also in the midst of it.
        """
        whole = False
        with self._told(), self._open("POST", path, {**body, "stream": True}) as answer:
            for line in answer:
                data = line.decode().strip().removeprefix("data: ")
                if data == "[DONE]":
                    whole = True
                elif data and not data.startswith(":"):
                    piece = json.loads(data)
                    if "error" in piece:
                        raise EngineError(_message(piece), where=self.root)
                    yield piece
        if not whole:
            raise EngineError("the stream broke off", where=self.root)

    def _whole(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        with self._told(), self._open(method, path, body) as answer:
            return json.load(answer)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What Python says of a connection, as users read it."""
        try:
            yield
        except TimeoutError:
            raise EngineError(f"no answer within {self.timeout_s:g} s", where=self.root) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Unreachable(
                f"the server cannot be asked: {reason or type(error).__name__}", where=self.root
            ) from None
        except ValueError:
            raise EngineError("the server's answer is no JSON", where=self.root) from None

    def _open(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, content, headers, method=method)
        for attempt in range(_TRIES):
            try:
                return self.opener.open(request, timeout=self.timeout_s)
            except urllib.error.HTTPError as error:
                if error.code not in FULL or attempt == _TRIES - 1:
                    raise _refusal(error, self.root) from None
                error.close()
                time.sleep(wait_s(error.headers.get("Retry-After"), attempt))
        raise AssertionError("the last try answers or raises")


def form(route: str, model: str, given: Any, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The path and the body that ask for one input.

    >>> form("chat", "m", "hello", {"seed": 1})
    ('/v1/chat/completions', {'model': 'm', 'messages': [{'role': 'user', 'content': 'hello'}], 'seed': 1})
    >>> form("predict", "m", {"text": "hello"}, {})
    ('/v1/predict/m', {'inputs': [{'text': 'hello'}]})
    """
    if route == "predict":
        return f"/v1/predict/{quote(model, safe='')}", {"inputs": [given], **request}
    if route == "chat":
        given = given.get("messages", given) if isinstance(given, dict) else given
        messages = given if isinstance(given, list) else [{"role": "user", "content": _text(given)}]
        return _PATHS[route], {"model": model, "messages": messages, **request}
    return _PATHS[route], {"model": model, "prompt" if route == "completions" else "input": _text(given), **request}


def _text(given: Any) -> str:
    """The text of a row: its only column, or that which is called so."""
    if not isinstance(given, dict):
        return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    texts = given if "text" not in given else {"text": given["text"]}
    if len(texts) != 1:
        raise UsageError("a row needs a column 'text' here", hint="or ask with --route predict")
    return str(next(iter(texts.values())))


def answer(route: str, reply: Any) -> Any:
    """What was asked for, out of the server's answer: a text, a vector, or the task's own answer.

    Raises:
        EngineError: it is not there.
    """
    try:
        if route == "predict":
            return reply["answers"][0]
        if route == "embeddings":
            return reply["data"][0]["embedding"]
        first = reply["choices"][0]
        text = first["message"]["content"] if route == "chat" else first["text"]
        return text if text is not None else first["message"]
    except (KeyError, IndexError, TypeError):
        raise EngineError("the server's answer has another form than its route's") from None


def letters(piece: Mapping[str, Any]) -> str:
    """New letters of the first choice, out of a piece of a stream."""
    choices = [one for one in piece.get("choices", ()) if one.get("index", 0) == 0]
    return "".join((one.get("delta") or {}).get("content") or one.get("text") or "" for one in choices)


def values(flags: Mapping[str, str]) -> dict[str, Any]:
    """Flags as the server reads them: by the types of request parameters that are known here, else as JSON or text.

    >>> values({"temperature": "0.5", "stop": "5", "something": "[1, 2]"})
    {'temperature': 0.5, 'stop': ['5'], 'something': [1, 2]}
    """
    from tunesmith import kinds

    leaves = [leaf for task in plugins.names("tasks") for leaf in params.leaves(plugins.module("tasks", task).Request)]
    known = {leaf.path: leaf.annotation for leaf in leaves}
    found: dict[str, Any] = {}
    for name, text in flags.items():
        value = kinds.from_text(text, known[name]) if name in known else text
        is_text = name in known and str in kinds.alternatives(known[name])
        found[name] = _as_json(value) if isinstance(value, str) and not is_text else value
    return found


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _refusal(error: urllib.error.HTTPError, where: str) -> UsageError | EngineError:
    try:
        message = _message(json.load(error))
    except (ValueError, OSError):
        message = ""
    message = message or f"{error.code} {error.reason}"
    return EngineError(message, where=where) if error.code >= 500 else Refused(message, where=where, status=error.code)


def _message(told: Any) -> str:
    """What an answer says against the request, in any form that servers have for it."""
    inner = told.get("error", told) if isinstance(told, dict) else told
    if not isinstance(inner, dict):
        return str(inner)
    message, code = str(inner.get("message") or ""), inner.get("code")
    return f"{message} [{code}]" if message and code else message


__all__ = ["Client", "Refused", "Unreachable", "answer", "form", "letters", "values"]
