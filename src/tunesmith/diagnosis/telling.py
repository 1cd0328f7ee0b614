"""A diagnosis told to people: in the terminal and as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tunesmith.diagnosis.model import Diagnosis, Repeat, Suspect, shown
from tunesmith.report.build import shortened
from tunesmith.report.page import template

MOST_ON_PAGE = 200
_MOST_SHOWN = 10
_TEXT_CHARACTERS = 100


def plain(found: Diagnosis) -> str:
    """What the terminal shows."""
    return "\n".join(f"{title}\n{text}" for title, text in _sections(found))


def html(found: Diagnosis) -> str:
    """The page; light or dark as the reader's system is."""
    return template("doctor.html").render(found=found, most=MOST_ON_PAGE, shown=shown, shortened=shortened)


def _sections(found: Diagnosis) -> Iterator[tuple[str, str]]:
    """Titles and texts, in the order of reading."""
    rows = " and ".join(f"{count:,} {name}" for name, count in found.rows.items())
    yield f"Looked at {rows} rows", _indented([found.how, f"{found.accuracy:.1%} answered as labelled", *found.notes])
    share = len(found.label_errors) / max(1, sum(found.rows.values()))
    yield f"Label errors: {len(found.label_errors):,} ({share:.1%})", _suspects(found.label_errors)
    yield f"Ambiguous: {len(found.ambiguous):,}", _suspects(found.ambiguous)
    others = len(found.repeats) - len(found.conflicts)
    yield (
        f"Repeated texts: {len(found.conflicts):,} with different labels, {others:,} others",
        _repeats(found.conflicts),
    )
    yield f"Failing slices: {len(found.slices):,} of {found.slices_tried:,}", _slices(found)


def _suspects(several: Iterable[Suspect]) -> str:
    lines = []
    for one in list(several)[:_MOST_SHOWN]:
        lines.append(
            f"{one.row.where}  {shown(one.row.labels)} -> {shown(one.suggested)}  {one.probability:.2f}  (margin {one.margin:+.2f})"
        )
        lines.append(f"    {shortened(' '.join(one.row.text.split()), _TEXT_CHARACTERS)}")
    return _indented(lines)


def _repeats(several: Iterable[Repeat]) -> str:
    lines = []
    for one in list(several)[:_MOST_SHOWN]:
        lines.append(f"{'equal' if one.similarity == 1 else f'{one.similarity:.3f}'}, likeliest {shown(one.suggested)}")
        lines += [
            f"    {row.where}  {shown(row.labels)}  {shortened(' '.join(row.text.split()), _TEXT_CHARACTERS)}"
            for row in one.rows[:3]
        ]
    return _indented(lines)


def _slices(found: Diagnosis) -> str:
    return _indented(
        f"{one.by} = {one.value}  {one.score:.1%} right [{one.interval[0]:.1%}, {one.interval[1]:.1%}], the others {one.rest:.1%}  ({one.rows:,} rows, p = {one.p_value:.2g})"
        for one in found.slices
    )


def _indented(lines: Iterable[str]) -> str:
    return "".join(f"  {line}\n" for line in lines)
