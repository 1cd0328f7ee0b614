"""What every engine keeps to: it gives the network's own outputs, however the rows are ordered and padded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith import bundle as bundles
from tunesmith import exporting, plugins, predict
from tunesmith.bundle import Bundle
from tunesmith.data.examples import Examples
from tunesmith.engines.base import Engine

TEXTS = [
    ("the film was fine", "a dull day"),
    ("bad", "not"),
    ("loved the plot and then it was very great with one more thing", "they saw the film here today"),
    ("awful", "rain and wind"),
]
CLOSE = {"atol": 1e-5, "rtol": 1e-4}
KINDS = ["binary", "multi-label", "pairs", "similarity", "alike", "questions", "chain", "marked", "triples"]
ENGINES = {"pytorch": KINDS, "onnx": KINDS, "torch-export": ["binary", "similarity", "alike"]}
"""Those that read texts into outputs, with the kinds of rows that each is tried on."""

engine_and_kind = pytest.mark.parametrize(("name", "kind"), [(one, kind) for one in ENGINES for kind in ENGINES[one]])


def examples_of(bundle: Bundle, kind: str, folder: Path) -> Examples:
    """Some of the golden rows, or the texts above."""
    model = predict.Model(bundle, Engine, bundle.tokenizer())  # type: ignore[arg-type]
    given = [one if kind in ("pairs", "similarity", "alike") else one[0] for one in TEXTS]
    if kind in ("questions", "marked"):
        given = predict.load(bundle.folder).golden_inputs()[:4]
    return bundle.task.encode(model.rows(given), model.tokenizer, bundle.config.model, folder)


@engine_and_kind
def test_its_outputs_are_the_networks(
    finished: Callable[..., Path], in_form: Callable[..., Path], name: str, kind: str, tmp_path: Path
) -> None:
    saved = bundles.open_bundle(finished(kind))
    examples = examples_of(saved, kind, tmp_path)
    every = np.arange(len(examples))
    opened = predict.load(in_form(name, kind), name).engine
    found = opened.outputs(opened.inputs(examples, every))
    assert found.dtype == np.float32
    with torch.no_grad():
        np.testing.assert_allclose(found, saved.network()(examples.collate(every)).numpy(), **CLOSE)


@engine_and_kind
def test_order_and_padding_change_nothing(
    finished: Callable[..., Path], in_form: Callable[..., Path], name: str, kind: str, tmp_path: Path
) -> None:
    examples = examples_of(bundles.open_bundle(finished(kind)), kind, tmp_path)
    engine = predict.load(in_form(name, kind), name).engine
    whole = engine.sequences(examples)
    turned = engine.sequences(examples, np.arange(len(examples))[::-1])
    for number, (one, other) in enumerate(zip(whole, turned[::-1], strict=True)):
        np.testing.assert_allclose(one, other, **CLOSE)
        alone = engine.sequences(examples, np.array([number]))[0]
        places = (
            slice(None) if kind != "chain" else slice(0, min(len(one), len(alone)) - 100)
        )  # its end is the chain's own
        np.testing.assert_allclose(alone[places], one[places], **CLOSE)


@engine_and_kind
def test_it_answers_for_a_model(
    in_form: Callable[..., Path], finished: Callable[..., Path], name: str, kind: str
) -> None:
    model = predict.load(in_form(name, kind), name)
    network = exporting.network_of(bundles.open_bundle(finished(kind)))
    inputs = network.golden_inputs()
    assert model.replay() < 1e-5
    assert model.task.drift(network.golden(inputs), model.golden(inputs), model.target) < 1e-4
    assert len(model.answers(inputs)) == len(inputs)
    assert model.engine.batch_tokens > 0


@pytest.mark.parametrize("family", ["roberta", "gpt2", "llama", "t5"])
def test_onnx_holds_every_family(in_form: Callable[..., Path], finished: Callable[..., Path], family: str) -> None:
    model = predict.load(in_form("onnx", "binary", family))
    network = exporting.network_of(bundles.open_bundle(finished("binary", family)))
    texts = [one for one, _ in TEXTS]
    for one, other in zip(model.answers(texts), network.answers(texts), strict=True):
        assert one["label"] == other["label"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)


def test_every_engine_says_whether_it_can_open_a_bundle(in_form: Callable[..., Path], tmp_path: Path) -> None:
    for name in ENGINES:
        assert plugins.load("engines", name).finds(in_form(name, "binary"))
    for name in plugins.names("engines"):
        assert not plugins.load("engines", name).finds(tmp_path)
