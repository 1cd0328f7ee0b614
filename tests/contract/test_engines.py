"""What every engine keeps to: it gives the network's own outputs, however the rows are ordered and padded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tunesmith import bundle as bundles
from tunesmith import plugins, predict
from tunesmith.bundle import Bundle
from tunesmith.engines.base import Engine
from tunesmith.train.run import Run

TEXTS = [
    ("the film was fine", "a dull day"),
    ("bad", "not"),
    ("loved the plot and then it was very great with one more thing", "they saw the film here today"),
    ("awful", "rain and wind"),
]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}

every_engine = pytest.mark.parametrize("name", plugins.names("engines"))
every_kind = pytest.mark.parametrize("kind", ["binary", "pairs", "similarity"])


@pytest.fixture
def bundle(run: Callable[..., Run]) -> Callable[[str], Bundle]:
    def of(kind: str) -> Bundle:
        short = {"train.max_steps": 2, "train.precision": "fp32"}
        return bundles.open_bundle(run(kind, count=80, **short).folder)

    return of


def inputs(bundle: Bundle, folder: Path, texts: list[tuple[str, str]] = TEXTS) -> dict[str, Tensor]:
    """A batch of the texts, as the batcher makes it."""
    model = predict.Model(bundle, None, bundle.tokenizer())  # type: ignore[arg-type]
    paired = dict(bundle.config.columns)["text_pair"] is not None
    table = model._table(texts if paired else [first for first, _ in texts])
    folder.mkdir()
    examples = bundle.task.encode(table, bundle.tokenizer(), bundle.config.model, folder)
    return examples.collate(np.arange(len(texts)))


def opened(name: str, bundle: Bundle) -> Engine:
    engine: Engine = plugins.load("engines", name).open(bundle)
    return engine


@every_kind
@every_engine
def test_its_outputs_are_the_networks(bundle: Callable[..., Bundle], name: str, kind: str, tmp_path: Path) -> None:
    saved = bundle(kind)
    batch = inputs(saved, tmp_path / "rows")
    found = opened(name, saved).outputs(batch)
    assert found.dtype == np.float32
    assert found.shape == (len(TEXTS), len(saved.target.labels))
    with torch.no_grad():
        np.testing.assert_allclose(found, saved.network()(batch).numpy(), **CLOSE)


@every_kind
@every_engine
def test_order_and_padding_change_nothing(bundle: Callable[..., Bundle], name: str, kind: str, tmp_path: Path) -> None:
    saved = bundle(kind)
    engine = opened(name, saved)
    whole = engine.outputs(inputs(saved, tmp_path / "whole"))
    turned = engine.outputs(inputs(saved, tmp_path / "turned", TEXTS[::-1]))
    np.testing.assert_allclose(turned[::-1], whole, **CLOSE)
    for number, text in enumerate(TEXTS):
        alone = engine.outputs(inputs(saved, tmp_path / str(number), [text]))
        np.testing.assert_allclose(alone[0], whole[number], **CLOSE)


@every_engine
def test_it_answers_for_a_model(bundle: Callable[..., Bundle], name: str) -> None:
    model = predict.load(bundle("binary").folder, name)
    assert {answer["label"] for answer in model.answers(["fine", "bad"] * 20)} <= {"positive", "negative"}
    assert model.replay() < 1e-5
    assert opened(name, model.bundle).batch_tokens > 0
