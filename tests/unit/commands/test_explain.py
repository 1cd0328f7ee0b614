"""``tunesmith explain`` as users type it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith import cli, plugins
from tunesmith.train.run import Run


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = cli.main(["explain", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said([], capsys)
    assert code == 0
    for word in ("top_p", "null_threshold", "aggregation", "chat, summarization, translation"):
        assert word in out
    listed = json.loads(said(["--json"], capsys)[1])
    assert {task for tasks in listed for task in tasks.split(", ")} == set(plugins.names("tasks"))


def test_a_name_is_told_with_all_that_is_declared(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(["top_p"], capsys)
    assert code == 0
    for words in ("Holtzman", "number > 0 and <= 1", "sampler 14 of 19", "llama.cpp", "0.95", "beside num_beams 4"):
        assert words in out
    [sheet] = json.loads(said(["top_p", "--json"], capsys)[1])
    assert sheet["elsewhere"]["llama.cpp"]["default"] == "0.95"
    assert sheet["place"] == 14
    assert len(json.loads(said(["threshold", "--json"], capsys)[1])) == 3  # three tasks mean three things


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["temprature"], "did you mean 'temperature'"),
        (["temprature", "runs/none"], "did you mean 'temperature'"),
        (["top_p", "--prompt", "x"], "--prompt: counts only with a model"),
        (["top_p", "--temperature", "1"], "--temperature: counts only with a model"),
        (["top_p", "runs/none", "--picture", "x.gif"], ".svg or .png"),
        (["top_p", "/nowhere/none", "--prompt", "x"], "none"),
        (["top_p", "a", "b"], "too many words"),
    ],
)
def test_mistakes_give_exit_code_2(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(words, capsys)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


def test_on_a_bundle_it_prints_draws_and_tells_programs(
    run: Callable[..., Run], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = str(
        run(
            "conversations", "llama", 30, **{"train.max_steps": 2, "model.max_length": 128, "task.report_rows": 1}
        ).folder
    )
    capsys.readouterr()
    picture = tmp_path / "top_p.svg"
    words = ["top_p", folder, "--prompt", "the bank, a coin", "--prompt=soup", "--values", "0.5,1", "--tokens", "4"]
    code, out, err = said([*words, "--temperature", "0.7", "--picture", str(picture)], capsys)
    assert (code, err) == (0, "")
    assert "of 2 answers" in out
    assert "temperature 0.7" in out
    assert picture.read_text(encoding="utf-8").startswith("<svg ")
    found: dict[str, Any] = json.loads(said([*words, "--json"], capsys)[1])
    assert found["values"] == [0.5, 1.0]
    assert found["measures"]["cut"]["numbers"][1] == 0
    assert len(found["paths"]) == 2
    code, out, _ = said(["top_p", folder, "--values", "0.5,1", "--tokens", "2"], capsys)  # what the bundle keeps
    assert code == 0


def test_a_flag_that_may_be_repeated_keeps_its_commas(capsys: pytest.CaptureFixture[str]) -> None:
    command = plugins.module("commands", "explain")
    known = {"prompt": False, "rows": False}
    _, flags = cli._split(["--prompt", "a, b", "--prompt=[c]", "--rows", "3"], known, cli._repeated(command))
    assert json.loads(flags["prompt"]) == ["a, b", "[c]"]
    assert said(["top_p", "x", "--rows", "3", "--rows", "4"], capsys)[2].startswith("error: --rows is given twice")
