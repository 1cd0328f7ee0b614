"""Compare two runs: what was configured otherwise, what they score, and whether the difference is more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith.params import Params, param

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.metrics import Comparison
    from tunesmith.report import Report

_SURE = 0.05
"""A difference counts where chance gives as large a one less often than this."""

_PIPE_WIDTH = 240
"""Columns of a table that no terminal shows, so that nothing is cut."""


class Arguments(Params):
    """Which runs, by which score."""

    a: str = param(..., "Folder of the one run.", positional=True)
    b: str = param(..., "Folder of the other run.", positional=True)
    metric: str | None = param(None, "Score to test; none: the first run's headline.")
    as_json: bool = param(False, "Print one JSON object.", name="json")


def main(arguments: Arguments) -> None:
    """Compare and print."""
    import json
    from dataclasses import asdict
    from pathlib import Path

    from tunesmith import report

    folders = Path(arguments.a), Path(arguments.b)
    a, b = (report.load(folder) for folder in folders)
    name = arguments.metric or a.headline.name
    differences = changed(*(_config(folder) for folder in folders))
    scores = side_by_side(a, b)
    test, reason = _test(folders, a, b, name)
    if arguments.as_json:
        tested = asdict(test) if test else None
        print(
            json.dumps({"config": differences, "scores": scores, "test": tested, "why_not": reason}, ensure_ascii=False)
        )
    else:
        _print(arguments, differences, scores, test, reason)


def changed(a: dict[str, Any], b: dict[str, Any]) -> dict[str, list[Any]]:
    """Parameters, by dotted name, whose values differ, with both values; None where one has no such parameter.

    >>> changed({"train": {"epochs": 3, "seed": 0}}, {"train": {"epochs": 5, "seed": 0}})
    {'train.epochs': [3, 5]}
    """
    from tunesmith.report.build import flat

    one, other = flat(a), flat(b)
    names = dict.fromkeys([*one, *other])
    return {name: [one.get(name), other.get(name)] for name in names if one.get(name) != other.get(name)}


def side_by_side(a: Report, b: Report) -> dict[str, dict[str, float | None]]:
    """Every score of either run, with the difference ``b - a``."""
    found: dict[str, dict[str, float | None]] = {}
    for name in dict.fromkeys([*a.metrics, *b.metrics]):
        one, other = a.metrics.get(name), b.metrics.get(name)
        found[name] = {"a": one, "b": other, "difference": None if one is None or other is None else other - one}
    return found


def verdict(test: Comparison) -> str:
    """The test in a sentence.

    >>> from tunesmith.metrics import Comparison
    >>> verdict(Comparison("f1_macro", 0.8, 0.85, 0.05, (0.02, 0.08), 0.001))
    'B is better: f1_macro +0.0500 [+0.0200, +0.0800], p = 0.001'
    """
    from tunesmith import metrics

    better = (test.difference > 0) == metrics.higher_is_better(test.name)
    word = f"{'B' if better else 'A'} is better" if test.p_value < _SURE else "no difference beyond chance"
    low, high = test.interval
    return f"{word}: {test.name} {test.difference:+.4f} [{low:+.4f}, {high:+.4f}], p = {test.p_value:.3f}"


def _test(folders: tuple[Path, Path], a: Report, b: Report, name: str) -> tuple[Comparison | None, str | None]:
    """The paired test, or why there can be none."""
    from tunesmith import metrics, report

    if (a.task, a.kind) != (b.task, b.kind):
        return None, f"the runs are of different tasks: {a.task} ({a.kind}) and {b.task} ({b.kind})"
    if a.labels != b.labels:
        alone = ", ".join(sorted(set(a.labels) ^ set(b.labels))[:5])
        return None, f"the runs have different labels{': ' + alone if alone else ', in another order'}"
    if a.fingerprint != b.fingerprint:
        return None, f"the runs were scored on different rows ({a.rows.get(a.split)} and {b.rows.get(b.split)})"
    return metrics.paired_test(
        report.load_predictions(folders[0], a), report.load_predictions(folders[1], b), name
    ), None


def _config(folder: Path) -> dict[str, Any]:
    import yaml

    from tunesmith.errors import BundleError

    try:
        values = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BundleError(f"the config cannot be read: {error}", where=str(folder / "config.yaml")) from None
    return values if isinstance(values, dict) else {}


def _print(
    arguments: Arguments,
    differences: dict[str, list[Any]],
    scores: dict[str, dict[str, float | None]],
    test: Comparison | None,
    reason: str | None,
) -> None:
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    console.print(f"A  {arguments.a}\nB  {arguments.b}\n", markup=False, highlight=False, soft_wrap=True)
    if differences:
        table = Table("parameter", "A", "B", box=None)
        for name, values in differences.items():
            table.add_row(*map(Text, [name, *("none" if value is None else str(value) for value in values)]))
        console.print(table)
    else:
        console.print("the configs are the same")
    table = Table("score", "A", "B", "B - A", box=None)
    for name, row in scores.items():
        table.add_row(Text(name), *(_number(row[key]) for key in ("a", "b")), _number(row["difference"], "+"))
    console.print()
    console.print(table)
    line = verdict(test) if test else f"no test of significance: {reason}"
    console.print(f"\n{line}", markup=False, highlight=False, soft_wrap=True)


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.4f}"
