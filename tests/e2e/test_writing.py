"""Models that write, from a file to answers: trained, reported beside the base model, asked from the shell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
from tunesmith import cli, report
from tunesmith.errors import UsageError
from tunesmith.predict import load
from tunesmith.train.run import Run

GIVEN = {
    "translations": "soup bread",
    "summaries": "goal team match",
    "conversations": "the bank",
    "preferences": "the rain",
}


@pytest.fixture
def written(run: Callable[..., Run]) -> Callable[..., Run]:
    """Trains on rows of a kind whose answers are texts; no row is long to write for."""

    def of(kind: str, family: str, **more: Any) -> Run:
        quick = {"train.epochs": 2, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 6}
        return run(kind, family, 60, **{**quick, **more})

    return of


@pytest.mark.parametrize(
    ("kind", "family", "adapter"),
    [
        ("translations", "marian", "full"),
        ("translations", "gpt2", "lora"),
        ("summaries", "bart", "full"),
        ("summaries", "llama", "lora"),
        ("conversations", "llama", "lora"),
        ("conversations", "t5", "full"),
        ("preferences", "llama", "lora"),
        ("preferences", "gpt2", "full"),
    ],
)
def test_a_file_becomes_a_model_that_writes(
    written: Callable[..., Run],
    table: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    kind: str,
    family: str,
    adapter: str,
) -> None:
    more = {"adapter": adapter} if kind == "preferences" else {}  # else as the base model suggests
    made = written(kind, family, **more)
    assert made.report.adapter == adapter
    beside = report.load(made.folder).beside
    assert len(beside.samples) == 5
    assert {made.report.headline.name} <= beside.metrics.keys() <= made.report.metrics.keys()
    page, card = (made.folder / name for name in ("report.html", "README.md"))
    assert all("Before and after training" in file.read_text(encoding="utf-8") for file in (page, card))
    evaluations = list(small.log_of(made.folder, "evaluation"))
    assert evaluations[-1]["scores"]["loss"] < evaluations[0]["scores"]["loss"]

    assert cli.main(["predict", str(made.folder), GIVEN[kind], "--temperature", "0.7", "--seed", "5"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {"finish_reason", "tokens", "seed"} < answer.keys()
    assert (answer["seed"], answer["tokens"] <= 8) == (5, True)

    assert cli.main(["evaluate", str(made.folder), str(table(kind, 60)), "--untuned", "true", "--json"]) == 0
    untuned = json.loads(capsys.readouterr().out)["metrics"]
    assert made.report.headline.name in untuned


def test_a_conversation_is_asked_as_json(written: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(written("conversations", "llama").folder)
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "the rain"},
        {"role": "assistant", "content": "the weather thing"},
        {"role": "user", "content": "the bank"},
    ]
    for given in (messages, {"messages": messages}):
        assert cli.main(["predict", folder, json.dumps(given)]) == 0
    first, second = (json.loads(line)["answer"] for line in capsys.readouterr().out.splitlines())
    assert first == second == load(folder).answers([{"messages": messages}])[0]["answer"]
    with pytest.raises(UsageError, match="nothing to answer"):
        load(folder).answers([{"messages": messages[:3]}])


@pytest.mark.parametrize("family", ["t5", "marian", "llama"])
def test_a_model_is_made_from_nothing(written: Callable[..., Run], table: Callable[..., Path], family: str) -> None:
    base = f"scratch://{family}?layers=1&width=32&heads=2&vocabulary=320&positions=128&dropout=0"
    made = written("translations", None, **{"model.base": base, "train.epochs": 4})
    assert made.report.adapter == "full"
    assert made.report.config["train.freeze_embeddings"] is False
    assert not made.report.beside.samples
    scores = [entry["scores"]["loss"] for entry in small.log_of(made.folder, "evaluation")]
    assert scores[-1] < 0.9 * scores[0]
    assert made.model().replay() < 1e-3
    with pytest.raises(UsageError, match="made from nothing"):
        load(made.folder, untuned=True)


def test_a_model_without_words_of_its_own_has_no_answers_untuned(run: Callable[..., Run]) -> None:
    with pytest.raises(UsageError, match="the head for text-classification knows nothing"):
        load(run().folder, untuned=True)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_check_shows_what_is_learned(
    writer: Callable[..., Path],
    table: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    family: str,
) -> None:
    command = ["check", str(table("conversations", 60)), "--task", "chat", "--model.base", str(writer(family))]
    assert cli.main([*command, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["preview"][0]
    learned = [first["tokens"][place] for place in first["learned"]] if family == "llama" else first["written"]
    assert "".join(learned).replace("Ġ", " ").startswith("the")
    assert learned[-1] == "</s>"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert cli.main([*command, "--preview", "1"]) == 0
    assert "\x1b[1;32m" in capsys.readouterr().out
