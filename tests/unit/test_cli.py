"""The command line: words become parameters, mistakes become one clear message."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tunesmith import cli, params, plugins
from tunesmith.commands import train
from tunesmith.errors import DataError, Interrupted, TrainingError, TunesmithError, UsageError

KNOWN = {"json": True, "out": False, "train.epochs": False, "train.nesterov": True, "help": True}


def test_words_and_flags() -> None:
    words = [
        "a.csv",
        "--train.epochs",
        "2",
        "--out=runs/x",
        "b",
        "--train.nesterov",
        "c",
        "--json",
        "false",
        "--new",
        "7",
    ]
    positional, flags = cli._split(words, KNOWN)
    assert positional == ["a.csv", "b", "c"]
    assert flags == {"train.epochs": "2", "out": "runs/x", "train.nesterov": "true", "json": "false", "new": "7"}


def test_values_may_look_strange() -> None:
    assert cli._split(["--out", "-1", "--train.epochs=", "--", "--json"], KNOWN) == (
        ["--json"],
        {"out": "-1", "train.epochs": ""},
    )
    assert cli._split(["--out=a=b"], KNOWN) == ([], {"out": "a=b"})
    assert cli._split(["-h"], KNOWN) == ([], {"help": "true"})


def test_an_unknown_flag_may_stand_alone() -> None:
    assert cli._split(["--new", "--json"], KNOWN) == ([], {"new": "true", "json": "true"})


@pytest.mark.parametrize("words", [["--out"], ["--out", "--json"], ["a", "--train.epochs"]])
def test_a_flag_without_its_value_is_an_error(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--(out|train\.epochs): has no value"):
        cli._split(words, KNOWN)


def test_a_flag_given_twice_is_an_error() -> None:
    with pytest.raises(UsageError, match="--out is given twice"):
        cli._split(["--out", "a", "--out", "b"], KNOWN)


def test_boolean_config_parameters_are_switches() -> None:
    found = cli._kinds(train, ["--adapter", "lora"])
    assert found["train.nesterov"]
    assert found["json"]
    assert found["adapter.rank"] is False
    assert found["out"] is False
    assert "adapter.train_layers" not in found


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = cli.main(words)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_overview_names_every_verb_task_and_adapter(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(words, capsys)
    assert (code, err) == (0, "")
    for verb in plugins.names("commands"):
        assert plugins.summary("commands", verb) in out
    for name in (*plugins.names("tasks"), *plugins.names("adapters")):
        assert name in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"], capsys) == (0, f"{version('tunesmith')}\n", "")


@pytest.mark.parametrize("verb", plugins.names("commands"))
def test_help_of_a_verb_shows_every_parameter(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run([verb, "--help"], capsys)
    assert code == 0
    assert out.startswith(f"usage: tunesmith {verb}")
    for leaf in params.leaves(plugins.module("commands", verb).Arguments):
        assert leaf.help in out
        assert leaf.positional or leaf.flag in out


def test_help_shows_the_parameters_of_the_plugins_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--adapter.rank" in run(["train", "--adapter", "lora", "--help"], capsys)[1]
    plain = run(["train", "--help"], capsys)[1]
    assert "--adapter.rank" not in plain
    assert "number > 0 and <= 10 or none" in plain
    assert "--threshold" in run(["predict", "-h"], capsys)[1]
    assert run(["train", "--adapter", "lorra", "--help"], capsys)[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "error: no command 'trian'\n    did you mean 'train'?"),
        (["models", "list", "x", "y"], "error: too many words: y"),
        (["models", "--jsn"], "error: the call cannot be understood\n  - unknown flag --jsn\n    did you mean 'json'?"),
        (
            ["models", "pul"],
            "  - ACTION: action = 'pul': Input should be 'list' or 'pull'\n    legal: one of list, pull",
        ),
        (["evaluate"], "'bundle' is required: Folder of the saved model."),
        (["evaluate", "a", "b", "--engine", "pytorh"], "no such engine; did you mean 'pytorch'?"),
        (["train", "a.csv", "--train.learning_rate", "-1", "--train.optimizer", "adan"], "2 problems"),
        (["train", "a.csv", "--out"], "error: --out: has no value\n    write --out VALUE"),
        (["train", "a.csv", "--data.train", "b.csv"], "the training data is given twice"),
        (["train", "a.csv", "--task", "chatt"], "--task: unknown task 'chatt'"),
        (["predict", "a"], "error: give texts, or --input FILE"),
    ],
)
def test_mistakes_end_with_a_message_and_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(words, capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "code", "printed"),
    [
        (DataError("bad", where="a.csv:2"), 2, "error: a.csv:2: bad\n"),
        (TrainingError("no memory"), 1, "error: no memory\n"),
        (Interrupted("halted", hint="tunesmith resume x"), 130, "stopped: halted\n    tunesmith resume x\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_errors_become_exit_codes(
    error: BaseException, code: int, printed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(words: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert run(["x"], capsys) == (code, "", printed)
    if isinstance(error, TunesmithError):
        monkeypatch.setenv("TUNESMITH_DEBUG", "1")
        with pytest.raises(type(error)):
            cli.main(["x"])


def test_a_closed_pipe_is_no_error() -> None:
    call = f"{sys.executable} -m tunesmith train --help | head -1; echo ${{PIPESTATUS[0]}}"
    source = Path(cli.__file__).parent.parent
    done = subprocess.run(
        ["bash", "-c", call], capture_output=True, text=True, env={"PYTHONPATH": str(source)}, check=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[1:] == ["0"]


def test_help_on_a_bundle_is_of_its_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bundle.json").write_text('{"task": "question-answering"}')
    told = run(["predict", str(tmp_path), "--help"], capsys)[1]
    assert "--null_threshold" in told
    assert "--temperature" not in told


@pytest.mark.parametrize("text", ["", "[]", '{"task": "juggling"}'])
def test_help_on_what_is_no_bundle_is_of_all_tasks(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bundle.json").write_text(text)
    assert "--null_threshold" in run(["predict", str(tmp_path), "--help"], capsys)[1]


def test_parameters_that_tasks_share_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(["predict", "--help"], capsys)[1].splitlines()
    shared = [line for line in lines if line.startswith("  --temperature")]
    assert len(shared) == 1
    assert "request parameters of chat, summarization, translation:" in lines
