"""What a user does wrong, or a machine refuses: one clear message that names the place, and nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
from tunesmith import bundle, cli, report
from tunesmith.train import run, state

GOOD = small.rows("binary", 60)


@pytest.fixture
def base(model: Callable[..., Path]) -> Path:
    return model("bert")


@pytest.fixture
def call(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs ``tunesmith`` in an empty folder; gives its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def of(*words: str, **flags: Any) -> tuple[int, str, str]:
        if words[0] in ("train", "check"):
            quick = small.QUICK if words[0] == "train" else {}
            flags = {**quick, "model.base": base, "train.max_steps": 2, **flags}
            words = (*words, *(f"--{name}={value}" for name, value in flags.items()))
        code = cli.main(words)
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return code, printed.out, printed.err

    return of


def table(text: str = "", header: str = "text,label", rows: list[small.Row] = GOOD) -> bytes:
    """A good file with something after it."""
    return "\n".join([header, *(f"{row['text']},{row['label']}" for row in rows), text]).encode()


def lines(broken: int) -> bytes:
    """JSONL with one bad line."""
    good = [json.dumps(row) for row in GOOD]
    good[broken - 1] = '{"text": "the film'
    return "\n".join(good).encode()


# name: (file name, its bytes, flags, what must be said)
BAD: dict[str, tuple[str, bytes | None, dict[str, Any], list[str]]] = {
    "learning rate": ("a.csv", table(), {"train.learning_rate": -1}, ["--train.learning_rate", "> 0"]),
    "optimizer": ("a.csv", table(), {"train.optimizer": "adamww"}, ["--train.optimizer", "did you mean 'adamw'"]),
    "flag": ("a.csv", table(), {"train.epoch": 1}, ["train.epoch", "did you mean", "epochs"]),
    "task": ("a.csv", table(), {"task": "text-clasification"}, ["did you mean 'text-classification'"]),
    "base model": ("a.csv", table(), {"model.base": "no-such-model"}, ["no base model 'no-such-model'"]),
    "tracker": ("a.csv", table(), {"track.to": "tensorbord"}, ["track.to", "did you mean 'tensorboard'"]),
    "metric": ("a.csv", table(), {"train.metric": "f1_makro"}, ["f1_makro", "f1_macro"]),
    "one class": (
        "a.csv",
        table(rows=[r for r in GOOD if r["label"] == "positive"]),
        {},
        ["all training rows have the same label: 'positive'"],
    ),
    "header only": ("a.csv", b"text,label\n", {}, ["a.csv", "no rows"]),
    "empty": ("a.csv", b"", {}, ["a.csv", "empty"]),
    "missing": ("b.csv", None, {}, ["b.csv", "no such file"]),
    "column": ("a.csv", table(), {"columns.text": "txt"}, ["--columns.text", "'txt'", "did you mean 'text'"]),
    "no column": ("a.csv", table(header="a,b"), {}, ["which column is the text", "--columns.text"]),
    "blank text": ("a.csv", table(" ,positive"), {}, ["a.csv:62", "blank"]),
    "quotes": ("a.csv", table('"the film,positive'), {}, ["a.csv:62", "quote"]),
    "NUL": ("a.csv", table("the \0 film,positive"), {}, ["a.csv:62", "NUL"]),
    "not UTF-8": ("a.csv", table() + "très,positive".encode("latin-1"), {}, ["a.csv:62", "UTF-8"]),
    "JSONL": ("a.jsonl", lines(17), {}, ["a.jsonl:17"]),
    "format": ("a.doc", table(), {}, ["a.doc", "format"]),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str, call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    file, content, flags, said = BAD[name]
    if content is not None:
        (tmp_path / file).write_bytes(content)
    before = set(tmp_path.iterdir())
    code, out, error = call("train", file, **flags)
    assert code == 2
    assert out == ""
    assert len([line for line in error.splitlines() if line.startswith("error:")]) == 1
    assert [words for words in said if words.lower() not in error.lower()] == []
    assert set(tmp_path.iterdir()) - before <= {tmp_path / "runs"}
    assert not list(tmp_path.glob("runs/*")), "a run folder was left behind"


def test_all_problems_are_told_at_once(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(table())
    wrong = {"train.learning_rate": -1, "train.epochs": 0, "model.poling": "mean"}
    code, _, error = call("train", "a.csv", **wrong)
    assert code == 2
    assert [name for name in wrong if name not in error] == []


def test_a_label_in_one_split_only(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_bytes(table())
    (folder / "test.csv").write_bytes(table("the film,puzzling"))
    code, _, error = call("train", "data")
    assert code == 2
    assert "puzzling" in error
    assert "test.csv:62" in error
    assert not list(tmp_path.glob("runs/*"))


def test_pickled_weights_are_refused(call: Callable[..., tuple[int, str, str]], base: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(table())
    pickled = Path(shutil.copytree(base, tmp_path / "pickled"))
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    code, _, error = call("train", "a.csv", **{"model.base": pickled})
    assert code == 2
    assert "pytorch_model.bin" in error
    assert "pickle" in error
    assert not list(tmp_path.glob("runs/*"))


def test_a_run_folder_that_cannot_be_made(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(table())
    code, _, error = call("train", "a.csv", out="a.csv/run")
    assert code == 2
    assert "a.csv/run" in error
    assert "--out" in error
    assert (tmp_path / "a.csv").read_bytes() == table()


def test_a_run_folder_that_is_taken(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(table())
    taken = tmp_path / "mine"
    taken.mkdir()
    (taken / "thesis.txt").write_text("years of work")
    code, _, error = call("train", "a.csv", out="mine")
    assert code == 2
    assert "not empty" in error
    assert [file.name for file in taken.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("writer", [(state, "save"), (bundle, "write"), (report, "write")], ids=str)
def test_a_full_disk_leaves_a_run_that_can_go_on(
    writer: tuple[Any, str],
    call: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is full from the moment that one of the writers begins; of checkpoints, from the second one."""
    (tmp_path / "a.csv").write_bytes(table())
    module, name = writer
    write, seen = getattr(module, name), []

    def on_a_full_disk(*args: Any) -> Any:
        seen.append(name)
        if name == "save" and len(seen) == 1:
            return write(*args)
        with small.small_disk(1000):
            return write(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, on_a_full_disk)
        code, out, error = call("train", "a.csv", out="run", **{"train.checkpoint_every": "0.001s"})
    assert code == 1, error
    assert out == ""
    assert len([line for line in error.splitlines() if line.startswith("error:")]) == 1
    assert "cannot be written" in error
    assert "run" in error
    assert not list(tmp_path.glob("run/report.json"))
    assert call("resume", "run")[0] == 0
    assert call("predict", "run", "fine film")[0] == 0


