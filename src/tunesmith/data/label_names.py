"""Label names as they stand in a user's cells, and what kind of target they make."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.text.cells import is_nothing

if TYPE_CHECKING:
    import pyarrow as pa

# A column of numbers with more distinct values than this is taken for a regression when they are not whole.
_FEW_VALUES = 12


def names_of(cell: Any, separator: str | None) -> list[str]:
    """The label names in one cell, each once; empty where there are none."""
    if isinstance(cell, (list, tuple)):
        parts = [_name(part) for part in cell]
    elif is_nothing(cell):
        parts = []
    else:
        parts = [part.strip() for part in str(cell).split(separator)] if separator else [_name(cell)]
    return list(dict.fromkeys(part for part in parts if part.strip()))


def number_of(label: str) -> float | None:
    """The finite number that a label is, if it is one."""
    try:
        value = float(label)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def natural(label: str) -> tuple[int, float, str]:
    """Numbers by size, then names by letter."""
    number = number_of(label)
    return (1, 0.0, label) if number is None else (0, number, label)


def kind_of(cells: pa.ChunkedArray, counts: Mapping[str, int]) -> str:
    """``multi-label``, ``regression`` or ``multi-class``, from all cells (lists of names) and the count of each name."""
    import pyarrow.compute as pc

    lengths = pc.list_value_length(cells)
    if pc.any(pc.not_equal(lengths, 1)).as_py():
        return "multi-label"
    numbers = [number_of(label) for label in counts]
    fractional = [number for number in numbers if number is not None and not number.is_integer()]
    if None not in numbers and len(numbers) > _FEW_VALUES and fractional:
        return "regression"
    return "multi-class"


def _name(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
