"""Documents of brat: read whole, and everything wrong with one told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data import read
from tunesmith.errors import DataError, Problem

TEXT = "Ann Lee works at Acme.\nShe lives in Oslo."
MARKS = """T1\tperson 0 7\tAnn Lee
T2\torganisation 17 21\tAcme
#1\tAnnotatorNotes T1\tsure
A1\tNegated T2
T3\tplace 36 40\tOslo
R1\tworks_for Arg1:T1 Arg2:T2
R2\tlives_in Arg1:T1 Arg2:T3\t
"""


def document(folder: Path, name: str, text: str = TEXT, marks: str = MARKS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    (folder / f"{name}.ann").write_text(marks, encoding="utf-8")
    return folder / f"{name}.ann"


def problems(file: Path) -> list[Problem]:
    found = [item for _, _, item in read.read(read.find(str(file))["train"])]
    assert all(isinstance(item, Problem) for item in found)
    return found  # type: ignore[return-value]


def test_a_document_is_a_row(tmp_path: Path) -> None:
    [(source, line, row)] = read.read(read.find(str(document(tmp_path, "one")))["train"])
    assert (str(source), line) == (str(tmp_path / "one.ann"), 1)
    assert isinstance(row, dict)
    assert row["text"] == TEXT
    assert row["entities"] == [
        {"start": 0, "end": 7, "type": "person"},
        {"start": 17, "end": 21, "type": "organisation"},
        {"start": 36, "end": 40, "type": "place"},
    ]
    assert row["relations"] == [
        {"head": 0, "tail": 1, "type": "works_for"},
        {"head": 0, "tail": 2, "type": "lives_in"},
    ]


def test_a_folder_of_documents_is_one_split(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        document(tmp_path, name)
    (tmp_path / "annotation.conf").write_text("[entities]\nperson\n")
    found = read.find(str(tmp_path))
    assert list(found) == ["train"]
    assert [Path(str(source)).name for source in found["train"]] == ["a.ann", "b.ann", "c.ann"]


def test_folders_named_like_splits_are_the_splits(tmp_path: Path) -> None:
    for folder in ("train", "dev", "test"):
        document(tmp_path / folder, "one")
    assert list(read.find(str(tmp_path))) == ["train", "validation", "test"]


def test_a_text_without_marks_is_a_row_without_entities(tmp_path: Path) -> None:
    [(_, _, row)] = read.read(read.find(str(document(tmp_path, "one", marks="")))["train"])
    assert isinstance(row, dict)
    assert (row["entities"], row["relations"]) == ([], [])


def test_marks_over_line_ends_are_written_with_spaces(tmp_path: Path) -> None:
    file = document(tmp_path, "one", text="New\nYork", marks="T1\tplace 0 8\tNew York\n")
    [(_, _, row)] = read.read(read.find(str(file))["train"])
    assert isinstance(row, dict)
    assert row["entities"] == [{"start": 0, "end": 8, "type": "place"}]


def test_all_that_is_wrong_is_told_with_its_line(tmp_path: Path) -> None:
    marks = (
        "T1\tperson 0 7\tAnn\nT2\tperson 0 99\tAnn\nT3\tperson 5 5\t\nT4\tperson 0 3;4 7\tAnn Lee\n"
        "T5 person 0 3 Ann\nT6\tperson x y\tAnn\nnonsense\n"
    )
    told = [str(problem) for problem in problems(document(tmp_path, "one", marks=marks))]
    file = tmp_path / "one.ann"
    assert told == [
        f"{file}:1: T1 is 'Ann', and in the text stands 'Ann Lee'",
        f"{file}:2: T2 is from 0 to 99, and the text has {len(TEXT)} characters",
        f"{file}:3: T3 is from 5 to 5, and the text has {len(TEXT)} characters",
        f"{file}:4: T4 is in several pieces, and a span is one",
        f"{file}:5: is no line of brat: 'T5 person 0 3 Ann'",
        f"{file}:6: is no line of brat: 'T6\\tperson x y\\tAnn'",
        f"{file}:7: is no line of brat: 'nonsense'",
    ]


def test_a_relation_needs_its_entities(tmp_path: Path) -> None:
    marks = "T1\tperson 0 7\tAnn Lee\nR1\tworks_for Arg1:T1 Arg2:T9\n"
    assert [str(problem) for problem in problems(document(tmp_path, "one", marks=marks))] == [
        f"{tmp_path / 'one.ann'}:2: there is no entity T9"
    ]


def test_marks_without_a_text_are_refused(tmp_path: Path) -> None:
    file = document(tmp_path, "one")
    file.with_suffix(".txt").unlink()
    with pytest.raises(DataError, match="has no text beside it"):
        list(read.read(read.find(str(file))["train"]))
