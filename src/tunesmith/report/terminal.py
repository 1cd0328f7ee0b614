"""The report in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from rich.console import Console

from tunesmith.decisions.calibration import told
from tunesmith.report.model import Report

_MOST_CONFUSIONS = 5
_MOST_SAMPLES = 3
_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 60


def show(report: Report, console: Console | None = None) -> None:
    """Print the report; the classification report is printed to the letter, however narrow the terminal.

    Args:
        report: what to tell.
        console: where to; None: the standard output.
    """
    console = console or Console()
    for title, text in sections(report):
        console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def plain(report: Report) -> str:
    """What ``show`` prints, as text."""
    return "\n".join(f"{title}\n{text}" for title, text in sections(report))


def sections(report: Report) -> Iterator[tuple[str, str]]:
    """Titles and texts, in the order of reading; sections that have nothing to say are left out."""
    yield str(report.headline), _facts(report)
    yield f"On {report.measured_on}", report.text
    if others := _scores(report):
        yield "Scores [95% interval]", others
    if report.folds.count:
        yield f"Cross-validation, {report.folds.count} folds (mean ± standard deviation)", _folds(report)
    if report.confusions:
        rows = [f"{c.target} -> {c.predicted}  {c.rows} ({c.share:.0%})" for c in report.confusions[:_MOST_CONFUSIONS]]
        yield "Most confused (target -> predicted)", _indented(rows)
    if report.error_kinds:
        width = max(map(len, report.error_kinds))
        yield "Kinds of error", _indented(f"{name:<{width}}  {count:,}" for name, count in report.error_kinds.items())
    if len(report.slices) > 1:
        yield f"{report.slices[0].metric} by tokens of the text", _lengths(report)
    if report.trust:
        yield "Calibration, fitted on the validation rows", _indented(trusted(report))
    if report.coverage:
        yield "Answers from a probability on", _indented(covered(report))
    if report.beside.samples:
        yield f"Before and after training, on {len(report.beside.samples):,} of the rows", _beside(report)
    if report.notes:
        yield "How it was scored", _indented(report.notes)
    if report.findings:
        yield "What the data check found", _indented(f"- {finding}" for finding in report.findings)
    if report.command:
        yield "To repeat this run", _indented([report.command])


def trusted(report: Report) -> list[str]:
    """What calibration changed, in words."""
    if not report.trust:
        return []
    before, after = report.trust.before.error, report.trust.after.error
    how = f" ({told(report.decision.calibration)})" if report.decision.calibration else ""
    lines = [f"expected calibration error {before:.4f} -> {after:.4f}{how}"]
    if report.split == "validation":
        lines.append("measured on the rows that it was fitted on: expect a little more on new texts")
    return lines


def covered(report: Report) -> list[str]:
    """What withholding unsure answers leaves, in words."""
    return [
        f"{part.threshold:.3g}".ljust(6)
        + f"{part.share:7.1%} of the rows answered"
        + (f", {part.accuracy:.1%} of them right" if part.accuracy is not None else "")
        + (" (below: unknown)" if part.threshold and part.threshold == report.decision.abstain_below else "")
        for part in report.coverage
    ]


def duration(seconds: float) -> str:
    """A length of time for people.

    >>> duration(8.26), duration(83), duration(7384)
    ('8.3 s', '1 min 23 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """A number of bytes for people.

    >>> size(1.5e9), size(2_500_000)
    ('1.5 GB', '2.5 MB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def share(report: Report) -> str:
    """The trained weights as a share of all, for people.

    >>> from types import SimpleNamespace as Some
    >>> share(Some(weights=(1, 400))), share(Some(weights=None))
    (' (0.25%)', '')
    """
    return "" if report.weights is None else f" ({report.weights[0] / report.weights[1]:.2%})"


def costs(report: Report) -> dict[str, str]:
    """What the run cost, by name, for people."""
    timing = report.timing
    known = {
        "training": None if timing.train_s is None else duration(timing.train_s),
        "whole run": None if timing.total_s is None else duration(timing.total_s),
        "speed": None if timing.tokens_per_s is None else f"{timing.tokens_per_s:,.0f} tokens/s",
        "peak memory": None if timing.peak_memory_bytes is None else size(timing.peak_memory_bytes),
        "trained weights": None if report.weights is None else "{:,} of {:,}".format(*report.weights) + share(report),
    }
    return {name: text for name, text in known.items() if text}


def _facts(report: Report) -> str:
    rows = ", ".join(f"{count:,} {name}" for name, count in report.rows.items())
    lines = [f"{report.task} ({report.kind}) · {report.base} · {report.adapter}", f"rows: {rows}"]
    if cost := costs(report):
        lines.append(" · ".join(f"{name} {text}" for name, text in cost.items()))
    return _indented(lines)


def _scores(report: Report) -> str:
    width = max(map(len, report.metrics))
    rows = []
    for name, value in report.metrics.items():
        interval = report.intervals.get(name)
        rows.append(
            f"{name:<{width}}  {value:7.4f}" + (f"  [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else "")
        )
    return _indented(rows)


def _folds(report: Report) -> str:
    folds = report.folds
    width = max(map(len, folds.mean))
    return _indented(f"{name:<{width}}  {mean:7.4f} ± {folds.deviation[name]:.4f}" for name, mean in folds.mean.items())


def _lengths(report: Report) -> str:
    names = [f"{part.low} to {part.high}" for part in report.slices]
    width = max(map(len, names))
    rows = zip(names, report.slices, strict=True)
    return _indented(f"{name:>{width}}  {part.value:7.4f}  ({part.rows:,} rows)" for name, part in rows)


def _beside(report: Report) -> str:
    """Scores of the base model and the trained one, and the first samples."""
    width = max(map(len, report.beside.metrics), default=0)
    lines = [f"{name:<{width}}  {old:.4f} -> {new:.4f}" for name, (old, new) in report.beside.metrics.items()]
    for sample in report.beside.samples[:_MOST_SAMPLES]:
        lines += ["", *(f"{name:<9} {' '.join(text.split())}" for name, text in asdict(sample).items())]
    return _indented(lines)


def _indented(lines: Iterable[str]) -> str:
    return "".join(f"  {line}\n" for line in lines)


def sparkline(values: Sequence[float], most: int = _MOST_BARS) -> str:
    """Values as bars; of more than ``most``, evenly spread ones.

    >>> sparkline([1.0, 2.0, 3.0])
    '▁▅█'
    """
    count = min(len(values), most)
    chosen = [values[place * (len(values) - 1) // max(1, count - 1)] for place in range(count)]
    low, high = min(chosen), max(chosen)
    return "".join(_BARS[round((value - low) / (high - low or 1.0) * (len(_BARS) - 1) + 1e-9)] for value in chosen)
