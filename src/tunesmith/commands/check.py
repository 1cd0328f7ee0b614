"""Check data before training: columns, counts, everything suspicious with file and line, and how rows are tokenised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.params import Params, param

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.config import Config, Model
    from tunesmith.data.finding import Finding
    from tunesmith.data.prepare import Splits
    from tunesmith.tasks.base import Task
    from tunesmith.text.encode import Encoded

MORE = "config"
_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_MOST_LABELS = 20


class Arguments(Params):
    """What to check, and what to print."""

    source: str | None = param(None, "Labelled data, or a YAML config.", positional=True)
    preview: int = param(3, "Training rows to show with their tokens.", ge=0)
    as_json: bool = param(False, "Print JSON.", name="json")


def main(arguments: Arguments, flags: Mapping[str, str]) -> int:
    """Print what was found; returns 2 when there are errors, else 0."""
    import tempfile
    from pathlib import Path

    from tunesmith import config, plugins
    from tunesmith.data.finding import by_severity
    from tunesmith.data.prepare import prepare

    asked = config.from_call(arguments.source, flags=flags)
    with tempfile.TemporaryDirectory(prefix="tunesmith-check-") as folder:
        task = plugins.load("tasks", asked.task_name)(asked.task)
        splits = prepare(asked, task, Path(folder))
        tokenizer, notes = _tokenizer(asked, task, splits, Path(folder))
        encoded = _encoded(task, asked.model, splits, tokenizer, Path(folder)) if tokenizer else {}
        findings = by_severity([*splits.findings, *notes, *_token_findings(task, splits, encoded)])
        preview = _preview(task, splits, encoded, tokenizer, arguments.preview)
        facts = _facts(splits, encoded, findings, preview)
        _print_json(facts) if arguments.as_json else _print(facts, findings)
    return 2 if any(finding.severity == "error" for finding in findings) else 0


def _tokenizer(config: Config, task: Task, splits: Splits, folder: Path) -> tuple[Any, list[Finding]]:
    """The base model's tokenizer; where the task's own base model is out of reach, a note in its place."""
    from tunesmith.data.finding import Finding
    from tunesmith.errors import SourceError

    try:
        path = task.base_folder(config.model.base or task.default_base, splits.tables["train"], folder / "base")
        return task.load_tokenizer(path, path), []
    except SourceError as error:
        if config.model.base:
            raise
        return None, [Finding("note", "no_tokenizer", f"tokens were not checked: {error.headline}")]


def _encoded(task: Task, reading: Model, splits: Splits, tokenizer: Any, folder: Path) -> dict[str, Encoded]:
    from tunesmith.text import encode as text

    reading = reading.but(
        max_length=text.choose_max_length(text.length_limit(tokenizer), reading.max_length),
        long_text=reading.long_text or task.long_text,
    )
    # With the target, so that what is to be learned is known; without one where errors keep it from being told.
    return {
        name: task.encode(table, tokenizer, reading, folder / f"{name}-tokens", splits.target).encoded[0]
        for name, table in splits.tables.items()
    }


def _token_findings(task: Task, splits: Splits, encoded: dict[str, Encoded]) -> list[Finding]:
    from tunesmith.data import check

    return [
        finding
        for name, tokens in encoded.items()
        for findings in (check.token_findings, task.token_findings)
        for finding in findings(name, splits.tables[name], tokens)
    ]


def _facts(
    splits: Splits, encoded: dict[str, Encoded], findings: list[Finding], preview: list[dict[str, Any]]
) -> dict[str, Any]:
    """Everything that is printed, as plain values."""
    from collections import Counter
    from dataclasses import asdict

    target = splits.target
    named = target is not None and target.kind != "regression"
    counts = {
        name: Counter(dict(zip(splits.labels.names, splits.labels.counts(name).tolist(), strict=True)))
        for name in splits.tables
    }
    return {
        "kind": target.kind if target else None,
        "columns": dict(splits.columns),
        "rows": {name: len(table) for name, table in splits.tables.items()},
        "tokens": {name: int(tokens.lengths.sum(dtype="int64")) for name, tokens in encoded.items()},
        "labels": {
            name: {label: counts[name][label] for label in (*target.labels, *target.relations)} for name in counts
        }
        if target and named
        else {},
        "findings": [asdict(finding) for finding in findings],
        "preview": preview,
    }


def _preview(
    task: Task, splits: Splits, encoded: dict[str, Encoded], tokenizer: Any, count: int
) -> list[dict[str, Any]]:
    """The first training rows with what they are labelled and their tokens."""
    from tunesmith.data import store

    if "train" not in encoded:
        return []
    tokens, table = encoded["train"], splits.tables["train"]
    first = range(min(count, len(tokens)))
    labels = tokens.lists("labels").take(first) if "labels" in tokens.table.column_names else [None] * len(first)
    found = []
    for ids, learned, row in zip(tokens.lists().take(first), labels, tokens.rows.tolist(), strict=False):
        [label] = task.labelled(table.slice(row, 1))
        found.append(
            {
                "where": store.where(table, row),
                "label": list(label),
                "tokens": tokenizer.convert_ids_to_tokens(ids.tolist()),
                **({} if learned is None else _learned(ids.tolist(), learned.tolist(), tokenizer)),
            }
        )
    return found


def _learned(ids: list[int], labels: list[int], tokenizer: Any) -> dict[str, Any]:
    """Of a text to be written: its tokens, or for a decoder the places of those of the tokens that carry loss."""
    from tunesmith.outputs import IGNORED

    if tokenizer.is_decoder:
        return {"learned": [place for place, label in enumerate(labels) if label != IGNORED]}
    return {"written": tokenizer.convert_ids_to_tokens(labels)}


def _print_json(facts: dict[str, Any]) -> None:
    import json

    print(json.dumps(facts, ensure_ascii=False))


def _print(facts: dict[str, Any], findings: list[Finding]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    _print_counts(console, facts)
    for finding in findings:
        _print_finding(console, finding)
    for row in facts["preview"]:
        _print_row(console, row)
    counts = [f"{sum(finding.severity == name for finding in findings)} {name}s" for name in _COLOURS]
    console.print(", ".join(counts))


def _print_counts(console: Any, facts: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    console.print("columns: " + escape(", ".join(f"{name} = {column}" for name, column in facts["columns"].items())))
    table = Table(facts["kind"] or "", *facts["rows"], box=None)
    table.add_row("rows", *(f"{count:,}" for count in facts["rows"].values()))
    if facts["tokens"]:
        table.add_row("tokens", *(f"{facts['tokens'].get(name, 0):,}" for name in facts["rows"]))
    labels = facts["labels"].get("train", {})
    for label in sorted(labels, key=lambda name: -labels[name])[:_MOST_LABELS]:
        table.add_row(escape(label), *(f"{facts['labels'][name][label]:,}" for name in facts["rows"]))
    if len(labels) > _MOST_LABELS:
        table.add_row(f"… {len(labels) - _MOST_LABELS} more labels")
    console.print(table)


def _print_finding(console: Any, finding: Finding) -> None:
    from rich.markup import escape

    console.print(
        f"[{_COLOURS[finding.severity]}]{finding.severity}[/] [dim]{finding.code}[/] {escape(finding.message)}"
    )
    for example in finding.examples:
        console.print(f"    {escape(example)}")
    if finding.hint:
        console.print(f"    [green]{escape(finding.hint)}[/]")


def _print_row(console: Any, row: dict[str, Any]) -> None:
    from rich.markup import escape

    label = f" [bold]{escape(', '.join(row['label']))}[/]" if row["label"] else ""
    console.print(f"[dim]{escape(row['where'])}[/]{label}")
    learned = set(row.get("learned", ()))
    spelt = (
        f"[bold green]{escape(token)}[/]" if place in learned else escape(token)
        for place, token in enumerate(row["tokens"])
    )
    console.print("    " + "·".join(spelt))
    if "written" in row:
        console.print("    → [bold green]" + escape("·".join(row["written"])) + "[/]")
