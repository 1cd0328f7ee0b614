"""Two text files side by side."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tunesmith.data import read
from tunesmith.errors import DataError, Problem


def write(folder: Path, first: bytes, second: bytes) -> str:
    (folder / "train.en").write_bytes(first)
    (folder / "train.de").write_bytes(second)
    return f"{folder / 'train.en'},{folder / 'train.de'}"


def rows(reference: str) -> list[object]:
    (files,) = read.find(reference).values()
    return [(line, item) for _, line, item in read.read(files)]


def test_lines_stand_beside_one_another(tmp_path: Path) -> None:
    reference = write(tmp_path, b"\xef\xbb\xbfGood day\r\nRain\n\n", "Guten Tag\nRegen, schön\n\n".encode())
    assert list(read.find(reference)) == ["train"]
    assert rows(reference) == [
        (1, {"source": "Good day", "target": "Guten Tag"}),
        (2, {"source": "Rain", "target": "Regen, schön"}),
    ]


def test_packed_files_too(tmp_path: Path) -> None:
    for name, text in (("a.en.gz", b"one\ntwo\n"), ("a.de.gz", b"eins\nzwei\n")):
        (tmp_path / name).write_bytes(gzip.compress(text))
    assert len(rows(f"{tmp_path / 'a.en.gz'},{tmp_path / 'a.de.gz'}")) == 2


def test_a_blank_side_is_left_for_the_task_to_refuse(tmp_path: Path) -> None:
    assert rows(write(tmp_path, b"one\ntwo\n", b"eins\n \n"))[1] == (2, {"source": "two", "target": None})


def test_files_of_other_lengths_do_not_belong_together(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.de: ends before line 2"):
        rows(write(tmp_path, b"one\ntwo\n", b"eins\n"))


def test_damage_is_located(tmp_path: Path) -> None:
    found = rows(write(tmp_path, b"one\ntwo\n", b"eins\nsch\xf6n\n"))
    assert isinstance(found[1][1], Problem)
    assert str(tmp_path / "train.de:2") in str(found[1][1])


def test_a_missing_side_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.en").write_text("one\n")
    with pytest.raises(DataError, match=r"train\.de: no such file"):
        rows(f"{tmp_path / 'train.en'},{tmp_path / 'train.de'}")
