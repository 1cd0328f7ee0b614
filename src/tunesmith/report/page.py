"""The report as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from tunesmith.metrics import Counted, Predictions, higher_is_better
from tunesmith.report.model import Report
from tunesmith.report.pictures import pictures
from tunesmith.report.terminal import costs, trusted

_LONG_REPORT_LABELS = 30


def html(report: Report, predictions: Predictions | Counted) -> str:
    """The page; light or dark as the reader's system is.

    Args:
        report: what to tell.
        predictions: what the report was built from; the pictures are drawn of them.
    """
    drawn = list(pictures(report, predictions))
    halves = (
        sum(not picture.wide for picture in drawn)
        + bool(report.confusions)
        + bool(report.error_kinds)
        + bool(report.coverage)
    )
    return template("page.html").render(
        report=report,
        pictures=drawn,
        scores_are_alone=halves % 2 == 0,
        costs=costs(report),
        trusted=trusted(report),
        higher_is_better=higher_is_better,
        written=report.kind.startswith("texts-"),
        folded=len(report.per_label) > _LONG_REPORT_LABELS,
    )


def picture(title: str, kicker: str, svg: str, caption: str) -> str:
    """A page with one picture; ``kicker`` says over the title what it is of."""
    return template("picture.html").render(title=title, kicker=kicker, svg=svg, caption=caption)


@cache
def template(name: str, package: str = "tunesmith.report") -> Template:
    """A page's template; one of another package may include those that are here."""
    loader = ChoiceLoader([PackageLoader(place, "templates") for place in dict.fromkeys((package, "tunesmith.report"))])
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template(name)
