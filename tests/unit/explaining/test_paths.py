"""Paths are the answers of the data or of the model, and their logits are the model's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as File

import pytest
import torch

from tunesmith import predict
from tunesmith.errors import DataError
from tunesmith.explaining import opening, paths
from tunesmith.predict import Model
from tunesmith.train.run import Run

QUICK = {"train.max_steps": 2, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1}
LORA = {**QUICK, "adapter": "lora", "train.learning_rate": 0.05}


@pytest.fixture
def chat(run: Callable[..., Run]) -> Model:
    return opening.open_model(str(run("conversations", "llama", 30, **LORA).folder))


@pytest.fixture
def translation(run: Callable[..., Run]) -> Model:
    return opening.open_model(str(run("translations", "marian", 30, **QUICK).folder))


def test_a_greedy_path_is_the_answer_of_the_model(chat: Model) -> None:
    rows = chat.rows(["the bank", "soup and bread"])
    found = paths.of(chat, rows, "greedy", 6)
    answers = chat.answers(["the bank", "soup and bread"], max_tokens=6)
    texts = [chat.tokenizer.decode(path.output, skip_special_tokens=True) for path in found]
    assert [text.strip() for text in texts] == [answer["answer"].strip() for answer in answers]
    assert all(1 <= len(path.output) <= 6 for path in found)


def test_logits_are_those_of_the_whole_text_at_once(chat: Model) -> None:
    [path] = paths.of(chat, chat.rows(["the rain in the night"]), "greedy", 8)
    found = paths.Logits(chat).along(path)
    model = chat.engine.network.backbone.model  # type: ignore[union-attr]
    with torch.no_grad():
        whole = model(torch.tensor([[*path.prompt, *path.output]])).logits[0]
    torch.testing.assert_close(found, whole[len(path.prompt) - 1 : -1].float(), atol=1e-4, rtol=1e-4)
    assert found.argmax(1).tolist() == list(path.output)
    assert found.dtype == torch.float32


def test_an_encoder_decoder_reads_the_source(translation: Model) -> None:
    [path] = paths.of(translation, translation.rows(["the bank"]), "greedy", 5)
    found = paths.Logits(translation).along(path)
    model = translation.engine.network.backbone.model  # type: ignore[union-attr]
    with torch.no_grad():
        given = {
            "input_ids": torch.tensor([path.source]),
            "decoder_input_ids": torch.tensor([[*path.prompt, *path.output]]),
        }
        whole = model(**given).logits[0]
    torch.testing.assert_close(found, whole[len(path.prompt) - 1 : -1].float(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("which", ["chat", "translation"])
def test_a_reference_path_is_the_answer_in_the_data(
    which: str, request: pytest.FixtureRequest, table: Callable[..., File], tmp_path: File
) -> None:
    model: Model = request.getfixturevalue(which)
    kind = {"chat": "conversations", "translation": "translations"}[which]
    rows = opening.rows_of(model, (), str(table(kind, 30)), 4, tmp_path)
    found = paths.of(model, rows, "reference", 64)
    texts = [model.tokenizer.decode(path.output, skip_special_tokens=True) for path in found]
    truths = model.task.references(rows)  # type: ignore[attr-defined]
    assert [text.strip() for text in texts] == [truth[0].strip() for truth in truths]
    greedy = paths.of(model, rows, "greedy", 4)
    assert [path.prompt for path in found] == [path.prompt for path in greedy]
    assert [path.source for path in found] == [path.source for path in greedy]
    ends = model.engine.facts.ends
    assert all(path.output[-1] in ends for path in found)
    assert all(len(path.output) <= 2 for path in paths.of(model, rows, "reference", 2))


def test_without_an_answer_there_is_no_reference_path(chat: Model) -> None:
    with pytest.raises(DataError, match="--path greedy"):
        paths.of(chat, chat.rows(["the bank"]), "reference", 8)


def test_logits_are_kept_between_calls_for_the_same_model_and_path(chat: Model, tmp_path: File) -> None:
    first, second = paths.of(chat, chat.rows(["the bank", "goal"]), "greedy", 4)
    store = paths.Logits(chat, tmp_path / "kept")
    found = store.along(first)
    again = paths.Logits(predict.load(chat.bundle.folder, "pytorch"), tmp_path / "kept")
    assert torch.equal(again.along(first), found)
    assert (store.read, again.read) == (1, 0)
    again.along(second)
    assert again.read == 1
    assert len(list((tmp_path / "kept").glob("*.npy"))) == 2


def test_another_model_has_logits_of_its_own(run: Callable[..., Run], tmp_path: File) -> None:
    folders = [
        run("conversations", "llama", 30, out=f"run{seed}", **{**LORA, "train.seed": seed}).folder for seed in (0, 1)
    ]
    one, other = (opening.open_model(str(folder)) for folder in folders)
    [path] = paths.of(one, one.rows(["the bank"]), "greedy", 4)
    kept = [paths.Logits(model, tmp_path / "kept") for model in (one, other)]
    assert not torch.equal(kept[0].along(path), kept[1].along(path))
    assert kept[1].read == 1
