"""A second version of a model on trial: it answers a share of the traffic, or copies of it whose answers nobody gets.

Copies cost callers nothing that could be spared: one is asked at a time, after the caller has the answer, only where nobody
waits, behind everybody else; and as soon as somebody waits it is dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunesmith.errors import TunesmithError
from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.asking import tell_to
from tunesmith.serving.differences import Differences

if TYPE_CHECKING:
    from tunesmith.serving.call import Call
    from tunesmith.serving.models import Served

_LAST = 1000
_GLANCE_S = 0.05
_NOBODY_WAITS = 499


@dataclass(eq=False)
class Trial:
    """A version on trial.

    Args:
        current: the version that callers know.
        served: the one on trial.
        share: of the traffic that it gets, 0 to 1.
        shadow: whether it gets copies, whose answers nobody sees.
        differences: what was found so far.
        dropped: copies that were not answered, since somebody waited.
    """

    current: Served
    served: Served
    share: float
    shadow: bool
    differences: Differences
    dropped: int = 0
    since: float = field(default_factory=time.time)
    copying: asyncio.Task[None] | None = None

    def takes(self, who: str) -> bool:
        """Whether requests of somebody belong to the share; always the same for the same one."""
        digest = hashlib.sha256(f"{self.served.version}\n{who}".encode()).digest()
        return int.from_bytes(digest[:8]) < self.share * 2**64

    def end(self) -> None:
        """Ask no more copies."""
        if self.copying is not None:
            self.copying.cancel()


def chosen(call: Call, served: Served, user: str | None) -> Served:
    """The version of a model that answers a call: the same one for the same user."""
    trial = call.serving.live.trials.get(served.name)
    if trial is None or trial.shadow or served is not trial.current:
        return served
    return trial.served if trial.takes(user or call.id) else served


def over(call: Call) -> None:
    """Note how a call ended; a copy of it may be asked now."""
    served, asked = call.served, call.asked
    trial = None if served is None else call.serving.live.trials.get(served.name)
    if trial is None or asked is None or served not in (trial.current, trial.served) or call.status == _NOBODY_WAITS:
        return
    side = trial.differences.current if served is trial.current else trial.differences.trial
    if call.answered is None:
        if call.status >= 500 or call.code == "engine_failed":
            side.failed(call.code)
        return
    side.answered(_answers(call.answered), _time_s(asked))
    if trial.shadow and call.asks is not None and trial.takes(call.user or call.id):
        _copy(trial, call)


def _copy(trial: Trial, call: Call) -> None:
    """Ask a copy, where nobody waits."""
    if (trial.copying is not None and not trial.copying.done()) or _others(trial):
        trial.dropped += 1
    else:
        trial.copying = asyncio.create_task(_copied(trial, call))


async def _copied(trial: Trial, call: Call) -> None:
    differences, worker = trial.differences, trial.served.worker
    assert call.answered is not None
    asked: Asked | None = None
    try:
        asked, news = _asked(trial, call)
        worker.put(asked)
        outcome = await _outcome(trial, asked, news)
    except TunesmithError as error:
        return differences.trial.failed(str(error))
    finally:
        if asked is not None and asked.times.ended is None:
            worker.cancel(asked)
    if outcome is None:
        trial.dropped += 1
        return None
    found, current = _answers(outcome), _answers(call.answered)
    differences.trial.answered(found, _time_s(asked))
    if len(found) == len(current):
        differences.compare(call.inputs, current, found)
    return None


def _asked(trial: Trial, call: Call) -> tuple[Asked, asyncio.Queue[Any]]:
    """What the call asked, with the defaults of the version on trial, behind all others."""
    first, served = call.asked, trial.served
    assert first is not None
    assert call.asks is not None
    request = _bounded_alike(_drawn_alike(call.asks(served), call), first.request)
    news = asyncio.Queue[Any]()
    tell = tell_to(asyncio.get_running_loop(), news)
    until = time.monotonic() + call.serving.options.max_time_s
    asked = Asked(
        served.inside, request, tell, rows=first.rows, prompts=first.prompts, priority=_LAST, size=first.size, ends_at=until
    )  # fmt: skip
    return asked, news


def _drawn_alike(request: Any, call: Call) -> Any:
    """The request with the seed that the answer was drawn with, where there is one of it."""
    answers = call.answered.answers if call.answered is not None else []
    seed = answers[0].get("seed") if len(answers) == 1 else None
    free = seed is not None and getattr(request, "seed", 0) is None
    return request.but(seed=seed) if free else request


def _bounded_alike(request: Any, first: Any) -> Any:
    """The request with the most tokens that the server gave the answer, where it sets none itself."""
    most = getattr(first, "max_tokens", None)
    is_open = most is not None and getattr(request, "max_tokens", 0) is None
    return request.but(max_tokens=most) if is_open else request


async def _outcome(trial: Trial, asked: Asked, news: asyncio.Queue[Any]) -> Answered | None:
    """The answers; None where somebody waits."""
    while True:
        try:
            outcome = await asyncio.wait_for(news.get(), _GLANCE_S)
        except TimeoutError:
            if _others(trial, 0 if asked.times.started else asked.inputs):
                return None
            continue
        if isinstance(outcome, TunesmithError):
            raise outcome
        return outcome  # type: ignore[no-any-return]


def _others(trial: Trial, own: int = 0) -> bool:
    """Whether callers wait for either version, beside the inputs of the copy itself."""
    waiting = {worker: worker.load.waiting for worker in (trial.current.worker, trial.served.worker)}
    return sum(waiting.values()) > own


def _answers(answered: Answered) -> list[Any]:
    """Of each input what was answered; of prompts that are gone on with, the texts."""
    if answered.answers or not answered.generated:
        return list(answered.answers)
    return [{"text": [choice.text for windows in one for choice in windows]} for one in answered.generated]


def _time_s(asked: Asked) -> float:
    return (asked.times.ended or time.monotonic()) - asked.times.asked
