"""Cells of a user's row: the text or number that stands in one, or why it cannot be used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


class RowError(Exception):
    """A row cannot be used: ``column`` names the canonical column at fault, ``detail`` what is particular to this row."""

    def __init__(self, column: str, message: str, detail: str = "") -> None:
        super().__init__(f"{message} ({detail})" if detail else message)
        self.column, self.message, self.detail = column, message, detail


def is_nothing(cell: Any) -> bool:
    """Whether a cell is empty, as tables of numbers (NaN) or JSON (null) have it."""
    return cell is None or (isinstance(cell, float) and cell != cell)


def is_missing(cell: Any) -> bool:
    """Whether nothing, or only space, stands in a cell."""
    return is_nothing(cell) or (isinstance(cell, str) and not cell.strip())


def text_of(row: Mapping[str, Any], column: str) -> str:
    """The text in a column of a user's row.

    Raises:
        RowError: it is missing, blank, or no text.
    """
    value = row.get(column)
    if is_nothing(value):
        raise RowError(column, "is missing")
    if isinstance(value, (list, tuple, dict)):
        raise RowError(column, f"is a {type(value).__name__}, not text")
    text = str(value)
    if not text.strip():
        raise RowError(column, "is blank")
    return text


def number_of(row: Mapping[str, Any], column: str) -> float:
    """The number in a column of a user's row.

    Raises:
        RowError: it is missing, or no finite number.
    """
    value: Any = row.get(column)
    if is_missing(value):
        raise RowError(column, "is missing")
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RowError(column, "is not a number")
    return number


def refuse_unknown(given: Mapping[str, Any], inputs: Sequence[str]) -> None:
    """Raise a ``RowError`` for a column that is not an input."""
    for name in given:
        if name not in inputs:
            told = "the input is" if len(inputs) == 1 else "inputs are"
            raise RowError(name, f"is not an input; {told} {' and '.join(inputs)}")
