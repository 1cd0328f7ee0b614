"""Inputs that are answered whole, for every route that does: checked, held against the limits, asked, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.serving import asking, checking
from tunesmith.serving.asked import Answered
from tunesmith.serving.call import Call
from tunesmith.serving.checking import Asking, Checked
from tunesmith.serving.refusal import Refusal

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.serving.models import Served

_FEW = 64


@dataclass(frozen=True)
class Whole:
    """All answers, and the request parameters that they were given with."""

    answered: Answered
    checked: Checked

    @property
    def answers(self) -> list[dict[str, Any]]:
        """Of each input, as the task tells it."""
        return self.answered.answers

    @property
    def usage(self) -> dict[str, int]:
        """Tokens that were read and written."""
        read, written = self.answered.prompt_tokens, self.answered.tokens
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


async def whole(
    call: Call,
    body: Asking,
    given: Mapping[str, Any],
    inputs: Sequence[Any],
    *,
    also: Iterable[str] = (),
    usual: Callable[[Served], Mapping[str, Any]] | None = None,
) -> Whole:
    """Answers of the model of a call to inputs.

    Args:
        call: whose ``served`` is known (see ``model``).
        body: the route's own fields.
        given: request parameters.
        inputs: as ``Model.answers`` takes them.
        also: names that the route knows beside the model's.
        usual: the route's own defaults for a model.

    Raises:
        TunesmithError: it cannot be answered.
    """
    served = call.served
    assert served is not None
    checked = checking.request(call, served, body, given, also, usual(served) if usual else None)
    call.inputs = tuple(inputs)
    checked = checking.limits(call, checking.texts_in(inputs), len(inputs), checked)
    if not inputs:
        return Whole(Answered([]), checked)
    rows = await _rows(served, inputs)
    return Whole(
        await asking.answer(call, checked.request, rows=rows, priority=body.priority, time_s=body.time), checked
    )


async def _rows(served: Served, inputs: Sequence[Any]) -> pa.Table:
    """The inputs as the task reads them; many are read beside the loop, which goes on with others meanwhile."""
    if len(inputs) <= _FEW:
        return served.model.rows(inputs)
    return await asyncio.to_thread(served.model.rows, inputs)


def model(call: Call, name: str | None) -> Served:
    """The model of a name, if its task is one of those that the route asks.

    Raises:
        Refusal: there is none of that name, or it is of another task.
    """
    call.served = found = call.serving.find(name)
    tasks = call.endpoint.tasks
    if tasks is not None and found.task not in tasks:
        raise other_task(found, " or ".join(tasks))
    return found


def written_name(served: Served) -> str:
    """What a task that writes calls its texts."""
    task: Any = served.model.task
    return str(task.answer)


def other_task(served: Served, needed: str) -> Refusal:
    """The refusal of a model that has no such answers."""
    message = f"'{served.name}' is a model for {served.task}, and this needs {needed}"
    return Refusal(message, "unsupported_model", param="model", hint=f"ask /v1/predict/{served.name}")
