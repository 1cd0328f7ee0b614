"""The report's pictures. Each is a function whose documentation is its heading and caption.

Which kind of predictions has which, is in ``metrics.KINDS``; the functions are in ``pictures_of_*.py``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from tunesmith.metrics import KINDS, Counted, Predictions
from tunesmith.report import pictures_of_any, pictures_of_counts, pictures_of_labels, pictures_of_numbers
from tunesmith.report.drawing import HALF, as_svg, style
from tunesmith.report.model import Report

Drawing = Callable[[Report, Any], Figure | None]

_FILES = (pictures_of_any, pictures_of_labels, pictures_of_numbers, pictures_of_counts)


def _drawing(name: str) -> Drawing:
    found: Drawing = next(getattr(file, name) for file in _FILES if hasattr(file, name))
    return found


PICTURES: dict[str, tuple[Drawing, ...]] = {
    kind: tuple(_drawing(name) for name in facts.pictures) for kind, facts in KINDS.items()
}
"""Which pictures each kind of predictions has, in the order of the page."""


@dataclass(frozen=True)
class Picture:
    """A drawn picture; ``wide`` ones take the whole width of the page."""

    name: str
    heading: str
    caption: str
    svg: str
    wide: bool


def pictures(report: Report, predictions: Predictions | Counted) -> Iterator[Picture]:
    """Every picture of this kind of predictions that has something to show."""
    return drawn(PICTURES[report.kind], report, predictions)


def drawn(drawings: Iterable[Callable[..., Figure | None]], *shown: Any) -> Iterator[Picture]:
    """The pictures that have something to show; a drawing's documentation is its heading and caption."""
    for drawing in drawings:
        name = drawing.__name__
        with style(name):
            figure = drawing(*shown)
            if figure is None:
                continue
            svg = as_svg(name, figure)
        heading, _, caption = (inspect.getdoc(drawing) or "").partition("\n")
        wide = figure.get_figwidth() > HALF
        yield Picture(name, heading.rstrip("."), " ".join(caption.split()), svg, wide)
