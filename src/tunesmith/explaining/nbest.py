"""Parameters of a search or of chance, which have no exact curve: the answers that they give, side by side.

A beam search keeps what is likely as a whole, so that a number of it says nothing of single tokens; seeds are chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.explaining.found import Column, Found, Sample, said
from tunesmith.explaining.phrases import Said, say
from tunesmith.tasks.base import shown_texts

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.generation.answers import Generated
    from tunesmith.predict import Model

SHOWN = ("num_beams", "length_penalty", "early_stopping", "seed")
"""These parameters. The phrase of the same name says why there is no curve."""

_BEAMS = 4
_MOST_SAMPLES = 3


@dataclass(frozen=True)
class Beam:
    """A finished answer: its text, tokens, and the sum of its tokens' log-probabilities; None: not a beam's."""

    text: str
    tokens: int
    total: float | None

    def score(self, penalty: float) -> float:
        """As beams are ranked."""
        return -np.inf if self.total is None else float(self.total / max(1, self.tokens) ** penalty)


def look(
    model: Model, name: str, parameter: str, tried: tuple[Any, ...], held: Mapping[str, Any], rows: pa.Table, most: int
) -> Found:
    """Answers with each value.

    Args:
        model: that answers.
        name: of the model, as given.
        parameter: one of ``SHOWN``.
        tried: its values.
        held: other parameters of the request.
        rows: canonical ones.
        most: tokens of an answer.

    Raises:
        UsageError: parameters do not go together.
    """
    usual = {"max_tokens": most, **held}
    if parameter == "seed":
        usual = {"temperature": 1.0, **usual}
    elif parameter != "num_beams":
        usual = {"num_beams": _BEAMS, **usual}
    each = list(_answers(model, rows, parameter, tried, usual))
    texts = shown_texts(rows, model.task.inputs)
    changed = [sum(a.text != b.text for a, b in zip(each[0], one, strict=True)) for one in each]
    tokens = tuple(float(np.mean([beam.tokens for beam in one])) for one in each)
    columns = [
        Column(
            "changed",
            say("other answers", usual=said(tried[0])),
            _shares(changed, len(rows)),
            0.0,
            "share",
        ),
        Column("tokens", say("answer tokens"), tokens, tokens[0]),
    ]
    if parameter != "seed":
        total = tuple(
            None if any(b.total is None for b in one) else float(np.mean([b.total for b in one])) for one in each
        )
        columns.append(Column("log p", say("answer log p"), total, total[0]))
    samples = (
        Sample(value, texts[row], one[row].text, one[row].total)
        for row in range(min(_MOST_SAMPLES, len(rows)))
        for value, one in zip(tried, each, strict=True)
    )
    return Found(
        parameter,
        name,
        model.bundle.config.task_name,
        say("answered anew", inputs=len(rows)),
        tried,
        tried[0],
        {key: value for key, value in usual.items() if key != parameter},
        tuple(columns),
        tuple(_sentences(parameter, tried, changed, len(rows))),
        float(max(changed) > 0),
        not max(changed),
        tuple(samples),
    )


def _answers(
    model: Model, rows: pa.Table, parameter: str, tried: Sequence[Any], usual: Mapping[str, Any]
) -> Iterator[list[Beam]]:
    """The best answer of each row with each value."""
    if parameter != "length_penalty":
        for value in tried:
            yield [beams[0] for beams in _finished(model, rows, {**usual, parameter: value})]
        return
    width = int(usual["num_beams"])
    finished = _finished(model, rows, {**usual, "n": width, "length_penalty": 1.0})
    for value in tried:
        yield [max(beams, key=lambda beam: beam.score(value)) for beams in finished]


def _finished(model: Model, rows: pa.Table, given: Mapping[str, Any]) -> list[list[Beam]]:
    """The answers of each row, best first; of a long text read in windows, of its first one."""
    request = model.request(**given)
    if (
        request.num_beams == 1 and request.greedy
    ):  # how likely an answer is, is told of beams; of one alone by its tokens
        request = request.but(logprobs=True)
    with model.reading() as folder:
        scored: Any = model.read(rows, request, folder)
    return [[_beam(one) for one in written.parts[0]] for written in scored.scores]


def _beam(one: Generated) -> Beam:
    request = one.terms.request
    if one.logprobs:
        total: float | None = sum(each.logprob or 0.0 for each in one.logprobs)
    else:
        total = None if one.score is None else one.score * len(one.tokens) ** request.length_penalty
    return Beam(one.text, len(one.tokens), total)


def _shares(changed: Sequence[int], total: int) -> tuple[float, ...]:
    return tuple(count / total for count in changed)


def _sentences(parameter: str, tried: Sequence[Any], changed: Sequence[int], total: int) -> Iterator[Said]:
    yield say(parameter)
    if not max(changed):
        yield say("inert answers", name=parameter, values=len(tried), inputs=total)
        return
    most = int(np.argmax(changed))
    facts = {"name": parameter, "value": said(tried[most]), "changed": changed[most]}
    yield say("changes answers", **facts, inputs=total, usual=said(tried[0]))
