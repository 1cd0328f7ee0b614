"""What was found of a parameter on a model, in one form for all kinds of tasks: numbers of each value, sentences, samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith.explaining.phrases import Said


@dataclass(frozen=True)
class Column:
    """A number of each value.

    Args:
        name: short, for tables.
        meaning: with its unit.
        numbers: one a value; None: there is none.
        before: the number without the parameter, or with its default; None: there is none.
        form: ``share`` (shown in percent), ``count`` or ``number``.
        intervals: 95 % intervals of the numbers, where they are estimates.
    """

    name: str
    meaning: Said
    numbers: tuple[float | None, ...]
    before: float | None = None
    form: str = "number"
    intervals: tuple[tuple[float, float] | None, ...] = ()

    def shown(self, number: float | None) -> str:
        """A number as it is printed."""
        if number is None:
            return "-"
        if self.form == "share":
            return f"{100 * number:.1f} %"
        return f"{number:,.0f}" if self.form == "count" else f"{number:.3f}"


@dataclass(frozen=True)
class Sample:
    """An answer with a value."""

    value: Any
    input: str
    answer: str
    score: float | None = None


@dataclass(frozen=True)
class Found:
    """A parameter's effect on a model.

    Args:
        name: of the parameter.
        model: as it was named.
        task: of the model.
        about: what was looked at.
        values: of the parameter.
        usual: the value that all others are compared with.
        held: other parameters of the request, where set.
        columns: what was measured.
        sentences: what this says; the last ones are the most important.
        largest: the largest difference that any value makes, of a probability or a score.
        inert: whether no value makes any difference.
        samples: answers, where answers were looked at.
        details: more, as plain values, for programs.
    """

    name: str
    model: str
    task: str
    about: Said
    values: tuple[Any, ...]
    usual: Any
    held: Mapping[str, Any]
    columns: tuple[Column, ...]
    sentences: tuple[Said, ...]
    largest: float
    inert: bool
    samples: tuple[Sample, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(map(str, self.sentences))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "parameter": self.name,
            "model": self.model,
            "task": self.task,
            "about": str(self.about),
            "values": list(self.values),
            "compared_with": self.usual,
            "held": dict(self.held),
            "measures": {
                one.name: {
                    "meaning": str(one.meaning),
                    "numbers": list(one.numbers),
                    "before": one.before,
                    **({"intervals": [pair and list(pair) for pair in one.intervals]} if one.intervals else {}),
                }
                for one in self.columns
            },
            "inert": self.inert,
            "largest_difference": self.largest,
            "samples": [vars(one) for one in self.samples],
            **self.details,
            "conclusion": list(map(str, self.sentences)),
        }


def said(value: Any) -> str:
    """A value as users write it.

    >>> said(None), said(True), said(0.25)
    ('none', 'true', '0.25')
    """
    if value is None or isinstance(value, bool):
        return "none" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
