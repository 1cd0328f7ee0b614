"""The examples: what they call is there, and the table that the demo trains on is what it says."""

from __future__ import annotations

import csv
import importlib.util
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import small
import tiny_generators
from tunesmith import cli, config
from tunesmith.train import run

EXAMPLES = Path(__file__).parents[2] / "examples"
DEMO = EXAMPLES / "demo.py"
WRITTEN = {
    "translation_en_de.csv": "translation",
    "translation_en_zh.csv": "translation",
    "summaries_en.jsonl": "summarization",
    "summaries_zh.jsonl": "summarization",
    "chat_en.jsonl": "chat",
    "chat_zh.jsonl": "chat",
}
"""Data whose answers are texts, with its task."""


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


@pytest.mark.parametrize("name", WRITTEN)
def test_the_written_data_is_learned_from(name: str, writer: Callable[..., Path], tmp_path: Path) -> None:
    family: tiny_generators.Kind = "llama" if WRITTEN[name] == "chat" else "marian"
    few = {"model.max_length": 240, "train.epochs": 3, "request.max_tokens": 8, "task.report_rows": 3}
    keywords = {
        **small.QUICK,
        **few,
        "task": WRITTEN[name],
        "model.base": str(writer(family)),
        "out": str(tmp_path / "run"),
    }
    made = run.train(config.resolve(keywords={**keywords, "data.train": str(EXAMPLES / "data" / name)}, environment={}))
    scores = [entry["scores"]["loss"] for entry in small.log_of(made.folder, "evaluation")]
    assert scores[-1] < scores[0]
    assert made.report.rows["train"] > 20
    assert not [finding for finding in made.report.findings if finding.startswith(("error", "warning"))]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/*.yaml")), ids=lambda file: file.stem)
def test_the_configs_are_understood(file: Path) -> None:
    assert "tunesmith train" in file.read_text(encoding="utf-8")
    assert config.from_call(file, flags={"data.train": "DATA"}).data.train == "DATA"
