"""The data doctor: label errors, ambiguous rows, repeated texts and rows that fail, found by models that did not see them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tunesmith import config as configs
from tunesmith.config import Config
from tunesmith.data import check, corrections, prepare, read, store
from tunesmith.diagnosis import files, judged, mislabelled, repeats, slices
from tunesmith.diagnosis.judged import Judged
from tunesmith.diagnosis.mislabelled import Doubts
from tunesmith.diagnosis.model import Diagnosis, Repeat, Row, Suspect
from tunesmith.diagnosis.repeats import Alike
from tunesmith.errors import UsageError
from tunesmith.metrics import Predictions
from tunesmith.report import OUT_OF_FOLD
from tunesmith.train.journal import Journal

By = Literal["folds", "features"]
NEAR = 0.95


def call(
    source: str | Path | None,
    *,
    by: By | None = None,
    near: float | None = NEAR,
    accept: bool = False,
    out: str | Path | None = None,
    quiet: bool = False,
    flags: Mapping[str, str] | None = None,
    keywords: Mapping[str, Any] | None = None,
) -> tuple[Diagnosis, Path]:
    """Look at the training and validation rows of a finished run or of labelled data, and write what was found.

    Args:
        source: the run's folder; or the data, or a YAML config.
        by: ``folds`` (of the run) or ``features`` (of the base model); None: folds where the run has some.
        near: cosine from which texts count as nearly the same; None: only equal texts do.
        accept: fill in what becomes of label errors: where another label leads by more than 0.1, a row gets it if that is
            likelier than all others together, and is dropped if not.
        out: folder for the files; None: ``doctor`` in the run's folder, or ``runs/doctor-<data>``.
        quiet: show no progress.
        flags: config parameters as text, where the source is no run.
        keywords: the same as Python values.

    Returns:
        What was found, and the folder of the files.

    Raises:
        BundleError: the run is not finished or damaged.
        UsageError: it has no folds, or no labels; or the folder is not empty.
        DataError: the data cannot be used, or is not what it was.
    """
    run = Path(source) if source is not None and (Path(source) / "config.yaml").exists() else None
    config = _config(run, source, flags or {}, keywords or {})
    if run is None and by == "folds":
        hint = "tunesmith train ... --train.folds 5, then the doctor of that run; or --by features"
        raise UsageError("folds come from a run", where="--by", hint=hint)
    stem = Path(config.data.train or "data").name.split(".")[0]
    folder = files.claim(Path(out) if out else run / "doctor" if run else Path("runs") / f"doctor-{stem}")
    try:
        found = _look(run, config, by, near, quiet)
        files.write(found, folder, accept=accept)
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    return found, folder


def _config(run: Path | None, source: Any, flags: Mapping[str, str], keywords: Mapping[str, Any]) -> Config:
    """That of the run, or of the call."""
    if run is None:
        return configs.from_call(source, flags=flags, keywords=keywords)
    if given := [*flags, *keywords]:
        hint = "a run is looked at as it was configured; to change that, name its data or its config.yaml"
        raise UsageError("the run has a config", where=", ".join(given), hint=hint)
    return configs.resolve(run / "config.yaml", environment={})


def _look(run: Path | None, config: Config, by: By | None, near: float | None, quiet: bool) -> Diagnosis:
    with tempfile.TemporaryDirectory(prefix="tunesmith-doctor-") as folder:
        journal = Journal(Path(folder) / "log.jsonl", quiet=quiet)
        if run is not None and (by == "folds" or (by is None and (run / OUT_OF_FOLD).exists())):
            return _examine(judged.by_folds(run, config, Path(folder), journal, features=near is not None), near)
        return _examine(judged.by_features(config, Path(folder), journal), near)


def _examine(found: Judged, near: float | None) -> Diagnosis:
    predictions = found.predictions
    rows = _rows(found)
    doubts = mislabelled.doubts(predictions)
    failing, tried = slices.failing(predictions.correct, _in_common(found, rows))
    repeated, notes = _repeats(found, rows, near)
    return Diagnosis(
        task=found.config.task_name,
        kind=predictions.kind,
        base=found.base,
        how=found.how,
        near=near,
        rows={name: len(table) for name, table in found.tables.items()},
        accuracy=float(predictions.correct.mean()),
        label_errors=tuple(_suspect(rows, doubts, predictions.labels, row) for row in doubts.errors.tolist()),
        ambiguous=tuple(_suspect(rows, doubts, predictions.labels, row) for row in doubts.ambiguous.tolist()),
        repeats=tuple(repeated),
        slices=tuple(failing),
        slices_tried=tried,
        notes=tuple(notes),
    )


def _rows(found: Judged) -> list[Row]:
    """All rows that were looked at."""
    rows: list[Row] = []
    for split, table in found.tables.items():
        texts = corrections.texts_of(table, found.task.inputs)
        places = zip(table[store.SOURCE].to_pylist(), table[store.LINE].to_pylist(), strict=True)
        for own, labels, (file, line) in zip(texts, found.task.strata(table), places, strict=True):
            shown = tuple(str(text) for text in own if text)
            rows.append(Row(len(rows), file, line, corrections.text_hash(own), split, shown, tuple(labels)))
    return rows


def _suspect(rows: list[Row], doubts: Doubts, labels: tuple[str, ...], number: int) -> Suspect:
    suggested = tuple(labels[place] for place in np.flatnonzero(doubts.suggested[number]))
    return Suspect(rows[number], suggested, float(doubts.probability[number]), float(doubts.margin[number]))


def _repeats(found: Judged, rows: list[Row], near: float | None) -> tuple[list[Repeat], list[str]]:
    """Rows with the same or nearly the same text, those with different labels first; and what was not looked for."""
    digests = np.concatenate([check.digests(table, found.task.inputs) for table in found.tables.values()])
    alike, notes = repeats.equal(digests), []
    if found.features is None and near is not None:
        notes.append("pairs of texts are read apart: only equal ones were looked for, not nearly equal ones")
    elif near is not None and len(rows) > repeats.MOST_COMPARED:
        notes.append(f"over {repeats.MOST_COMPARED:,} rows: only equal texts were looked for, not nearly equal ones")
    elif near is not None and found.features is not None:
        pairs = repeats.nearly_equal(found.features, digests, near)
        alike += pairs
        if len(pairs) == repeats.MOST_PAIRS:
            notes.append(f"of pairs of nearly equal texts only the nearest {repeats.MOST_PAIRS:,} are told")
    made = [_repeat(found.predictions, one, rows) for one in alike]
    return sorted(made, key=lambda one: (not one.conflicting, -one.similarity)), notes


def _repeat(predictions: Predictions, one: Alike, rows: list[Row]) -> Repeat:
    mean = predictions.scores[list(one.rows)].mean(0)
    likely = [int(mean.argmax())] if predictions.kind == "multi-class" else np.flatnonzero(mean >= 0.5).tolist()
    own = tuple(rows[number] for number in one.rows)
    conflicting = len({tuple(sorted(row.labels)) for row in own}) > 1
    return Repeat(own, one.similarity, conflicting, tuple(predictions.labels[place] for place in likely))


def _in_common(found: Judged, rows: list[Row]) -> Mapping[str, list[str]]:
    """What rows may have in common: length, script, and the columns of their files that the task does not read."""
    own = {
        "tokens of the text": slices.lengths(found.predictions.lengths),
        "script of the text": [slices.script(row.text) for row in rows],
    }
    return {**_other_columns(found, rows), **own}


def _other_columns(found: Judged, rows: list[Row]) -> dict[str, list[str]]:
    """Values of the files' other columns, by name."""
    place = {(row.file, row.line): row.number for row in rows}
    read_already = {*found.columns.values()}
    values: dict[str, list[str]] = {}
    for sources in prepare.locate(found.config.data).values():
        for source, line, item in read.read(sources):
            number = place.get((str(source), line))
            if number is None or not isinstance(item, dict):
                continue
            for name, value in item.items():
                if name not in read_already and not isinstance(value, (list, dict)):
                    values.setdefault(name, [""] * len(rows))[number] = "" if value is None else str(value)
    return values
