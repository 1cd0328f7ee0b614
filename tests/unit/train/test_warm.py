"""What is done with the frozen base model: kept states, the head's start, the measured micro-batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tiny import Family
from tunesmith import machine, plugins
from tunesmith.data.prepare import prepare
from tunesmith.errors import TrainingError
from tunesmith.train import learner, warm
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Learner

MakeLearner = Callable[..., Learner]
CPU = machine.Machine("cpu", "fp32", 1)


@pytest.fixture
def learn(config: Callable[..., Any], tmp_path: Path) -> MakeLearner:
    def build(*args: Any, out: str = "run", **more: Any) -> Learner:
        chosen = config(*args, **more)
        folder = tmp_path / out
        folder.mkdir()
        splits = prepare(chosen, plugins.load("tasks", "text-classification")(chosen.task), folder / "data")
        return learner.build(chosen, splits, folder, Journal(folder / "log.jsonl", quiet=True))

    return build


def everything(learned: Learner) -> np.ndarray:
    return np.arange(len(learned.training))


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
@pytest.mark.parametrize("kind", ["binary", "pairs", "similarity"])
def test_kept_states_are_what_the_layers_give(learn: MakeLearner, tmp_path: Path, family: Family, kind: str) -> None:
    more = {"adapter.name": "freeze", "adapter.train_layers": 1, "train.warm_start": False, "model.pooling": "auto"}
    given = learn(kind, family, 40, **more)
    assert given.network.depth == 1
    rows = everything(given)
    assert "hidden" in given.training.collate(rows)
    with torch.no_grad():
        kept = given.network.eval()(given.training.collate(rows))
        plain = given.network.eval()(given.training.tokens(rows))
    assert torch.allclose(kept, plain, atol=1e-5)


def test_states_kept_in_half_precision_are_near(learn: MakeLearner) -> None:
    more = {"adapter.name": "freeze", "adapter.train_layers": 1, "train.warm_start": False, "train.precision": "bf16"}
    given = learn(count=40, **more)
    rows = everything(given)
    with torch.no_grad():
        kept = given.network.eval()(given.training.collate(rows))
        plain = given.network.eval()(given.training.tokens(rows))
    assert torch.allclose(kept, plain, atol=0.05)
    assert not torch.equal(kept, plain)


def test_a_frozen_model_keeps_the_features_alone(learn: MakeLearner, tmp_path: Path) -> None:
    given = learn(count=40, **{"adapter.name": "head", "train.warm_start": False})
    rows = everything(given)
    assert given.training.collate(rows).keys() == {"features"}
    assert not list(tmp_path.rglob("hidden.bin"))
    with torch.no_grad():
        kept = given.network.eval()(given.training.collate(rows))
        plain = given.network.eval()(given.training.tokens(rows))
    assert torch.allclose(kept, plain, atol=1e-5)


def test_a_pooling_that_trains_needs_the_states_of_all_tokens(learn: MakeLearner) -> None:
    given = learn(count=40, **{"adapter.name": "head", "model.pooling": "attention"})
    assert "hidden" in given.training.collate(everything(given))


def test_a_model_that_cannot_be_split_says_so(learn: MakeLearner, tmp_path: Path) -> None:
    given = learn("binary", "t5", 40, **{"adapter.name": "freeze", "adapter.train_layers": 1})
    assert given.network.depth == 0
    assert "input_ids" in given.training.collate(everything(given))
    assert "cannot be kept for this kind of model" in (tmp_path / "run" / "log.jsonl").read_text()


def test_no_room_for_the_states_is_told(learn: MakeLearner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_disk_bytes", lambda folder: 1000)
    with pytest.raises(TrainingError, match="free") as error:
        learn(count=40, **{"adapter.name": "freeze", "adapter.train_layers": 1})
    assert "adapter.name" in str(error.value)


@pytest.mark.parametrize("kind", ["binary", "multi-class", "multi-label", "regression", "pairs", "similarity"])
def test_the_head_starts_better_than_by_chance(learn: MakeLearner, kind: str) -> None:
    warm_one, cold = (learn(kind, out=str(on), **{"train.warm_start": on}) for on in (True, False))
    rows = everything(warm_one)

    def loss(learned: Learner) -> float:
        with torch.no_grad():
            outputs = learned.network.eval()(learned.training.collate(rows))
        return float(learned.loss(outputs, learned.training.targets_of(rows)).mean())

    assert loss(warm_one) < 0.8 * loss(cold)


def test_the_head_is_fitted_to_the_rows_asked_for(learn: MakeLearner) -> None:
    given = learn(count=100, **{"train.warm_start": False})
    read: list[int] = []
    collate = given.training.collate

    def watch(indices: np.ndarray) -> Mapping[str, Tensor]:
        read.extend(indices.tolist())
        return collate(indices)

    given.training.collate = watch  # type: ignore[method-assign, assignment]
    warm.start_head(given.network, given.training, given.loss, 30, seed=3, runs_on=CPU)
    assert len(read) == len(set(read)) == 30


def test_measuring_leaves_no_trace(learn: MakeLearner, monkeypatch: pytest.MonkeyPatch) -> None:
    given = learn(count=60)
    before = {name: weight.clone() for name, weight in given.network.state_dict().items()}
    monkeypatch.setattr(warm, "CANDIDATE_MICRO_TOKENS", (16, 32, 64))
    found = warm.measure_micro_tokens(given.network, given.training, given.loss, 32, CPU)
    assert found in (16, 32, 64)
    assert all(torch.equal(weight, before[name]) for name, weight in given.network.state_dict().items())
    assert all(weight.grad is None for weight in given.network.parameters())


def test_small_steps_need_no_measuring(learn: MakeLearner) -> None:
    given = learn(count=60)
    assert given.config.train.micro_tokens == warm.CANDIDATE_MICRO_TOKENS[0]


def forbid(network: nn.Module, most_tokens: int) -> None:
    whole = network.forward

    def forward(inputs: Mapping[str, Tensor]) -> Tensor:
        if inputs["input_ids"].numel() > most_tokens:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        result: Tensor = whole(inputs)
        return result

    network.forward = forward  # type: ignore[method-assign]


def test_what_does_not_fit_is_not_chosen(learn: MakeLearner, monkeypatch: pytest.MonkeyPatch) -> None:
    given = learn(count=60)
    monkeypatch.setattr(warm, "CANDIDATE_MICRO_TOKENS", (16, 32, 64))
    forbid(given.network, 20)
    assert warm.measure_micro_tokens(given.network, given.training, given.loss, 32, CPU) == 16
    forbid(given.network, 0)
    with pytest.raises(TrainingError, match="smallest micro-batch"):
        warm.measure_micro_tokens(given.network, given.training, given.loss, 32, CPU)
