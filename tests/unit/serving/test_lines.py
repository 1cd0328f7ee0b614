"""Lines that are written by a thread: nobody waits for a full disk, a closed pipe or a reader that does not read."""

from __future__ import annotations

import os
import time

import pytest

from holding import until
from tunesmith.serving.lines import Lines


def test_lines_are_written_in_order(tmp_path):
    file = tmp_path / "log"
    file.write_text("before\n")
    lines = Lines(str(file))
    for number in range(1000):
        lines.put(f"line {number} é \ud800")
    lines.flush(10)
    written = file.read_text(encoding="utf-8").splitlines()
    assert written[0] == "before"
    assert written[1:] == [f"line {number} é \\ud800" for number in range(1000)]
    assert lines.lost == 0


def test_a_full_disk_stops_nobody_and_is_counted():
    lines = Lines("/dev/full")
    began = time.monotonic()
    for number in range(500):
        lines.put(f"line {number}")
    assert time.monotonic() - began < 10
    until(lambda: lines.lost >= 400)


def test_a_pipe_that_nobody_reads_stops_nobody_and_is_counted():
    reading, writing = os.pipe()
    lines = Lines(writing, most_bytes=100_000)
    began = time.monotonic()
    for _ in range(1000):
        lines.put("x" * 999)
    assert time.monotonic() - began < 10
    kept = 1000 - lines.lost
    assert 100 <= kept <= 300  # what the pipe holds, and what may wait
    lines.flush(0.05)
    content = b""
    while len(content) < kept * 1000:
        content += os.read(reading, 1 << 20)
    lines.put("after")
    assert os.read(reading, 1 << 20) == b"after\n"
    assert set(content.split(b"\n")) == {b"x" * 999, b""}


def test_a_pipe_whose_reader_is_gone_is_counted():
    reading, writing = os.pipe()
    lines = Lines(writing)
    os.close(reading)
    lines.put("one")
    until(lambda: lines.lost == 1)


def test_a_line_that_was_cut_short_does_not_spoil_the_next(tmp_path, monkeypatch):
    file = tmp_path / "log"
    lines, plain, fails = Lines(str(file)), os.write, [5, None]

    def write(descriptor, content):
        if fails:
            some = fails.pop(0)
            if some is None:
                raise OSError(28, "no space left")
            return plain(descriptor, content[:some])
        return plain(descriptor, content)

    monkeypatch.setattr("tunesmith.serving.lines.os.write", write)
    lines.put("cut short")
    lines.put("whole")
    lines.flush(5)
    assert file.read_text().splitlines() == ["cut s", "whole"]
    assert lines.lost == 1


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path):
    file = tmp_path / "log"
    lines = Lines(str(file))
    lines.put("one")
    lines.flush(5)
    file.rename(tmp_path / "log.1")
    lines.put("two")
    lines.flush(5)
    assert ((tmp_path / "log.1").read_text(), file.read_text()) == ("one\n", "two\n")


def test_a_file_that_cannot_be_made_is_told(tmp_path):
    with pytest.raises(OSError):
        Lines(str(tmp_path / "none" / "log"))
