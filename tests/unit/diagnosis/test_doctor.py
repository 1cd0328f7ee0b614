"""The doctor of a run and of data: what it finds, what it writes, and that training takes it back."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
import tunesmith as ts
from tunesmith import cli
from tunesmith.diagnosis import files
from tunesmith.errors import BundleError, DataError, UsageError

FLIPPED = 24
ROWS = 240


def flip(kind: str, folder: Path) -> tuple[Path, set[int]]:
    """A file with a tenth of the labels wrong, a column that says from where a row is, and the lines of those rows."""
    rows, chance = small.rows(kind, ROWS), random.Random(3)
    wrong = set(chance.sample(range(ROWS), FLIPPED))
    names = sorted({label for row in rows for label in row["label"].split(";")})
    for number, row in enumerate(rows):
        if number in wrong:
            own = row["label"].split(";")
            row["label"] = chance.choice([name for name in names if name not in own])
        row["source"] = "scan" if number in wrong else "web"
    file = folder / "flipped.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file, {number + 2 for number in wrong}


def cells(folder: Path) -> list[dict[str, str]]:
    with (folder / files.CORRECTIONS).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def base(parameters: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Parameters for a file of this test in place of the usual one."""
    return lambda kind, **more: {**parameters(kind, **more), "data.test_share": 0.2}


def test_a_run_is_judged_by_its_folds_and_corrected(
    base: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, wrong = flip("multi-class", tmp_path)
    given = base("multi-class", **{"data.train": str(data), "train.folds": 3, "train.epochs": 12, "data.seed": 1})
    run = ts.train(**given, out=str(tmp_path / "run"), quiet=True)
    assert cli.main(["doctor", str(run.folder), "--accept"]) == 0
    said = capsys.readouterr().out
    assert "3 folds of" in said
    assert "Failing slices" in said
    assert "source = scan" in said
    rows = cells(run.folder / "doctor")
    errors = [row for row in rows if "label error" in row["reason"]]
    hits = [int(row["line"]) in wrong for row in errors]
    assert sum(hits[:10]) >= 6
    clear = [row for row in errors if float(row["margin"]) < -0.1]
    assert clear
    taken = [row for row in clear if float(row["probability"]) > 0.5]
    left = ["relabel" if row in taken else "drop" if row in clear else "keep" for row in rows]
    assert [row["action"] for row in rows] == left
    assert all(row["label"] == (row["suggested"] if row in taken else "") for row in rows)
    page = (run.folder / "doctor/doctor.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", page)
    fixed = ts.train(
        **{**given, "data.corrections": str(run.folder / "doctor/corrections.csv"), "train.folds": None},
        out=str(tmp_path / "fixed"),
        quiet=True,
    )
    done = [finding for finding in fixed.report.findings if "got other labels" in finding]
    assert len(done) == 2
    dropped = {
        split: sum(row["action"] == "drop" and row["split"] == split for row in rows) for split in run.report.rows
    }
    assert fixed.report.rows == {split: count - dropped[split] for split, count in run.report.rows.items()}
    assert fixed.report.fingerprint == run.report.fingerprint


@pytest.mark.parametrize("kind", ["binary", "multi-label", "pairs", "marked"])
def test_data_is_judged_by_features(base: Callable[..., dict[str, Any]], tmp_path: Path, kind: str) -> None:
    found = ts.doctor(**base(kind, count=ROWS), out=tmp_path / "found", quiet=True)
    assert ROWS * 0.75 < sum(found.rows.values()) < ROWS * 0.85
    assert "5 folds, each answered by a head on the features of" in found.how
    told = json.loads((tmp_path / "found" / files.VALUES).read_text(encoding="utf-8"))
    assert told["rows"] == found.rows
    assert len(told["label_errors"]) == len(found.label_errors)


def test_flipped_labels_are_found_by_features(base: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    data, wrong = flip("binary", tmp_path)
    given = base("binary", **{"data.train": str(data)})
    found = ts.doctor(**given, out=tmp_path / "found", quiet=True)
    hits = [one.row.line in wrong for one in found.label_errors[:10]]
    assert sum(hits) >= 6
    assert all(one.suggested != one.row.labels for one in found.label_errors)
    untouched = ts.train(
        **given, **{"data.corrections": str(tmp_path / "found/corrections.csv")}, out=str(tmp_path / "run"), quiet=True
    )
    assert not [finding for finding in untouched.report.findings if "got other labels" in finding]


def test_the_same_text_with_other_labels_is_told(base: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    rows = small.rows("binary", 160)
    rows += [{"text": "Great  film today", "label": "positive"}, {"text": "great film today", "label": "negative"}]
    rows += [{"text": "fine plot here", "label": "positive"}] * 3
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = ts.doctor(
        **base("binary", **{"data.train": str(data), "data.test_share": 0}),
        near=None,
        out=tmp_path / "found",
        quiet=True,
    )
    [conflict] = found.conflicts
    assert [row.line for row in conflict.rows] == [161, 162] or [row.line for row in conflict.rows] == [162, 161]
    [same] = [one for one in found.repeats if not one.conflicting]
    assert len(same.rows) == 3
    reasons = {int(row["line"]): row["reason"] for row in cells(tmp_path / "found")}
    assert "conflicting labels" in reasons[161]
    assert "conflicting labels" in reasons[162]
    assert sum("repeated text" in reason for reason in reasons.values()) == 2


def test_what_is_refused(base: Callable[..., dict[str, Any]], run: Callable[..., Any], tmp_path: Path) -> None:
    given = base("binary", **{"train.epochs": 1})
    with pytest.raises(UsageError, match=r"folds come from a run"):
        ts.doctor(**given, by="folds", out=tmp_path / "a", quiet=True)
    with pytest.raises(UsageError, match="looks at labels, and this is regression"):
        ts.doctor(**base("regression"), out=tmp_path / "a", quiet=True)
    with pytest.raises(UsageError, match="token-classification has no labels of whole rows"):
        ts.doctor(**base("entities"), out=tmp_path / "a", quiet=True)
    assert not (tmp_path / "a").exists()
    done = run("binary", **{"train.epochs": 1})
    with pytest.raises(UsageError, match="the run has no folds"):
        ts.doctor(done.folder, by="folds", out=tmp_path / "a", quiet=True)
    with pytest.raises(UsageError, match="the run has a config"):
        ts.doctor(done.folder, out=tmp_path / "a", quiet=True, **{"train.epochs": 2})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "corrections.csv").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        ts.doctor(done.folder, out=tmp_path / "full", quiet=True)
    (done.folder / "report.json").unlink()
    with pytest.raises(BundleError, match="not a finished run"):
        ts.doctor(done.folder, by="folds", out=tmp_path / "a", quiet=True)


def test_data_that_changed_since_the_run_is_noticed(base: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    data = small.write(tmp_path / "rows.csv", "binary", 120)
    run = ts.train(
        **base("binary", **{"data.train": str(data), "train.folds": 2, "train.epochs": 1}),
        out=str(tmp_path / "run"),
        quiet=True,
    )
    text = data.read_text(encoding="utf-8")
    data.write_text(text.replace("film", "movie"), encoding="utf-8")
    with pytest.raises(DataError, match="not those that the run was trained on"):
        ts.doctor(run.folder, out=tmp_path / "a", quiet=True)
