"""A server's log of predictions: what was answered goes there without anybody waiting, and routes ask it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tunesmith.errors import SourceError
from tunesmith.kept.prediction import Prediction
from tunesmith.serving import refusal
from tunesmith.serving.options import Options
from tunesmith.serving.record import Record

if TYPE_CHECKING:
    from tunesmith.kept.origin import Origin
    from tunesmith.kept.store import Log

_LOG = logging.getLogger("tunesmith.serving")
_MOST_ASKING = 32
_FLUSH_S = 2.0
_ANSWERED = 200
_FOLLOWS = ("embedding", "embedding_pair")
"""What is left out of answers that are kept: long, and the same again for the same input."""
T = TypeVar("T")


class Kept:
    """A log of predictions that a server writes and asks.

    Args:
        options: of the server; ``prediction_log`` is set.
    """

    def __init__(self, options: Options) -> None:
        from tunesmith.kept.recorder import Recorder
        from tunesmith.kept.store import Log

        assert options.prediction_log is not None
        self.log = Log(options.prediction_log, make=True)
        try:
            self.log.open()
        except SourceError as error:
            _LOG.warning("the prediction log does not answer yet: %s", error)
        self._share, self._chance = options.prediction_log_share, random.Random()
        self._origins: dict[tuple[str, int], Origin] = {}
        self.recorder = Recorder(self.log, self._rows_of, days=options.prediction_log_days)
        self._threads = ThreadPoolExecutor(1, "tunesmith log")
        self._asking = 0

    def __call__(self, record: Record) -> None:
        """Keep a request, where it was answered."""
        answered = record.model and record.status == _ANSWERED and record.code is None
        if answered and record.inputs and record.answers and (self._share >= 1 or self._chance.random() < self._share):
            self.recorder.put(record)

    async def ask(self, question: Callable[[Log], T]) -> T:
        """What the log says; the loop goes on meanwhile.

        Raises:
            Refusal: it does not answer, or too many ask.
        """
        if self._asking >= _MOST_ASKING:
            raise refusal.full("too many ask the prediction log", 1.0, "log_unavailable")
        self._asking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, question, self.log)
        except SourceError as error:
            raise refusal.full(str(error), 5.0, "log_unavailable") from None
        finally:
            self._asking -= 1

    def find(self, log: Log, request: str, number: int, key_name: str) -> Prediction | None:
        """A prediction, also one that was not written yet when it was asked for.

        Raises:
            Refusal: it is not found, and some are still not written.
        """
        found = log.find(request, number, key_name)
        if found is not None:
            return found
        if not self.recorder.flush(_FLUSH_S):
            raise refusal.full("what was answered last is not written yet", 1.0, "log_unavailable")
        return log.find(request, number, key_name)

    def close(self) -> None:
        """Write what is left."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.recorder.close()

    def origin(self, name: str, version: int, folder: str) -> Origin:
        """What a log tells of a bundle that answers; read once for each version of a model."""
        from tunesmith.kept import origin

        place = (name, version)
        if place not in self._origins:
            self._origins[place] = origin.of_folder(Path(folder))
        return self._origins[place]

    def _rows_of(self, record: Record) -> tuple[list[Prediction], dict[str, Origin]]:
        origin = self.origin(record.model, record.version, record.folder)
        return rows_of(record, origin), {origin.id: origin}


def rows_of(record: Record, origin: Origin) -> list[Prediction]:
    """A row for each input of a request; answers that are not one for each input belong to the first."""
    inputs, answers = list(record.inputs), list(record.answers)
    if len(inputs) != len(answers):
        inputs, answers = [inputs[0] if len(inputs) == 1 else inputs], [{"choices": answers}]
    return [_row(record, origin, *both) for both in enumerate(zip(inputs, answers, strict=True))]


def _row(record: Record, origin: Origin, number: int, both: tuple[Any, Any]) -> Prediction:
    given, answer = both
    kept = {name: value for name, value in answer.items() if name not in _FOLLOWS}
    probable = record.parameters.get("activation", "auto") == "auto"  # else scores are no probabilities
    return Prediction(
        request=record.id,
        number=number,
        at=record.at,
        key_name=record.key,
        user_name=record.user,
        model=record.model,
        version=record.version,
        bundle=origin.id,
        engine=record.engine,
        task=record.task,
        input=given,
        answer=kept,
        parameters=dict(record.parameters),
        label=_said(lambda: ", ".join(origin.form.labels(answer) or ()) or None),
        score=_said(lambda: origin.form.confidence(answer)) if probable else None,
        tokens_read=record.prompt_tokens,
        tokens_written=record.tokens,
        latency_s=record.duration_s,
    )


def _said(ask: Callable[[], T]) -> T | None:
    """What an answer says; None where a route gave it another form than its task does."""
    try:
        return ask()
    except (KeyError, TypeError, ValueError):
        return None


def of(serving: Any) -> Kept:
    """Who keeps the answers of a server.

    Raises:
        Refusal: nothing is kept.
    """
    kept: Kept | None = serving.observers.get("kept")
    if kept is None:
        hint = "start it with --prediction-log sqlite:///log.db"
        raise refusal.Refusal("this server keeps no predictions", "not_found", 404, hint=hint)
    return kept
