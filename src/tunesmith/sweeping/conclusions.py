"""What was found, in sentences that say only what the intervals allow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tunesmith.effects.intervals import Interval
from tunesmith.sweeping import spelled
from tunesmith.sweeping.found import Effect, Found, Level, Recommendation, Row, Share

ALPHA = 0.05


def sentences(found: Found) -> tuple[str, ...]:
    """All of them, the recommendation first."""
    told = [recommendation(found)]
    told += [effect(one, found) for one in found.effects]
    told += list(_interactions(found))
    told += list(_settings(found))
    told += list(_validity(found))
    return tuple(told)


def recommendation(found: Found) -> str:
    """Whether another setting is to be taken."""
    one = found.recommendation
    if one.verdict == "defaults":
        return f"No setting scored better than the defaults on the {found.rows} rows: keep the defaults."
    row = found.settings[one.setting]
    gained = f"{found.metric} {one.score:.4g} against {one.defaults:.4g}, better by {bounds(one.gain)}"
    place = f"on {one.rows} rows that took no part in the choice: {gained}"
    words = {
        "better": f"Take {name(row)}: it is better than the defaults {place}{_little(one, found.margin)}.",
        "as good": f"{name(row)} is at least as good as the defaults, but for less than {found.margin:g}, {place}.",
        "worse": f"Keep the defaults: {name(row)}, the best of the rows that it was chosen on, is worse {place}.",
        "cannot tell": f"Cannot tell whether {name(row)}, the best of the rows that it was chosen on, is as good as the defaults {place}{_enough(one)}; keep the defaults.",
    }
    return words[one.verdict]


def effect(one: Effect, found: Found) -> str:
    """What a parameter does by itself."""
    rows = f"over {found.common_rows} rows"
    if one.verdict == "inert":
        surely = [level.value for level in one.levels if level.p_value <= ALPHA]
        but = f" It does change it, by less than that, at {', '.join(surely)}." if surely else ""
        return (
            f"{one.parameter} is inert here: no value tried changes {found.metric} by {found.margin:g} or more "
            f"against {one.reference} ({rows}; with a power of {one.power:.0%}).{but}"
        )
    if one.verdict == "effect":
        told = [level for level in one.levels if level.p_value <= ALPHA]
        changes = "; ".join(f"{level.value}: {_change(level)}" for level in _extremes(told))
        return f"{one.parameter} has an effect: against {one.reference}, {found.metric} changes at {changes} ({rows})."
    needed = (
        f"about {one.needed_rows:,} rows would show it inert if it is"
        if one.needed_rows
        else "no number of rows that can be had would show it inert"
    )
    smallest = (
        f"a change of {one.least_detectable:.3g} would have shown"
        if math.isfinite(one.least_detectable)
        else "too few rows for any test"
    )
    return f"{one.parameter}: cannot tell whether it changes {found.metric} ({rows}; {smallest}; {needed})."


def bounds(interval: Interval) -> str:
    """An estimate with its interval.

    >>> bounds(Interval(0.1, -0.05, 0.25, 0.95))
    '+0.1 [-0.05, +0.25]'
    """
    if not math.isfinite(interval.low):
        return f"{interval.estimate:+.3g} (too few rows for an interval)"
    return f"{interval.estimate:+.3g} [{interval.low:+.3g}, {interval.high:+.3g}]"


def name(row: Row) -> str:
    """A setting as a user would write it."""
    return " ".join(f"{key}={spelled.value(each)}" for key, each in row.values.items())


def _enough(one: Recommendation) -> str:
    if one.needed_rows is None:
        return ""
    return f" (about {one.needed_rows:,} held-out rows would show a gain of that size)"


def _little(one: Recommendation, margin: float) -> str:
    return f", which is less than the margin of {margin:g}" if one.gain.estimate < margin else ""


def _change(level: Level) -> str:
    return f"{bounds(level.effect)}"


def _extremes(told: Sequence[Level]) -> list[Level]:
    """The values with the largest changes of either sign."""
    ordered = sorted(told, key=lambda level: level.effect.estimate)
    return ordered if len(ordered) <= 2 else [ordered[0], ordered[-1]]


def _interactions(found: Found) -> Iterator[str]:
    pairs = [share for share in found.shares if len(share.parameters) == 2]
    sure = [share for share in pairs if share.p_value <= ALPHA]
    for share in sure:
        yield (
            f"{' and '.join(share.parameters)} act together: {_percent(share)} of the variation of {found.metric} over the "
            f"settings is of the two jointly (p = {share.p_value:.2g})."
        )
    if pairs and not sure:
        yield "No two parameters were seen to act together beyond chance."


def _settings(found: Found) -> Iterator[str]:
    once = [row for row in found.settings if row.number == row.run and row.number]
    better = [row for row in once if row.p_value <= ALPHA and row.gain.estimate > 0]
    worse = [row for row in once if row.p_value <= ALPHA and row.gain.estimate < 0]
    yield (
        f"Of {len(once)} settings that differ from the defaults, {len(better)} are better than these and {len(worse)} worse "
        f"on the rows that they answered, corrected for how many were compared (Holm, 5 %)."
    )


def _validity(found: Found) -> Iterator[str]:
    """How often answers are of their format, and which values surely change that."""
    if "valid" not in found.settings[0].measures:
        return
    yield f"Of the answers of the defaults {found.settings[0].measures['valid']:.0%} are whole and of the format."
    for one in found.effects:
        changes = {level.value: level.measures["valid"] for level in one.levels if "valid" in level.measures}
        sure = [f"{value}: {bounds(each)}" for value, each in changes.items() if each.low > 0 or each.high < 0]
        if sure:
            yield f"{one.parameter} changes that share: against {one.reference}, at {'; '.join(sure)}."


def _percent(share: Share) -> str:
    return f"{share.share:.0%}" if share.share >= 0.01 else "less than 1 %"
