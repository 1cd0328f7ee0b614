"""Corrections of the data: each is checked against its row, all faults are told at once, and the rest stays as it was."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith import config, plugins
from tunesmith.data import store
from tunesmith.data.corrections import text_hash
from tunesmith.data.prepare import Splits, prepare
from tunesmith.errors import DataError, UsageError

Row = dict[str, Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "rows.csv"
    lines = [f"text number {number},{('pos', 'neg')[number % 2]}" for number in range(40)]
    file.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    return file


def read(data: Path, corrections: Path | None = None, task: str = "text-classification", **more: Any) -> Splits:
    given = {} if corrections is None else {"data.corrections": str(corrections)}
    asked = config.resolve(keywords={"task.name": task, "data.train": str(data), **given, **more}, environment={})
    work = data.parent / f"work-{len(list(data.parent.iterdir()))}"
    return prepare(asked, plugins.load("tasks", task)(asked.task), work)


def row_of(splits: Splits, split: str, number: int, **more: Any) -> Row:
    """A correction of a row that changes nothing, but for what is given."""
    table = splits.tables[split]
    cells = table.slice(number, 1).to_pylist()[0]
    texts = [cells["text"], cells["text_pair"]]
    return {"file": cells[store.SOURCE], "line": cells[store.LINE], "hash": text_hash(texts), "split": split, **more}


def write(folder: Path, rows: list[Row]) -> Path:
    file = folder / "fixed.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        names = ["file", "line", "hash", "split", "action", "label"]
        writer = csv.DictWriter(out, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)
    return file


def labels(splits: Splits, split: str) -> dict[str, str]:
    rows = splits.tables[split].to_pylist()
    return {row["text"]: row["label"][0] for row in rows}


def told(splits: Splits) -> list[tuple[str, str, int]]:
    return [(one.severity, one.code, one.count) for one in splits.findings if one.code.startswith("correct")]


def test_rows_are_relabelled_kept_and_dropped_and_the_division_stays(data: Path) -> None:
    before = read(data)
    first, second, third = (before.tables["train"]["text"][number].as_py() for number in range(3))
    other = {"pos": "neg", "neg": "pos"}[labels(before, "train")[first]]
    rows = [
        row_of(before, "train", 0, action="relabel", label=other),
        row_of(before, "train", 1, action="drop"),
        row_of(before, "train", 2, action="keep"),
    ]
    after = read(data, write(data.parent, rows))
    assert labels(after, "train")[first] == other
    assert second not in labels(after, "train")
    expected = {text: label for text, label in labels(before, "train").items() if text != second} | {first: other}
    assert labels(after, "train") == expected
    assert third in expected
    for split in ("validation", "test"):
        assert after.tables[split].to_pylist() == before.tables[split].to_pylist()
    assert told(after) == [("note", "corrected", 2)]
    assert after.labels.counts("train").sum() == len(after.tables["train"])


def test_an_empty_action_follows_from_the_label(data: Path) -> None:
    before = read(data)
    rows = [row_of(before, "train", 0, label="pos"), row_of(before, "train", 1)]
    after = read(data, write(data.parent, rows))
    assert labels(after, "train")[before.tables["train"]["text"][0].as_py()] == "pos"
    assert told(after) == [("note", "corrected", 1)]


def test_a_row_is_corrected_only_in_the_split_it_is_named_for(data: Path) -> None:
    before = read(data)
    in_test, text = row_of(before, "test", 0, action="relabel", label="pos"), before.tables["test"]["text"][0].as_py()
    unnamed = read(data, write(data.parent, [{**in_test, "split": ""}]))
    assert unnamed.tables["test"].to_pylist() == before.tables["test"].to_pylist()
    assert told(unnamed) == [("warning", "corrections_elsewhere", 1)]
    named = read(data, write(data.parent, [in_test]))
    assert labels(named, "test")[text] == "pos"
    assert told(named) == [("warning", "corrected", 1)]


def test_every_fault_is_told_with_its_line(data: Path) -> None:
    before = read(data)
    good = row_of(before, "train", 0, action="keep")
    faults = [
        row_of(before, "train", 1, action="relabel", label="poz"),
        row_of(before, "train", 2, action="relabl", label="pos"),
        row_of(before, "train", 3, action="relabel"),
        row_of(before, "train", 4, action="drop", label="pos"),
        {**row_of(before, "train", 5, action="drop"), "hash": "t-0000000000000000"},
        {**row_of(before, "train", 6, action="drop"), "line": 400},
        {**row_of(before, "train", 7, action="drop"), "file": "other.csv"},
        {**row_of(before, "train", 8, action="drop"), "line": "x"},
        {**row_of(before, "train", 9, action="drop"), "split": "dev"},
        {**good, "action": "drop"},
        row_of(before, "train", 10, action="relabel", label='["pos", "neg"]'),
    ]
    file = write(data.parent, [good, *faults])
    with pytest.raises(DataError) as caught:
        read(data, file)
    assert [problem.where for problem in caught.value.problems] == [f"{file}:{3 + n}" for n in range(len(faults))]
    said = [str(problem) for problem in caught.value.problems]
    for expected, problem in zip(
        [
            "did you mean 'pos'",
            "did you mean 'relabel'",
            "names no label",
            "says drop and names a label",
            "another one than was looked at",
            "no row in line 400",
            "no file 'other.csv'",
            "line is no number",
            "unknown split 'dev'",
            f"corrects the row of {file}:2 once more",
            "holds 2 labels",
        ],
        said,
        strict=True,
    ):
        assert expected in problem


def test_the_folder_of_the_data_may_have_moved(data: Path) -> None:
    before = read(data)
    rows = [{**row_of(before, "train", 0, action="drop"), "file": "elsewhere/rows.csv"}]
    assert told(read(data, write(data.parent, rows))) == [("note", "corrected", 1)]


def test_what_is_no_file_of_corrections(data: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'file'(.|\n)*no column 'hash'"):
        read(data, data)
    with pytest.raises(DataError, match="no such file"):
        read(data, data.parent / "nothing.csv")


def test_several_labels_are_a_json_list_or_parted_as_in_the_data(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"text": f"text {n}", "label": [["a"], ["b"], ["a", "b"], []][n % 4]} for n in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    before = read(file)
    fixed = [
        row_of(before, "train", 0, action="relabel", label='["b", "a"]'),
        row_of(before, "train", 1, action="relabel", label="[]"),
        row_of(before, "train", 2, action="relabel", label="a"),
    ]
    after = read(file, write(tmp_path, fixed))
    assert after.tables["train"]["label"].to_pylist()[:3] == [["b", "a"], [], ["a"]]


def test_only_labels_can_be_corrected(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"text {n},{n / 7:.3f}\n" for n in range(40)), encoding="utf-8")
    splits = read(file)
    with pytest.raises(UsageError, match="no labels to correct"):
        read(file, write(tmp_path, [row_of(splits, "train", 0, action="drop")]))
