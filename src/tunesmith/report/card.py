"""The model card: README.md of a bundle, as model hubs read it."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tunesmith.report.model import Report
from tunesmith.report.terminal import costs, trusted

_FEW_ROWS = 200
_MOST_LABELS = 50
_MOST_SAMPLES = 5
_PIPELINES = {"chat": "text-generation", "relation-extraction": None}
"""Tasks that hubs name otherwise, or have no name for."""


def card(report: Report) -> str:
    """The model card in Markdown: front matter, then what a stranger needs to use and to distrust the model."""
    parts = [
        _front_matter(report),
        f"# {report.task} with {report.base}\n\n{_purpose(report)}",
        f"## Labels\n\n{_labels(report)}" if report.labels and report.kind != "regression" else "",
        f"## Data\n\n{_data(report)}",
        f"## Scores\n\n{_scores(report)}",
        f"## Before and after training\n\n{_beside(report)}" if report.beside.samples else "",
        f"## Limitations\n\n{_limitations(report)}",
        f"## How to use\n\n{_usage(report)}",
        f"## Training\n\n{_training(report)}",
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _front_matter(report: Report) -> str:
    values: dict[str, Any] = {
        "license": report.license and report.license.lower(),  # hubs write SPDX names small
        "base_model": _hub_name(report.base),
        "library_name": "transformers",
        "pipeline_tag": _PIPELINES.get(report.task, report.task),
        "tags": ["tunesmith", report.task, report.kind, report.adapter],
        "metrics": list(report.metrics),
        "model-index": [{"name": f"{report.task}-{report.base.rpartition('/')[2]}", "results": [_result(report)]}],
    }
    known = {name: value for name, value in values.items() if value is not None}
    return f"---\n{yaml.safe_dump(known, sort_keys=False, allow_unicode=True)}---"


def _result(report: Report) -> dict[str, Any]:
    data = str(report.config.get("data.test") or report.config.get("data.train") or "the user's data")
    return {
        "task": {"type": report.task},
        "dataset": {"name": data.rpartition("/")[2], "type": "private", "split": report.split},
        "metrics": [{"type": name, "value": round(value, 6)} for name, value in report.metrics.items()],
    }


def _hub_name(base: str) -> str | None:
    """The base model as hubs name it; None for one that lies elsewhere."""
    name = base.removeprefix("hf://")
    return name if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) else None


def _purpose(report: Report) -> str:
    gives = report.facts.purpose.format(labels=len(report.labels))
    how = f"Fine-tuned from `{report.base}` (adapter: `{report.adapter}`) by Tunesmith"
    return f"This model {gives}. {how}.\n\n**{report.headline.name} {_value(report, report.headline.name)}** on {report.measured_on}."


def _labels(report: Report) -> str:
    names = [f"`{label}`" for label in report.labels[:_MOST_LABELS]]
    more = len(report.labels) - len(names)
    return ", ".join(names) + (f" and {more} more, which `config.json` lists" if more else "")


def _data(report: Report) -> str:
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in report.rows.items())
    found = "\n".join(f"- {finding}" for finding in report.findings)
    return f"| split | rows |\n|---|---:|\n{rows}" + (f"\n\nWhat the data check found:\n\n{found}" if found else "")


def _scores(report: Report) -> str:
    rows = "\n".join(f"| {name} | {value:.4f} | {_interval(report, name)} |" for name, value in report.metrics.items())
    table = f"| score | value | 95% interval |\n|---|---:|---|\n{rows}"
    how = f"On {report.measured_on}. Intervals are percentile bootstrap intervals over rows."
    notes = "".join(f"- {note}\n" for note in report.notes)
    parts = [how, table, f"```text\n{report.text.rstrip()}\n```", notes.rstrip(), _error_kinds(report), _trust(report)]
    return "\n\n".join(part for part in parts if part)


def _error_kinds(report: Report) -> str:
    if not report.error_kinds:
        return ""
    rows = "\n".join(f"| {name} | {count:,} |" for name, count in report.error_kinds.items())
    return f"| kind of error | number |\n|---|---:|\n{rows}"


def _trust(report: Report) -> str:
    """What probabilities are worth, and what withholding unsure answers leaves."""
    told = (
        [f"Probabilities were calibrated on the validation rows: {'; '.join(trusted(report))}."] if report.trust else []
    )
    rows = "\n".join(
        f"| {part.threshold:.3g} | {part.share:.1%} | {'' if part.accuracy is None else f'{part.accuracy:.1%}'} |"
        for part in report.coverage
    )
    table = f"| answers from this probability on | rows answered | right |\n|---:|---:|---:|\n{rows}" if rows else ""
    if own := report.decision.abstain_below:
        told.append(f"Below a probability of {own:.3g} the answer is `unknown`.")
    return "\n\n".join(part for part in (*told, table) if part)


def _beside(report: Report) -> str:
    """What the base model gave for some of the rows before training, and what this one gives."""
    scores = "\n".join(f"| {name} | {old:.4f} | {new:.4f} |" for name, (old, new) in report.beside.metrics.items())
    count = len(report.beside.samples)
    table = f"| score on {count:,} of the rows | base model | this model |\n|---|---:|---:|\n{scores}"
    first = "\n".join(
        f"| {' | '.join(map(_cell, (one.text, one.target, one.base, one.predicted)))} |"
        for one in report.beside.samples[:_MOST_SAMPLES]
    )
    text, target, _ = report.facts.headings
    return f"{table}\n\n| {text} | {target} | base model | this model |\n|---|---|---|---|\n{first}"


def _limitations(report: Report) -> str:
    """What the report itself gives reason to distrust."""
    points = ["Scores hold for texts like those it was tested on; other sources, styles and languages were not tested."]
    if report.split != "test":
        points.append(
            f"Scored on the {report.split} rows, which also chose the weights: expect a little less on new texts."
        )
    if (report.scored or report.rows.get(report.split, 0)) < _FEW_ROWS:
        points.append(f"Scored on only {report.measured_on}: the intervals are wide.")
    unit = report.facts.unit
    weak = sorted((row for row in report.per_label if row.support), key=lambda row: row.f1)[:3]
    if weak:
        points.append(
            "Weakest labels: "
            + ", ".join(f"`{row.label}` (F1 {row.f1:.2f}, {row.support} {unit})" for row in weak)
            + "."
        )
    if missing := [f"`{row.label}`" for row in report.per_label if not row.support]:
        points.append(f"Not tested, for want of {unit}: {', '.join(missing)}.")
    if report.confusions:
        first = report.confusions[0]
        points.append(
            f"Most frequent confusion: `{first.target}` taken for `{first.predicted}` ({first.share:.0%} of its rows)."
        )
    points.append("It inherits the biases of its base model and of its training data.")
    return "\n".join(f"- {point}" for point in points)


def _usage(report: Report) -> str:
    example = report.facts.example
    shell = 'tunesmith predict . "a text"' if example.startswith('"') else "tunesmith predict . --input rows.jsonl"
    return (
        "With [Tunesmith](https://pypi.org/project/tunesmith/), from the folder that holds this file:\n\n"
        f'```python\nimport tunesmith as ts\n\nts.load(".").answers([{example}])\n```\n\n'
        f"```shell\n{shell}\n```"
    )


def _training(report: Report) -> str:
    facts = {**costs(report), **report.environment}
    parts = [", ".join(f"{name} {text}" for name, text in facts.items()) + "." if facts else ""]
    if report.command:
        parts.append(f"To repeat this run:\n\n```shell\n{report.command}\n```")
    if report.config:
        rows = "\n".join(f"| `{name}` | {_cell(value)} |" for name, value in report.config.items())
        parts.append(
            f"<details><summary>Every parameter</summary>\n\n| parameter | value |\n|---|---|\n{rows}\n\n</details>"
        )
    return "\n\n".join(part for part in parts if part)


def _value(report: Report, name: str) -> str:
    interval = _interval(report, name)
    return f"{report.metrics[name]:.4f}" + (f" (95% interval {interval})" if interval else "")


def _interval(report: Report, name: str) -> str:
    found = report.intervals.get(name)
    return f"{found[0]:.4f} to {found[1]:.4f}" if found else ""


def _cell(value: Any) -> str:
    return "none" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
