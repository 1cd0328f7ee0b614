"""Reports and predictions in a run's folder; each file is written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.errors import BundleError, TrainingError
from tunesmith.metrics import Counted, Predictions, columns
from tunesmith.report.card import card
from tunesmith.report.model import HeldOut, Report, from_json, to_json
from tunesmith.report.page import html

REPORT, PAGE, CARD, PREDICTIONS = "report.json", "report.html", "README.md", "predictions.jsonl"
OUT_OF_FOLD = "out_of_fold.jsonl"


def write(report: Report, predictions: Predictions | Counted, folder: str | Path) -> None:
    """Write predictions.jsonl, README.md (the model card), report.html and, last, report.json, which says all is there.

    Raises:
        TrainingError: the folder cannot be written or is full.
    """
    folder = Path(folder)
    _replace(folder / PREDICTIONS, _lines(predictions))
    _replace(folder / CARD, [card(report)])
    _replace(folder / PAGE, [html(report, predictions)])
    _replace(folder / REPORT, [json.dumps(to_json(report), ensure_ascii=False, indent=1, allow_nan=False), "\n"])


def write_out_of_fold(parts: Iterable[HeldOut], folder: Path) -> None:
    """Write out_of_fold.jsonl: predictions.jsonl of rows that were held out, with their split, fold and number in the split."""
    lines = (
        json.dumps({"split": part.split, "fold": part.fold, "row": int(row), **values}, ensure_ascii=False) + "\n"
        for part in parts
        for row, values in zip(part.rows, _entries(part.predictions), strict=True)
    )
    _replace(folder / OUT_OF_FOLD, lines)


def load_out_of_fold(folder: str | Path, report: Report) -> list[HeldOut]:
    """What ``write_out_of_fold`` wrote in a run's folder, one part for each split, rows ascending; ``fold`` is None.

    Raises:
        BundleError: the file is missing or damaged.
    """
    parts: dict[str, list[dict[str, Any]]] = {}
    for entry in _read_lines(Path(folder) / OUT_OF_FOLD):
        parts.setdefault(entry.get("split", "train"), []).append(entry)
    found = []
    for split, entries in parts.items():
        entries.sort(key=lambda entry: entry["row"])
        numbers = np.array([entry["row"] for entry in entries])
        found.append(HeldOut(split, None, numbers, _predictions(entries, report, Path(folder) / OUT_OF_FOLD)))
    return found


def load(folder: str | Path) -> Report:
    """The report of a run.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    path = Path(folder) / REPORT
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"no {REPORT}: not a finished run", where=str(folder)) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"the report cannot be read: {error}", where=str(path)) from None
    if not isinstance(values, dict):
        raise BundleError("this is not a report", where=str(path))
    return from_json(values, where=str(path))


def load_predictions(folder: str | Path, report: Report) -> Predictions | Counted:
    """The predictions that the report of a run was made of.

    Raises:
        BundleError: the file is missing or damaged.
    """
    path = Path(folder) / PREDICTIONS
    return _predictions(_read_lines(path), report, path)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except OSError as error:
        raise BundleError(f"the predictions cannot be read: {error.strerror}", where=str(path)) from None
    except ValueError as error:
        raise BundleError(f"the predictions are damaged: {error!r}", where=str(path)) from None


def _predictions(rows: list[dict[str, Any]], report: Report, path: Path) -> Predictions | Counted:
    try:
        return (_counted if report.facts.columns else _labelled)(rows, report)
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"the predictions are damaged: {error!r}", where=str(path)) from None


def _labelled(rows: list[dict[str, Any]], report: Report) -> Predictions:
    numbers = {label: number for number, label in enumerate(report.labels)}
    return Predictions(
        kind=report.kind,
        labels=report.labels,
        targets=_numbers([row["target"] for row in rows], report, numbers),
        scores=np.array([row["scores"] for row in rows]),
        predicted=_numbers([row["predicted"] for row in rows], report, numbers),
        families=report.families,
        decision=report.decision,
        **_context(rows),
    )


def _counted(rows: list[dict[str, Any]], report: Report) -> Counted:
    places = {name: number for number, name in enumerate(columns(report.kind, report.labels))}
    statistics = np.zeros((len(rows), len(places)))
    for row, values in enumerate(rows):
        for name, value in values["counts"].items():
            statistics[row, places[name]] = value
    return Counted(
        kind=report.kind,
        statistics=statistics,
        targets=[row["target"] for row in rows],
        predicted=[row["predicted"] for row in rows],
        errors=np.array([row["error"] for row in rows]),
        labels=report.labels,
        notes=report.notes,
        **_context(rows),
    )


def _context(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "texts": [row["text"] for row in rows],
        "lengths": np.array([row["tokens"] for row in rows]),
        "sources": [row["where"] for row in rows] if rows and "where" in rows[0] else (),
    }


def _lines(predictions: Predictions | Counted) -> Iterator[str]:
    return (json.dumps(values, ensure_ascii=False) + "\n" for values in _entries(predictions))


def _entries(predictions: Predictions | Counted) -> Iterator[dict[str, Any]]:
    for row, text in enumerate(predictions.texts):
        values: dict[str, Any] = {
            "text": text,
            "target": predictions.names(predictions.targets[row]),
            "predicted": predictions.names(predictions.predicted[row]),
            **_details(predictions, row),
            "tokens": int(predictions.lengths[row]),
        }
        if predictions.sources:
            values["where"] = predictions.sources[row]
        yield values


def _details(predictions: Predictions | Counted, row: int) -> dict[str, Any]:
    """Scores of an answer, or what was counted in it; counts of 0 are not written."""
    if isinstance(predictions, Predictions):
        return {"scores": _rounded(predictions.scores[row])}
    counts = zip(predictions.columns, predictions.statistics[row].tolist(), strict=True)
    return {"error": float(predictions.errors[row]), "counts": {name: _plain(value) for name, value in counts if value}}


def _plain(value: float) -> float:
    """Whole numbers without a decimal point."""
    return int(value) if value == int(value) else value


def _rounded(scores: Any) -> Any:
    """Scores with the digits that 32-bit computation gives."""
    return [float(f"{score:.8g}") for score in scores] if np.ndim(scores) else float(f"{scores:.8g}")


def _numbers(answers: list[Any], report: Report, numbers: dict[str, int]) -> np.ndarray:
    if report.kind == "regression":
        return np.array(answers, dtype=np.float64)
    if report.kind == "multi-class":
        return np.array([numbers[answer] for answer in answers])
    marks = np.zeros((len(answers), len(numbers)), dtype=np.int64)
    for row, names in enumerate(answers):
        marks[row, [numbers[name] for name in names]] = 1
    return marks


def _replace(path: Path, parts: Iterable[str]) -> None:
    """Write a file beside the old one, then put it in its place."""
    beside = ""
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.writelines(parts)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except OSError as error:
        Path(beside).unlink(missing_ok=True) if beside else None
        raise TrainingError(
            f"cannot be written: {error.strerror}", where=str(path), hint="the run can be resumed"
        ) from None
