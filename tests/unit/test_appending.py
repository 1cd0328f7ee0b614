"""Half-written last lines are cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith import appending
from tunesmith.appending import whole_lines


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "count", "left"),
    [
        (b"", 0, b""),
        (b"one", 0, b""),
        (b"one\n", 1, b"one\n"),
        (b"one\ntwo\nthr", 2, b"one\ntwo\n"),
        (b"one\n\n", 2, b"one\n\n"),
        ("größ\ne".encode(), 1, "größ\n".encode()),
    ],
)
def test_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, count: int, left: bytes, piece: int
) -> None:
    monkeypatch.setattr(appending, "_PIECE_BYTES", piece)
    file = tmp_path / "lines"
    file.write_bytes(content)
    assert whole_lines(file) == count
    assert file.read_bytes() == left


def test_no_file(tmp_path: Path) -> None:
    assert whole_lines(tmp_path / "none") == 0
    assert not (tmp_path / "none").exists()
