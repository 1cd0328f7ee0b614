"""What a sweep found, as values: everything that its report in the terminal, as JSON and as a page shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tunesmith.effects.intervals import Interval

Verdict = Literal["inert", "effect", "cannot tell"]


@dataclass(frozen=True)
class Row:
    """A setting.

    Args:
        number: 0 are the defaults.
        values: of the parameters that are varied.
        run: the setting whose answers these are, where it comes to the same request.
        rows: how many it answered.
        dropped: whether the race dropped it.
        score: the metric on those rows.
        gain: how much better than the defaults, on the rows that both answered; above 0 is better.
        p_value: of the gain, corrected for the number of settings (Holm).
        measures: means of the other measures, on the rows that all settings answered.
    """

    number: int
    values: Mapping[str, Any]
    run: int
    rows: int
    dropped: bool
    score: Interval
    gain: Interval
    p_value: float
    measures: Mapping[str, float]


@dataclass(frozen=True)
class Level:
    """A value of a parameter against its reference, the other parameters taken together.

    Args:
        value: as a user would write it; of drawn values a range.
        middle: where it stands on an axis; None: it is no number.
        score: mean of the metric.
        effect: change of the metric against the reference.
        p_value: of the change, corrected for all values of all parameters (Holm).
        p_equivalent: of "it changes the metric by the margin or more".
        measures: change of each other measure against the reference.
    """

    value: str
    middle: float | None
    score: float
    effect: Interval
    p_value: float
    p_equivalent: float
    measures: Mapping[str, Interval]


@dataclass(frozen=True)
class Effect:
    """What a parameter does by itself.

    Args:
        parameter: its name.
        reference: the value that the others are held against.
        levels: all values, the reference too.
        verdict: whether it is inert, has an effect, or neither can be said.
        power: chance that these rows would have shown it inert, if it is.
        least_detectable: change that these rows would have shown with a chance of 80 %.
        needed_rows: rows that would show it inert with a chance of 80 %, if it is; None: too many to say.
    """

    parameter: str
    reference: str
    levels: tuple[Level, ...]
    verdict: Verdict
    power: float
    least_detectable: float
    needed_rows: int | None


@dataclass(frozen=True)
class Share:
    """Share of the metric's variation over settings that a parameter, or two together, make up.

    Args:
        parameters: one or two names.
        share: 0 to 1; it holds what chance adds.
        p_value: of "there is no such part" (random signs of rows), corrected for all parts (Holm).
    """

    parameters: tuple[str, ...]
    share: float
    p_value: float


@dataclass(frozen=True)
class Recommendation:
    """The best setting against the defaults on rows that took no part in choosing it.

    Args:
        setting: its number; 0: the defaults.
        verdict: ``better``, ``as good`` (worse by less than the margin, at most), ``worse``, ``cannot tell``, ``defaults``.
        rows: that were held out.
        score: of the setting on them.
        defaults: of the defaults on them.
        gain: how much better the setting is.
        needed_rows: that would show a gain as large as was seen with a chance of 80 %; None: too many, or none was seen.
    """

    setting: int
    verdict: Literal["better", "as good", "worse", "cannot tell", "defaults"]
    rows: int
    score: float
    defaults: float
    gain: Interval
    needed_rows: int | None

    @property
    def is_recommended(self) -> bool:
        """Whether it is at least as good."""
        return self.verdict in ("better", "as good")


@dataclass(frozen=True)
class Example:
    """A row with what settings answered to it, by their numbers."""

    text: str
    reference: str
    answers: Mapping[int, str]


@dataclass(frozen=True)
class Found:
    """All of it.

    Args:
        bundle: its folder.
        data: as given.
        task: its name.
        engine: that answered.
        metric: that settings were compared by.
        higher_is_better: of the metric.
        margin: differences below it do not count.
        seed: of the study.
        samples: answers to a row, where they are drawn.
        design: its name.
        rows: that were answered before the end by all settings that were not dropped.
        common_rows: that all settings answered.
        held_out: rows of the recommendation.
        answers: how many there are.
        fixed: parameters that were the same in all settings.
        settings: all of them.
        effects: of each parameter.
        shares: of parameters and pairs, the largest first.
        exact: whether the shares are exact, of a balanced grid, or fitted.
        rest: share that more parameters together leave, and chance.
        fronts: numbers of the settings that no other beats in the metric and the measure named.
        recommendation: the end of it.
        conclusions: the same in sentences.
        examples: rows side by side.
        left_out: settings that cannot be asked, by reason.
        notes: what a reader must know.
        preset: name of the preset that was saved.
    """

    bundle: str
    data: str
    task: str
    engine: str
    metric: str
    higher_is_better: bool
    margin: float
    seed: int
    samples: int
    design: str
    rows: int
    common_rows: int
    held_out: int
    answers: int
    fixed: Mapping[str, Any]
    settings: tuple[Row, ...]
    effects: tuple[Effect, ...]
    shares: tuple[Share, ...]
    exact: bool
    rest: float
    fronts: Mapping[str, tuple[int, ...]]
    recommendation: Recommendation
    conclusions: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    preset: str | None = None

    @property
    def axes(self) -> tuple[str, ...]:
        """The parameters that were varied."""
        return tuple(self.settings[0].values)

    def to_json(self) -> dict[str, Any]:
        """As plain values; a number without end is null."""
        plain: dict[str, Any] = as_plain(asdict(self))
        return plain


def as_plain(value: Any) -> Any:
    """A nested value as JSON has it; a number without end is null."""
    if isinstance(value, dict):
        return {str(key): as_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
