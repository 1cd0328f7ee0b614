"""A server as an engine of a sweep: what it is asked, what it refuses, and answers that are asked for several at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tunesmith import asked_over_http
from tunesmith.asked_over_http import Refused
from tunesmith.decisions import heard
from tunesmith.engines import base
from tunesmith.errors import EngineError, UsageError
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Params
from tunesmith.sweeping import addresses, said
from tunesmith.sweeping.addresses import Server
from tunesmith.sweeping.design import Setting
from tunesmith.sweeping.samples import Sample
from tunesmith.sweeping.writing import answers_of, seed_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tunesmith.predict import Model

_AT_ONCE = 8
_LARGEST_SEED = 2**31 - 1
"""Other programs have seeds of 32 bits."""
_OF_A_SETTING = (400, 422)
"""Statuses by which a server says that these very parameters are wrong."""
_ENDS = ("stop", "length", "cancelled")


class Engine(base.Engine):
    """A server: of Tunesmith, asked in our own terms, or of another program, asked in its.

    Args:
        server: that was found.
        is_carried: whether parameters are carried over so that they mean the same there; false: the same numbers.
        given: names of the parameters that the study asks for.
    """

    def __init__(self, server: Server, *, is_carried: bool, given: Collection[str]) -> None:
        self.server, self.is_carried, self._given = server, is_carried, given
        self.known = _known(server) if self.is_ours else {}

    @classmethod
    def open(cls, bundle: Any) -> Engine:
        """Not at all: it has an address."""
        raise NotImplementedError("a server is opened by its address")

    def outputs(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """None: a server gives answers."""
        raise NotImplementedError("a server gives answers, no outputs")

    @property
    def is_ours(self) -> bool:
        """Whether Tunesmith runs there."""
        return self.server.program == "tunesmith"

    def parameters(self, request: Params) -> dict[str, Any]:
        """A request as the server is told it.

        Raises:
            UsageError: it cannot be said there.
        """
        if self.is_ours:
            plain = request.model_dump(mode="json", by_alias=True)
            if reasons := list(self._refused(request)):
                raise UsageError("; ".join(reasons))
            return {name: value for name, value in plain.items() if value is not None and name in self.known}
        assert isinstance(request, GenerationRequest)
        if self.is_carried:
            return said.carried(self.server.program, request)
        return said.same(self.server.program, request, self._given)

    def refusal(self, request: Params) -> str | None:
        """Why a request cannot be put to the server, as far as is known without asking it; None: it can."""
        try:
            self.parameters(request)
        except UsageError as error:
            return str(error)
        return None

    def _refused(self, request: Params) -> Any:
        usual = type(request)()
        engine = str(self.server.about.get("engine"))
        for name, value in request.model_dump(by_alias=True).items():
            if value == usual.model_dump(by_alias=True)[name]:
                continue
            if name not in self.known:
                yield f"the server knows no {name}"
            elif self.known[name].get("engines", {}).get(engine, {}).get("honoured") == "never":
                yield f"its engine {engine} refuses {name}: {value!r} is not honoured"


def _known(server: Server) -> Mapping[str, Mapping[str, Any]]:
    """The request parameters that a server of ours has for the model, with what is said of each."""
    try:
        told = server.client.get(f"/v1/parameters?model={quote(server.model, safe='')}")
        found: Mapping[str, Mapping[str, Any]] = told["data"][0]["parameters"]
    except EngineError as error:
        raise addresses.gone(error, server.name) from None
    except (KeyError, IndexError, TypeError):
        raise UsageError("the server does not say which parameters it has", where=server.name) from None
    return found


class Asker:
    """Answers of a server, in units as ``writing.Writer`` gives them.

    What the server refuses of a setting is kept in ``refused``, and the setting is not asked for again.

    Args:
        model: whose engine is a server.
        seed: of the study.
        samples: answers to each row where they are drawn.
    """

    def __init__(self, model: Model, seed: int, samples: int) -> None:
        assert isinstance(model.engine, Engine)
        self._model, self._engine, self._seed, self._samples = model, model.engine, seed, samples
        self.refused: dict[int, str] = {}

    def seeds(self, request: Any) -> bool:
        """Whether the server draws by the seed that it is given, always the same."""
        return self._engine.is_ours

    def unit(self, table: pa.Table, rows: Sequence[int], runs: Sequence[Setting]) -> list[Sample]:
        """The answers of settings to some rows, but for those that the server refuses.

        Raises:
            UsageError: the server is gone, full for too long, or fails.
        """
        taken = table.take(list(rows)).to_pylist()
        asked = [
            (run, row, number, given)
            for row, given in zip(rows, taken, strict=True)
            for run in runs
            for number in range(answers_of(run.request, self._samples) if self._model.task.writes else 1)
        ]
        found = _at_once([partial(self._one, *one) for one in asked])
        return [sample for sample in found if sample is not None and sample.setting not in self.refused]

    def _one(self, run: Setting, row: int, number: int, given: Mapping[str, Any]) -> Sample | None:
        if run.number in self.refused:
            return None
        path, body = self._form(run, given, seed_of(self._seed, row, number))
        began = time.monotonic()
        try:
            reply = self._engine.server.client.post(path, body)
            text, tokens, reason = self._read(reply)
        except Refused as error:
            if error.status not in _OF_A_SETTING:
                raise self._gone(error) from None
            self.refused[run.number] = f"the server refuses it: {error.headline.message}"
            return None
        except EngineError as error:
            raise self._gone(error) from None
        return Sample(run.number, row, number, text, tokens, reason, round(time.monotonic() - began, 4))

    def _gone(self, error: UsageError | EngineError) -> UsageError:
        hint = "answers that are there are kept: go on by the same call with --resume"
        return UsageError(error.headline.message, where=self._engine.server.name, hint=hint)

    def _form(self, run: Setting, given: Mapping[str, Any], seed: int) -> tuple[str, dict[str, Any]]:
        task: Any = self._model.task
        parameters = self._engine.parameters(run.request)
        server = self._engine.server
        if self._engine.is_ours:
            inputs = {name: given[name] for name in task.inputs if given.get(name) is not None}
            own = {"seed": seed} if task.writes else heard.in_full(self._model.target)
            parameters |= {name: value for name, value in own.items() if name in self._engine.known}
            return asked_over_http.form("predict", server.model, inputs, parameters)
        parameters |= {"seed": seed & _LARGEST_SEED}
        return asked_over_http.form("chat", server.model, _messages(task, given), parameters)

    def _read(self, reply: Any) -> tuple[str, int, str]:
        """The text, its tokens, and how it ended; of a task that reads its answer as JSON.

        Raises:
            EngineError: that is not there.
        """
        task: Any = self._model.task
        try:
            if not self._engine.is_ours:
                choice = reply["choices"][0]
                text, tokens = choice["message"].get("content") or "", int(reply["usage"]["completion_tokens"])
                return str(text).strip(), tokens, _end(choice["finish_reason"])
            answer = reply["answers"][0]
            if not task.writes:
                return json.dumps(answer, ensure_ascii=False), 0, "stop"
            return str(answer[task.answer]).strip(), int(answer["tokens"]), _end(answer["finish_reason"])
        except (KeyError, IndexError, TypeError, ValueError):
            raise EngineError("the server's answer has another form than its route's") from None


def _end(reason: Any) -> str:
    return reason if reason in _ENDS else "error"


def _messages(task: Any, given: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row as a conversation: its own, or the question that a decoder is asked."""
    if given.get("messages"):
        return [{"role": one["role"], "content": one["content"]} for one in given["messages"]]
    return [{"role": "user", "content": task.question(given[task.given])}]


def _at_once(calls: Sequence[Callable[[], Sample | None]]) -> list[Sample | None]:
    """What calls give, some at a time; the first that fails ends all."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting: list[Future[Sample | None]] = [pool.submit(call) for call in calls]
        try:
            return [one.result() for one in waiting]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
