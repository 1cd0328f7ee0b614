"""The examples: what they call is there, every table trains and answers, and the demo's table is what it says."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import small
import tiny_generators
import tunesmith as ts
from tiny import write_tiny
from tunesmith import cli, config, plugins
from tunesmith.search import space

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMO = EXAMPLES / "demo.py"
TABLES = sorted((EXAMPLES / "data").glob("*/*"))
"""The name of a table's folder is its task."""

WRITING = ("chat", "summarization", "translation")


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


@pytest.mark.parametrize("file", [file for file in TABLES if file.parent.name in WRITING], ids=lambda file: file.name)
def test_the_written_tables_are_learned_from(file: Path, writer: Callable[..., Path], tmp_path: Path) -> None:
    task = file.parent.name
    family: tiny_generators.Kind = "llama" if task == "chat" else "marian"
    few = {"model.max_length": 240, "train.epochs": 3, "request.max_tokens": 8, "task.report_rows": 3}
    own = {"task": task, "model.base": str(writer(family)), "data.train": str(file), "out": str(tmp_path / "run")}
    made = ts.train(**{**small.QUICK, **few, **own})
    scores = [entry["scores"]["loss"] for entry in small.log_of(made.folder, "evaluation")]
    assert scores[-1] < scores[0]
    assert made.report.rows["train"] > 20
    assert not [finding for finding in made.report.findings if finding.startswith(("error", "warning"))]


@pytest.mark.parametrize(
    "file",
    [file for file in sorted(EXAMPLES.glob("*/*.yaml")) if file.parent.name != "search"],
    ids=lambda file: file.stem,
)
def test_the_configs_are_understood(file: Path) -> None:
    assert "tunesmith train" in file.read_text(encoding="utf-8")
    assert config.from_call(file, flags={"data.train": "DATA"}).data.train == "DATA"


@pytest.mark.parametrize("file", sorted((EXAMPLES / "search").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_searches_are_understood(file: Path) -> None:
    assert "tunesmith search" in file.read_text(encoding="utf-8")
    shared, found = space.read(config.merge_call(file, flags={"data.train": "DATA"}))
    assert shared.data.train == "DATA"
    assert found.dimensions
    assert all(one.asked for one in found.dimensions)


def rows_of(file: Path) -> list[dict[str, Any]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines)) if file.suffix == ".csv" else [json.loads(line) for line in lines]


def test_every_task_has_a_table_in_english_and_in_another_language() -> None:
    counts = Counter(file.parent.name for file in TABLES)
    assert {task for task, count in counts.items() if count >= 2} == set(plugins.names("tasks"))


@pytest.mark.parametrize("file", TABLES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_table_trains_and_answers(file: Path, tmp_path: Path) -> None:
    task = file.parent.name
    rows = rows_of(file)
    texts = file.read_text(encoding="utf-8").splitlines()
    base = (tiny_generators.write if task in WRITING else write_tiny)(tmp_path / "base", texts=texts)
    quick = {"max_steps": 2, "threads": 1, "warm_start": False}
    model = {"base": str(base), "window_overlap": 8}
    request = {"max_tokens": 4} if task in WRITING else {}
    run = ts.train(str(file), task=task, out=str(tmp_path / "run"), model=model, train=quick)
    assert sum(run.report.rows.values()) == len(rows)
    made = run.model()
    columns = {role: name for role, name in made.bundle.config.columns if name is not None}
    given = {role: rows[0][columns[role]] for role in made.task.inputs if role in columns}
    if task == "chat":
        given["messages"] = given["messages"][:-1]
    (answer,) = made.answers([given], **request)
    assert json.loads(json.dumps(answer)) == answer


def known_by_heart(task: str, file: Path, folder: Path, **train: Any) -> Any:
    """The answer of a tiny model to the first text of a table that it was trained on for long."""
    rows = rows_of(file)
    base = write_tiny(folder / "base", texts=[row["text"] for row in rows])
    run = ts.train(
        task=task,
        out=str(folder / "run"),
        data={"train": str(file), "validation": str(file), "test": str(file)},
        model={"base": str(base), "window_overlap": 8},
        train={
            "epochs": 60,
            "learning_rate": 3e-3,
            "batch_size": 8,
            "evaluate_every": "20 epochs",
            "freeze_embeddings": False,
            "threads": 1,
            **train,
        },
    )
    (answer,) = run.model().answers([rows[0]["text"]])
    return answer


@pytest.mark.parametrize("language", ["en", "zh"])
def test_entities_of_a_table_are_learned_by_heart(language: str, tmp_path: Path) -> None:
    file = EXAMPLES / "data" / "token-classification" / f"{language}.jsonl"
    rows = rows_of(file)
    assert {one["type"] for row in rows for one in row["entities"]} == {"person", "place", "organisation"}
    answer = known_by_heart("token-classification", file, tmp_path, warm_start=False)
    places = [{name: one[name] for name in ("start", "end", "type")} for one in answer["entities"]]
    assert places == rows[0]["entities"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_triples_of_a_table_are_learned_by_heart(language: str, tmp_path: Path) -> None:
    file = EXAMPLES / "data" / "relation-extraction" / f"{language}.jsonl"
    rows = rows_of(file)
    names = {one["type"] for row in rows for one in row["relations"]}
    assert names == {"works_for", "based_in", "lives_in", "born_in", "founded"}
    answer = known_by_heart("relation-extraction", file, tmp_path)
    entities, relations = rows[0]["entities"], rows[0]["relations"]
    places = [{name: one[name] for name in ("start", "end", "type")} for one in answer["entities"]]
    assert places == entities
    told = {(one["head"]["start"], one["relation"], one["tail"]["start"]) for one in answer["triples"]}
    assert told == {(entities[one["head"]]["start"], one["type"], entities[one["tail"]]["start"]) for one in relations}
