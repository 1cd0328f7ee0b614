"""The log of a run, and what a terminal sees of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.train import journal
from tunesmith.train.journal import Journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def write_all(log: Journal) -> None:
    log.note("größe [bold]")
    for step in (1, 2, 3):
        log.step(step, 3, step / 3, {"loss": 1 / step, "learning_rate": 1e-3}, tokens=100 * step, seconds=0.5 * step)
    log.evaluation(3, 1.0, {"f1": 0.5}, "f1", best=True, seconds=1.5)


def test_everything_is_written_as_json_lines(file: Path) -> None:
    write_all(Journal(file, quiet=True))
    entries = journal.read(file)
    assert [entry["event"] for entry in entries] == ["note", "step", "step", "step", "evaluation"]
    assert entries[0]["message"] == "größe [bold]"
    expected = {"event": "step", "step": 2, "epoch": 0.6667, "loss": 0.5, "learning_rate": 1e-3}
    assert entries[2] == {**expected, "tokens": 200, "seconds": 1.0}
    assert entries[4]["scores"] == {"f1": 0.5}
    assert entries[4]["best"] is True


def test_losses_keep_all_their_digits(file: Path) -> None:
    log = Journal(file, quiet=True)
    log.step(1, 1, 1.0, {"loss": 0.1 + 0.2}, tokens=1, seconds=1.0)
    assert journal.read(file)[0]["loss"] == 0.1 + 0.2


def test_a_half_written_line_is_cut_off(file: Path) -> None:
    write_all(Journal(file, quiet=True))
    whole = file.read_text()
    file.write_text(whole + '{"event": "step", "scores": {"f1": 1}')
    log = Journal(file, quiet=True)
    log.note("again")
    assert [entry["event"] for entry in journal.read(file)][-2:] == ["evaluation", "note"]
    assert file.read_text().startswith(whole)


@pytest.mark.parametrize(("step", "left"), [(-1, []), (0, []), (2, [1, 2]), (3, [1, 2, 3, 3]), (9, [1, 2, 3, 3])])
def test_what_comes_after_a_step_is_forgotten(file: Path, step: int, left: list[int]) -> None:
    log = Journal(file, quiet=True)
    write_all(log)
    log.forget_after(step)
    entries = journal.read(file)
    assert entries[0]["event"] == "note"
    assert [entry["step"] for entry in entries[1:]] == left
    assert list(file.parent.iterdir()) == [file]


def test_forgetting_nothing(file: Path) -> None:
    Journal(file, quiet=True).forget_after(3)
    assert not file.exists()


def test_lines_for_people_go_to_stderr(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_all(Journal(file))
    out, said = capfd.readouterr()
    assert out == ""
    assert "größe [bold]" in said
    assert "1/3  epoch 0.33  loss 1.0000  200 tokens/s  0:01 left" in " ".join(said.split("\n"))
    assert "epoch 1.00  step 3  validation f1 0.5000  (best)" in said


def test_quiet_says_nothing(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_all(Journal(file, quiet=True))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599, "59:59"), (3661, "1:01:01")]
)
def test_time_left(seconds: float, shown: str) -> None:
    assert journal._clock(seconds) == shown


@pytest.fixture
def handler() -> Iterator[None]:
    """Ctrl-C as in a terminal; tests may run where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("handler")
def test_the_first_ctrl_c_is_remembered_and_the_second_stops(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Journal(file).until_interrupted() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "Ctrl-C again" in capfd.readouterr().err


@pytest.mark.usefixtures("handler")
def test_ctrl_c_that_is_ignored_stays_so(file: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Journal(file, quiet=True).until_interrupted() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stopped()


def test_in_another_thread_signals_are_left_alone(file: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def listen() -> bool:
        with Journal(file, quiet=True).until_interrupted() as stopped:
            return stopped()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(listen).result() is False


def test_lines_are_valid_json_to_the_letter(file: Path) -> None:
    write_all(Journal(file, quiet=True))
    entries: list[Any] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(entries) == 5
