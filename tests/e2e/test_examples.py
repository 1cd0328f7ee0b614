"""The examples: what they call is there, and the table that the demo trains on is what it says."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tiny
from tunesmith import cli, config
from tunesmith.data.files import Source
from tunesmith.data.formats import jsonl
from tunesmith.tasks.token_classification import Params, Task

DATA = Path(__file__).parents[2] / "examples" / "data"
DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


@pytest.fixture
def demo() -> ModuleType:
    described = importlib.util.spec_from_file_location("demo", DEMO)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


@pytest.fixture
def steps(demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines of the demo, noted down instead of run."""
    noted: list[list[str]] = []

    def note(words: list[str]) -> int:
        noted.append(words)
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "main", note)
    monkeypatch.setattr(demo, "write_table", lambda file: 0)
    assert demo.demo() == 0
    return noted


def parsed(words: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, str]]:
    """What a verb is given by a command line."""
    from importlib import import_module

    command, given = import_module(f"tunesmith.commands.{words[0]}"), []
    with monkeypatch.context() as patch:
        patch.setattr(command, "main", lambda arguments, flags: given.append((arguments, flags)))
        assert cli.main(words) == 0
    return given[0]


def test_the_demos_steps_are_understood(
    steps: list[list[str]], demo: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, predict = steps
    arguments, flags = parsed(train, monkeypatch)
    chosen = config.from_call(arguments.source, flags=flags)
    assert chosen.data.train == str(demo.DATA)
    arguments, flags = parsed(predict, monkeypatch)
    assert arguments.bundle == chosen.out
    assert arguments.texts == demo.SENTENCES
    assert not flags


def test_the_demo_never_takes_a_folder_that_is_there(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo.free("runs/demo") == "runs/demo"
    for name in ("demo", "demo-2"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert demo.free("runs/demo") == "runs/demo-3"


@pytest.mark.network
def test_the_demos_table(demo: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "films.csv"
    count = demo.write_table(file)
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == count > 5000
    labels = Counter(row["label"] for row in rows)
    assert set(labels) == {"positive", "negative"}
    assert min(labels.values()) > count / 3
    assert all(row["text"].strip() for row in rows)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_entities_are_learned_from_the_example(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = DATA / f"entities_{language}.jsonl"
    rows = [item for _, item in jsonl(Source(str(file), "jsonl")) if isinstance(item, dict)]
    assert len(rows) > 40
    assert {one["type"] for row in rows for one in row["entities"]} == {"person", "place", "organisation"}
    assert all(Task(Params()).read_row(row) for row in rows)
    base = tiny.write_tiny(tmp_path / "base", "bert", [row["text"] for row in rows])
    run = str(tmp_path / "run")
    flags = ["--task", "token-classification", "--model.base", str(base), "--out", run, "--model.window_overlap", "8",
             "--train.epochs", "60", "--train.learning_rate", "3e-3", "--train.evaluate_every", "20 epochs",
             "--data.validation", str(file), "--data.test", str(file), "--train.freeze_embeddings", "false",
             "--train.warm_start", "false", "--train.batch_size", "8", "--train.threads", "1"]  # fmt: skip
    assert cli.main(["train", str(file), *flags]) == 0
    capsys.readouterr()
    assert cli.main(["predict", run, rows[0]["text"]]) == 0
    answer = json.loads(capsys.readouterr().out)
    places = [{name: one[name] for name in ("start", "end", "type")} for one in answer["entities"]]
    assert places == rows[0]["entities"], "a row of training, known by heart"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_triples_are_learned_from_the_example(
    language: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = DATA / f"relations_{language}.jsonl"
    rows = [item for _, item in jsonl(Source(str(file), "jsonl")) if isinstance(item, dict)]
    assert len(rows) > 40
    assert {one["type"] for row in rows for one in row["entities"]} == {"person", "place", "organisation"}
    names = {one["type"] for row in rows for one in row["relations"]}
    assert names == {"works_for", "based_in", "lives_in", "born_in", "founded"}
    base = tiny.write_tiny(tmp_path / "base", "bert", [row["text"] for row in rows])
    run = str(tmp_path / "run")
    flags = ["--task", "relation-extraction", "--model.base", str(base), "--out", run, "--model.window_overlap", "8",
             "--train.epochs", "60", "--train.learning_rate", "3e-3", "--train.evaluate_every", "20 epochs",
             "--data.validation", str(file), "--data.test", str(file), "--train.freeze_embeddings", "false",
             "--train.batch_size", "8", "--train.threads", "1"]  # fmt: skip
    assert cli.main(["train", str(file), *flags]) == 0
    capsys.readouterr()
    assert cli.main(["predict", run, rows[0]["text"]]) == 0
    answer = json.loads(capsys.readouterr().out)
    places = [{name: one[name] for name in ("start", "end", "type")} for one in answer["entities"]]
    assert places == rows[0]["entities"], "a row of training, known by heart"
    told = {(one["head"]["start"], one["relation"], one["tail"]["start"]) for one in answer["triples"]}
    known = rows[0]["entities"]
    assert told == {
        (known[one["head"]]["start"], one["type"], known[one["tail"]]["start"]) for one in rows[0]["relations"]
    }


@pytest.mark.parametrize("file", sorted((DATA.parent / "relations").glob("*.yaml")), ids=lambda file: file.stem)
def test_configs_of_relations_are_understood(file: Path) -> None:
    chosen = config.resolve(file, environment={})
    assert chosen.task_name == "relation-extraction"
    assert "--data.train" in file.read_text(encoding="utf-8").split("task:")[0], "how to call it stands on top"
