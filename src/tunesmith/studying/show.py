"""The report of a study: in the terminal, as JSON, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tunesmith.report.page import template
from tunesmith.report.terminal import duration
from tunesmith.search.show import keep, tell, text
from tunesmith.studying.found import Effect, Found


def write(found: Found, folder: Path) -> None:
    """Write report.html and report.json into the study's folder."""
    keep(folder, html(found), found.to_json())


def show(found: Found, console: Console | None = None) -> None:
    """Print it, to the standard output if no console is given."""
    tell(sections(found), console)


def html(found: Found) -> str:
    """The page; light or dark as the reader's system is."""
    from tunesmith.studying.pictures import pictures

    return template("study.html", "tunesmith.studying").render(
        found=found, facts=facts(found), pictures=list(pictures(found)), text=text
    )


def facts(found: Found) -> dict[str, str]:
    """How much was trained, and what it took."""
    known = {"trainings": f"{len(found.rows)} of {found.wanted}", "seeds": str(len(found.seeds))}
    if found.failed:
        known["failed"] = str(len(found.failed))
    return {
        **known,
        "training took": duration(sum(row.seconds for row in found.rows)),
        "this call": duration(found.seconds),
    }


def sections(found: Found) -> Iterator[tuple[str, list[str]]]:
    """Titles and lines, in the order of reading."""
    yield found.words, [", ".join(f"{name} {value}" for name, value in facts(found).items()), *found.notes]
    yield "What may be said", [effect.words for effect in found.effects]
    for effect in found.effects:
        share = "" if effect.share is None else f", explains {effect.share:.0%} of the differences"
        yield f"{effect.parameter}{share}", list(_levels(effect))
    if found.interactions:
        pairs = sorted(found.interactions.items(), key=lambda item: -item[1])
        yield "Together, beyond each by itself", [f"{' and '.join(pair)}: {share:.0%}" for pair, share in pairs]
    yield f"The best mean {found.metric}", [f"{name} {text(value)}" for name, value in found.best.items()]
    if found.failed:
        yield "Trainings that failed", list(found.failed)


def _levels(effect: Effect) -> Iterator[str]:
    width = max(len(text(level.value)) for level in effect.levels)
    for level in effect.levels:
        gain = "  (compared with)" if level.value == effect.default else ""
        if level.interval is not None:
            gain = f"  {level.gain:+.4f} [{level.interval[0]:+.4f}, {level.interval[1]:+.4f}]  p {level.p_value:.3f}"
        yield f"{text(level.value):>{width}}  {level.score:.4f}{gain}  {level.seconds:.0f} s"