def test_a_full_disk_before_anything_was_trained_leaves_nothing(
    call: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_bytes(table())
    prepare = run.prepare

    def on_a_full_disk(*args: Any) -> Any:
        with small.small_disk(1000):
            return prepare(*args)

    monkeypatch.setattr(run, "prepare", on_a_full_disk)
    code, _, error = call("train", "a.csv", out="run")
    assert code == 2
    assert len([line for line in error.splitlines() if line.startswith("error:")]) == 1
    assert "too large" in error
    assert not (tmp_path / "run").exists()


def test_a_megabyte_in_one_text(call: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """It is read to the model's limit, and everyone is told."""
    (tmp_path / "a.csv").write_bytes(table(f"{'the film was fine ' * 58_000},positive"))
    (tmp_path / "b.csv").write_bytes(table())
    others = {"data.validation": "b.csv", "data.test": "b.csv"}
    code, out, _ = call("check", "a.csv", **others)
    assert code == 0
    assert "a.csv:62" in out
    code, _, error = call("train", "a.csv", out="run", **others)
    assert code == 0
    assert "over 32 tokens" in " ".join(error.split())
    findings = json.loads((tmp_path / "run" / "report.json").read_text())["findings"]
    assert any("over 32 tokens" in finding for finding in findings)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "nowhere", "fine"], "no such bundle"),
        (["evaluate", "nowhere", "a.csv"], "no such bundle"),
        (["resume", "nowhere"], "no run to resume"),
        (["trian", "a.csv"], "did you mean 'train'"),
        (["train", "a.csv", "--out"], "has no value"),
        (["train", "a.csv", "b.csv"], "too many words"),
    ],
    ids=" ".join,
)
def test_calls_that_cannot_be_understood(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert not list(tmp_path.iterdir())
