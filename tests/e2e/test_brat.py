"""From folders of brat to a model of entities and relations, and back to places in the text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
from tunesmith import cli


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of brat, a split each, as brat names what it leaves beside them."""
    home = tmp_path_factory.mktemp("brat")
    for name, count, seed in (("train", 240, 0), ("dev", 40, 1), ("test", 40, 2)):
        small.write_brat(home / "corpus" / name, count, seed)
    (home / "corpus" / "annotation.conf").write_text("[entities]\nfood\nmoney\nsport\n")
    return home


@pytest.fixture(scope="module")
def finished(home: Path, model: Callable[..., Path]) -> Path:
    given: dict[str, Any] = {
        **small.QUICK,
        **small.options("triples"),
        "model.base": model("bert"),
        "train.epochs": 12,
        "train.freeze_embeddings": False,
        "train.evaluate_every": "4 epochs",
        "out": home / "run",
    }
    assert cli.main(["train", str(home / "corpus"), *(f"--{name}={value}" for name, value in given.items())]) == 0
    return home / "run"


def test_relations_are_learned_from_folders_of_brat(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text())
    assert report["rows"] == {"train": 240, "validation": 40, "test": 40}
    assert report["metrics"]["f1_entities"] > 0.7
    assert report["metrics"]["f1_strict"] > 0.5


def test_a_documents_entities_come_back_where_they_stand(
    finished: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marked = max((home / "corpus" / "test").glob("*.ann"), key=lambda file: file.read_text().count("R"))
    text = marked.with_suffix(".txt").read_text()
    assert cli.main(["predict", str(finished), text]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["entities"]
    known = [{name: entity[name] for name in ("start", "end", "type", "text")} for entity in answer["entities"]]
    for entity in known:
        assert text[entity["start"] : entity["end"]] == entity["text"]
    assert answer["triples"]
    for one in (one[side] for one in answer["triples"] for side in ("head", "tail")):
        assert one in known


def test_other_documents_are_scored(finished: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.write_brat(home / "more", 40, 3)
    assert cli.main(["evaluate", str(finished), str(home / "more"), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["metrics"]
    assert scores["f1_strict"] > 0.4
