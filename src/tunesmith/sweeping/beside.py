"""What settings do on several engines, as values and in lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.effects.intervals import Interval
from tunesmith.report.page import template
from tunesmith.search.show import PAGE, keep
from tunesmith.sweeping import conclusions
from tunesmith.sweeping.found import as_plain

_MEASURES = ("tokens", "seconds")


@dataclass(frozen=True)
class OnEngine:
    """A setting on an engine, beside the first engine.

    Args:
        setting: its number.
        engine: as given.
        refused: why the engine does not answer it; None: it does.
        score: the metric; None where it is refused.
        gain: how much better than on the first engine; None: one of the two refuses it.
        p_value: of the gain, corrected for the engine's settings (Holm).
        same: share of the first answers that are the same text.
        differing: a few rows with the two texts.
        measures: means of the other measures.
    """

    setting: int
    engine: str
    refused: str | None = None
    score: float | None = None
    gain: Interval | None = None
    p_value: float = 1.0
    same: float | None = None
    differing: tuple[tuple[str, str], ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_other(self) -> bool:
        """Whether the metric is surely another than on the first engine."""
        return self.p_value <= conclusions.ALPHA

    def __str__(self) -> str:
        if self.refused:
            return f"{self.engine}: not answered: {self.refused}"
        told = [f"{self.engine}: {self.score:.4f}"]
        if self.gain is not None and self.same is not None:
            told += [conclusions.bounds(self.gain), f"{self.same:.0%} of the answers the same"]
        told += [f"{name} {self.measures[name]:.3g}" for name in _MEASURES if name in self.measures]
        return "  ".join(told)


@dataclass(frozen=True)
class Across:
    """All engines.

    Args:
        metric: that was measured.
        rows: that were answered.
        settings: what each number stands for.
        found: of each setting and engine.
        notes: what differs between the engines whatever is asked.
        folder: where the answers are kept.
    """

    metric: str
    rows: int
    settings: Mapping[int, str]
    found: tuple[OnEngine, ...]
    notes: tuple[str, ...]
    folder: str

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        plain: dict[str, Any] = as_plain({**asdict(self), "conclusions": self.conclusions})
        return plain

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What the intervals allow to say of each engine beside the first."""
        return tuple(sentence for engine in self.engines[1:] for sentence in self._said_of(engine, self.engines[0]))

    @property
    def engines(self) -> tuple[str, ...]:
        """Their names, the first one first."""
        return tuple(dict.fromkeys(one.engine for one in self.found))

    def of(self, setting: int) -> list[OnEngine]:
        """A setting on all engines."""
        return [one for one in self.found if one.setting == setting]

    def _said_of(self, engine: str, first: str) -> Iterator[str]:
        own = [one for one in self.found if one.engine == engine]
        refused = [one for one in own if one.refused]
        compared = [one for one in own if one.gain is not None]
        other = [one for one in compared if one.is_other]
        if other:
            named = "; ".join(
                f"{self.settings[one.setting]}: {conclusions.bounds(one.gain)}" for one in other if one.gain
            )
            yield f"{engine}: {self.metric} is another than on {first} in {len(other)} of {len(compared)} settings: {named}."
        elif compared:
            least = min(one.same or 0.0 for one in compared)
            alike = "all answers" if least == 1 else f"at least {least:.0%} of the answers"
            yield (
                f"{engine}: in none of {len(compared)} settings {self.metric} is surely another than on {first}; {alike} "
                "are the same."
            )
        if refused:
            yield f"{engine}: {len(refused)} of {len(own)} settings are refused."

    def __str__(self) -> str:
        lines = [f"{self.metric} on {self.rows} rows, each engine beside the first"]
        for number, words in self.settings.items():
            lines.append(words)
            lines += [f"  {one}" for one in self.of(number)]
        return "\n".join([*lines, "", *self.conclusions, "", *self.notes, f"{self.folder}/{PAGE}"])


def write(found: Across) -> None:
    """Write report.html and report.json into the study's folder."""
    page = template("across.html", "tunesmith.sweeping").render(found=found, words_of=conclusions)
    keep(Path(found.folder), page, found.to_json())
