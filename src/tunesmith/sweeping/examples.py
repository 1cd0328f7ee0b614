"""A few rows with what different settings answered to them, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.sweeping.found import Example, Recommendation, Row
from tunesmith.sweeping.judging import Judged

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.predict import Model

_ROWS = 4
_SETTINGS = 5


def gather(
    table: pa.Table,
    order: Sequence[int],
    model: Model,
    judged: Mapping[int, Judged],
    rows: Sequence[Row],
    recommended: Recommendation,
) -> tuple[Example, ...]:
    """A few of the rows that all settings answered.

    Args:
        table: canonical rows.
        order: numbers of the rows in the order in which they were answered.
        model: which answered.
        judged: of each run.
        rows: the settings.
        recommended: the setting at the end.
    """
    common = min(map(len, judged.values()))
    shown = _shown(rows, recommended)
    found = []
    for place in dict.fromkeys(np.linspace(0, common - 1, min(_ROWS, common)).astype(int).tolist()):
        one = judged[0].predictions
        first = place * judged[0].answers
        answers = {row.number: judged[row.run].shown[place] for row in shown}
        found.append(Example(str(one.texts[first]), str(one.names(one.targets[first])), answers))
    return tuple(found)


def _shown(rows: Sequence[Row], recommended: Recommendation) -> list[Row]:
    """The defaults, the best, the ends of the first parameter and the last of all, each run once."""
    first = next(iter(rows[0].values))
    numbers = [row for row in rows if isinstance(row.values[first], int | float)]
    ends = sorted(numbers, key=lambda row: float(row.values[first]))
    wanted = [rows[0], rows[recommended.setting], *ends[:1], *ends[-1:], min(rows, key=lambda row: row.gain.estimate)]
    return list({row.run: row for row in wanted}.values())[:_SETTINGS]
