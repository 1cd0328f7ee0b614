"""Kept answers survive a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.errors import UsageError
from tunesmith.sweeping.samples import FILE, Kept, Sample


def test_answers_are_found_again_without_the_line_that_was_cut(tmp_path: Path) -> None:
    first = Kept(tmp_path)
    first.add([Sample(1, 2, number, f"text {number}", 3, "stop", 0.5) for number in (1, 0)])
    with (tmp_path / FILE).open("a") as file:
        file.write('{"setting": 1, "row": 2, "sam')
    again = Kept(tmp_path)
    assert len(again) == 2
    assert again.of(1, 2) == first.of(1, 2)
    assert [one.sample for one in again.of(1, 2)] == [0, 1]
    assert again.of(1, 3) == []


def test_a_new_answer_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.add([Sample(0, 0, 0, "old", 1, "stop", 0.0)])
    kept.add([Sample(0, 0, 0, "new", 1, "stop", 0.0)])
    assert [one.text for one in Kept(tmp_path).of(0, 0)] == ["new"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"setting": 1}\n')
    with pytest.raises(UsageError, match="no answer"):
        Kept(tmp_path)
