"""Classification by writing: likelihoods of names are those of the model, and it learns like any other classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import small
import tiny_generators
import tunesmith as ts
from tunesmith.errors import UsageError
from tunesmith.networks import generators
from tunesmith.networks.label_model import LabelModel

NAMES = ("sport", "food and drink", "money", "the weather", "no")


@pytest.mark.parametrize("kind", ["t5", "bart", "marian"])
def test_outputs_are_the_likelihoods_of_the_names(kind: Any, tmp_path: Path) -> None:
    backbone = generators.load(tiny_generators.write(tmp_path, kind))
    made = LabelModel.of(backbone, NAMES).eval()
    tokenizer = generators.load_tokenizer(tmp_path)
    texts = ["a fine day", "rain and wind, and then some more of it"]
    tokenizer.padding_side = "right"
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    found = made({name: inputs[name] for name in ("input_ids", "attention_mask")})
    assert found.shape == (2, len(NAMES))
    for row, text in enumerate(texts):
        for number, name in enumerate(NAMES):
            labels = torch.tensor([tokenizer(text_target=name)["input_ids"]])
            loss = backbone.model(**tokenizer(text, return_tensors="pt"), labels=labels).loss
            assert float(found[row, number].detach()) == pytest.approx(
                -float(loss.detach()) * labels.shape[1], abs=1e-3
            )


def test_names_are_weighed_in_pieces_as_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = LabelModel.of(generators.load(tiny_generators.write(tmp_path, "t5")), NAMES).eval()
    inputs = {"input_ids": torch.randint(5, 100, (3, 7))}
    whole = made(inputs)
    monkeypatch.setattr("tunesmith.networks.label_model._MOST_ROWS", 6)
    torch.testing.assert_close(made(inputs), whole)


@pytest.mark.parametrize(("adapter", "epochs"), [("full", 8), ("lora", 1)])
def test_a_model_that_writes_labels_learns_and_answers(adapter: str, epochs: int, tmp_path: Path) -> None:
    base = tiny_generators.write(tmp_path / "base", "t5", small.TEXTS)
    table = small.write(tmp_path / "rows.csv", "binary", 240)
    quick = {**small.QUICK, "train.epochs": epochs, "train.learning_rate": 1e-2, "train.metric": "log_loss"}
    chosen = {"task.classify_by": "writing", "model.base": str(base), **quick}
    run = ts.train(str(table), out=str(tmp_path / "run"), adapter=adapter, **chosen)
    if adapter == "full":
        assert (
            ts.evaluate(run.folder, small.write(tmp_path / "new.csv", "binary", 100, seed=1)).metrics["accuracy"] > 0.9
        )
    (answer,) = run.model().answers(["the film was great and they loved it"], top_k=2)
    assert {entry["label"] for entry in answer["top"]} == {"positive", "negative"}
    assert sum(entry["score"] for entry in answer["top"]) == pytest.approx(1, abs=1e-5)
    assert run.model().replay() < 1e-3


def test_a_decoder_cannot_write_labels(tmp_path: Path) -> None:
    backbone = generators.load(tiny_generators.write(tmp_path, "llama"))
    with pytest.raises(UsageError, match="written by encoder-decoders"):
        LabelModel.of(backbone, NAMES)


@pytest.mark.parametrize("kind", ["multi-label", "regression"])
def test_only_one_label_can_be_written(kind: str, tmp_path: Path) -> None:
    table = small.write(tmp_path / "rows.csv", kind)
    with pytest.raises(UsageError, match="do not fit the data") as caught:
        ts.train(str(table), out=str(tmp_path / "run"), **{"task.classify_by": "writing", **small.options(kind)})
    assert "task.classify_by" in str(caught.value)
