"""The training loop: exact, resumable, and every option does what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

import small
from tunesmith.errors import Interrupted, TrainingError
from tunesmith.train import loop, state
from tunesmith.train.job import Job

MakeJob = Callable[..., Job]
STILL = {"model.dropout": 0.0, "model.hidden_dropout": 0.0}
"""No dropout: what remains does not depend on how a step is cut."""
OUT_OF_MEMORY = [
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    MemoryError(),
]


def weights(job: Job) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in job.network.named_parameters()}


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def apart(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def losses(job: Job) -> list[float]:
    return [entry["loss"] for entry in small.log_of(job.folder, "step")]


def trained(job: Job, *, resume: bool = False) -> tuple[dict[str, Tensor], list[float]]:
    loop.fit(job, resume=resume)
    return weights(job), losses(job)


def notes(job: Job) -> str:
    return "\n".join(entry["message"] for entry in small.log_of(job.folder, "note"))


def scripted(*scores: float, then: float = 0.0) -> Callable[[], dict[str, float]]:
    """An evaluation that gives these scores, one after the other."""
    left = list(scores)
    return lambda: {"f1_macro": left.pop(0) if left else then}


# exactness


@pytest.mark.parametrize(
    "options",
    [{}, {"adapter.name": "lora"}, {"train.mixout": 0.3, "train.r_drop": 0.5, "train.gradient_noise": 0.1}],
    ids=["full", "lora", "noisy"],
)
def test_same_config_twice_is_the_same_to_the_bit(job: MakeJob, options: dict[str, Any]) -> None:
    first = trained(job(out="first", **options))
    torch.manual_seed(12345)
    second = trained(job(out="second", **options))
    assert first[1] == second[1]
    assert same(first[0], second[0])


def test_another_seed_is_another_run(job: MakeJob) -> None:
    assert losses(fitted(job(out="first"))) != losses(fitted(job(out="second", **{"train.seed": 1})))


def fitted(job: Job) -> Job:
    loop.fit(job)
    return job


def test_it_learns(job: MakeJob) -> None:
    found = losses(fitted(job()))
    assert np.mean(found[-4:]) < 0.5 * np.mean(found[:4])


@pytest.mark.parametrize(
    "options", [{}, {"train.batch_tokens": 150}, {"adapter.name": "freeze", "adapter.train_layers": 1}]
)
def test_micro_batches_change_nothing_but_rounding(job: MakeJob, options: dict[str, Any]) -> None:
    calm = {**STILL, "train.learning_rate": 1e-4, "train.warm_start": False}
    whole, cut = (job(out=f"{size}", **{**calm, **options, "train.micro_tokens": size}) for size in (4096, 40))
    passes = {id(item): count_passes(item) for item in (whole, cut)}
    one, other = trained(whole), trained(cut)
    assert passes[id(cut)][0] > 2 * passes[id(whole)][0]
    assert one[1] == pytest.approx(other[1], abs=1e-5)
    assert apart(one[0], other[0]) < 5e-4


def count_passes(job: Job) -> list[int]:
    """Counts forward passes with gradient."""
    counter = [0]

    def count(module: nn.Module, *_: Any) -> None:
        counter[0] += module.training

    job.network.register_forward_pre_hook(count)
    return counter


class Killed(BaseException):
    pass


def killed_in_evaluation(job: Job, number: int) -> None:
    """Train until the evaluation of this number, which never returns."""
    seen = [0]

    def evaluate() -> dict[str, float]:
        seen[0] += 1
        if seen[0] > number:
            raise Killed
        return job.evaluate()

    with pytest.raises(Killed):
        loop.fit(replace(job, evaluate=evaluate))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"train.optimizer": "muon", "train.ema": 0.9},
        {"train.soup": 2},
        {"train.optimizer": "adafactor", "train.schedule": "plateau", "train.patience": 1},
        {"adapter.name": "lora", "train.mixout": 0.2},
        {"adapter.name": "freeze", "adapter.train_layers": 1, "train.batch_tokens": 200},
        {"adapter.name": "head"},
    ],
    ids=["adamw", "muon", "soup", "adafactor", "lora", "freeze", "head"],
)
def test_resumed_is_the_same_to_the_bit(job: MakeJob, options: dict[str, Any]) -> None:
    options = {
        "train.evaluate_every": "5 steps",
        "train.checkpoint_every": 0.001,
        "train.gradient_noise": 0.01,
        **options,
    }
    expected = trained(job(out="whole", **options))
    killed_in_evaluation(job(out="killed", **options), 3)
    again = job(out="killed", **options)
    assert loop.has_started(again.folder)
    found = trained(again, resume=True)
    assert found[1] == expected[1]
    assert same(found[0], expected[0])
    whole = list(small.log_of(again.folder.parent / "whole", "evaluation"))
    assert list(small.log_of(again.folder, "evaluation")) == whole


@pytest.mark.parametrize(
    ("kind", "r_drop"), [("tagged", 0.5), ("chain", 0.0), ("marked", 0.5), ("triples", 0.5), ("questions", 0.5)]
)
def test_other_tasks_are_learned_as_exactly(job: MakeJob, kind: str, r_drop: float) -> None:
    quick = {"train.evaluate_every": "5 steps", "train.checkpoint_every": 0.001, "train.r_drop": r_drop}
    expected = trained(job(kind, out="whole", **quick))
    killed_in_evaluation(job(kind, out="killed", **quick), 2)
    found = trained(job(kind, out="killed", **quick), resume=True)
    assert found[1] == expected[1]
    assert same(found[0], expected[0])
    calm = {**STILL, "train.learning_rate": 1e-4, "train.warm_start": False, "train.r_drop": r_drop}
    one, other = (trained(job(kind, out=f"{size}", **{**calm, "train.micro_tokens": size})) for size in (4096, 60))
    assert one[1] == pytest.approx(other[1], abs=1e-5)


def test_killed_before_the_first_checkpoint_it_begins_again(job: MakeJob) -> None:
    expected = trained(job(out="whole"))
    killed_in_evaluation(job(out="killed"), 0)
    again = job(out="killed")
    assert not loop.has_started(again.folder)
    found = trained(again, resume=True)
    assert same(found[0], expected[0])
    assert found[1] == expected[1]
    assert len(list(small.log_of(again.folder, "evaluation"))) == 4


def test_ctrl_c_ends_after_the_step_with_a_checkpoint(job: MakeJob) -> None:
    import signal

    given = job(**{"train.checkpoint_every": "1h"})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where it is ignored

    def interrupt(module: nn.Module, *_: Any) -> None:
        if module.training and len(losses(given)) == 4:
            signal.raise_signal(signal.SIGINT)

    given.network.register_forward_pre_hook(interrupt)
    with pytest.raises(Interrupted, match="tunesmith resume"):
        loop.fit(given)
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    assert [folder.name for folder in state.steps(given.folder)] == ["step-00000000", "step-00000005"]


# what goes wrong


def poisoned(job: Job, times: int, value: float = math.nan, after: int = 6) -> Job:
    """A job whose loss is not a number in the pass of this number and the ones that follow."""
    passes = [0]

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        passes[0] += 1
        bad = after < passes[0] <= after + times
        return job.loss(outputs, targets) * (value if bad else 1.0)

    return replace(job, loss=loss)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_rolls_back(job: MakeJob, value: float) -> None:
    given = job(**{"train.schedule": "constant", "train.warmup": 0.0, "train.evaluate_every": "3 steps"})
    clean = trained(job(out="clean", **{"train.schedule": "constant", "train.warmup": 0.0}))
    course = loop.fit(poisoned(given, 1, value))
    assert course.rollbacks == 1
    assert "step 7: back to step 0 with half the learning rate" in notes(given)
    rates = [entry["learning_rate"] for entry in small.log_of(given.folder, "step")]
    clean_rates = [entry["learning_rate"] for entry in small.log_of(given.folder.parent / "clean", "step")]
    assert rates == pytest.approx([rate / 2 for rate in clean_rates])
    assert [entry["step"] for entry in small.log_of(given.folder, "step")] == list(range(1, course.step + 1))
    assert all(map(math.isfinite, losses(given)))
    assert all(weight.isfinite().all() for weight in weights(given).values())
    assert len(losses(given)) == len(clean[1])


def test_a_gradient_that_is_not_finite_rolls_back(job: MakeJob) -> None:
    given, passes = job(), [0]

    class Break(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, value: Tensor) -> Tensor:
            return value.clone()

        @staticmethod
        def backward(_: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
            return gradient * math.inf

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        passes[0] += 1
        return given.loss(Break.apply(outputs) if passes[0] == 4 else outputs, targets)

    assert loop.fit(replace(given, loss=loss)).rollbacks == 1
    assert all(weight.isfinite().all() for weight in weights(given).values())


def test_a_loss_that_stays_broken_ends_with_one_clear_error(job: MakeJob) -> None:
    given = job(**{"train.checkpoint_every": 0.001})
    with pytest.raises(TrainingError, match=r"the loss was nan .* in step 7, after 3 returns") as error:
        loop.fit(poisoned(given, 10_000))
    assert "train.learning_rate" in str(error.value)
    assert notes(given).count("back to step") == 3
    assert state.steps(given.folder)


def test_a_huge_learning_rate_ends_with_one_clear_error(job: MakeJob) -> None:
    more = {"train.optimizer": "sgd", "train.learning_rate": 10.0, "train.weight_decay": 1000.0, "train.warmup": 0.0}
    with pytest.raises(TrainingError, match="learning_rate"):
        loop.fit(job(**more, **{"train.schedule": "constant", "train.evaluate_every": "1 steps"}))


def test_weights_that_are_not_finite_are_no_checkpoint(job: MakeJob) -> None:
    given, stepped = job(**{"train.checkpoint_every": 0.001, "train.evaluate_every": "100 steps"}), [0]

    def step_too_far(*_: Any) -> None:
        stepped[0] += 1
        if stepped[0] == 20:
            with torch.no_grad():
                given.network.head.linear.weight.fill_(math.inf)

    hook = register_optimizer_step_post_hook(step_too_far)
    try:
        course = loop.fit(given)
    finally:
        hook.remove()
    assert course.rollbacks == 1
    assert "weights were not finite after step 20: back to step 19" in notes(given)
    assert all(weight.isfinite().all() for weight in weights(given).values())


def test_outputs_that_are_not_finite_before_training(job: MakeJob) -> None:
    given = job()
    with torch.no_grad():
        given.network.head.linear.bias.fill_(math.inf)
    with pytest.raises(TrainingError, match="not finite"):
        loop.fit(given)


def small_memory(job: Job, most_tokens: int, error: BaseException) -> Job:
    """A job on a machine where a training pass of more padded tokens than this runs out of memory."""
    whole = job.network.forward

    def forward(inputs: Mapping[str, Tensor]) -> Tensor:
        outputs = whole(inputs)
        if job.network.training and inputs["input_ids"].numel() > most_tokens:
            raise error
        return outputs

    job.network.forward = forward  # type: ignore[method-assign]
    return job


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_cuts_the_step_smaller(job: MakeJob, error: BaseException) -> None:
    small_from_the_start = trained(job(out="small", **{"train.micro_tokens": 128}))
    given = small_memory(job(out="cut", **{"train.micro_tokens": 1024}), 128, error)
    found = trained(given)
    assert "micro-batches are cut to 128 tokens" in notes(given)
    assert found[1] == small_from_the_start[1]
    assert same(found[0], small_from_the_start[0])


def test_out_of_memory_on_the_smallest_piece_is_an_error(job: MakeJob) -> None:
    with pytest.raises(TrainingError, match="out of memory with micro-batches of 64 tokens"):
        loop.fit(small_memory(job(**{"train.micro_tokens": 128}), 0, OUT_OF_MEMORY[0]))


def test_other_errors_pass_through(job: MakeJob) -> None:
    with pytest.raises(RuntimeError, match="no memory problem"):
        loop.fit(small_memory(job(), 0, RuntimeError("no memory problem")))


# evaluation and limits


def test_best_weights_come_back(job: MakeJob) -> None:
    given, seen, scores = job(**{"train.evaluate_every": "5 steps"}), [], scripted(0.1, 0.3, 0.9, 0.9, 0.5)

    def evaluate() -> dict[str, float]:
        seen.append(weights(given))
        return scores()

    course = loop.fit(replace(given, evaluate=evaluate))
    assert (course.best_step, course.best_score) == (10, 0.9)
    assert same(weights(given), seen[2])
    assert not same(seen[2], seen[3])
    assert [entry["best"] for entry in small.log_of(given.folder, "evaluation")][:5] == [True, True, True, False, False]


def test_as_long_as_nothing_is_right_later_weights_are_better(job: MakeJob) -> None:
    given = job(**{"train.evaluate_every": "5 steps", "train.early_stopping": 2})
    course = loop.fit(replace(given, evaluate=scripted(0.0, 0.0, 0.0, 0.4)))
    assert (course.step, course.best_step, course.best_score) == (10, 10, 0.0)
    found = loop.fit(replace(job(out="more", **{"train.evaluate_every": "5 steps"}), evaluate=scripted(0.0, 0.0, 0.4)))
    assert (found.best_step, found.best_score) == (10, 0.4)


def test_an_error_is_better_when_it_is_smaller(job: MakeJob) -> None:
    given = job("regression", **{"train.evaluate_every": "5 steps", "train.metric": "rmse"})
    scores = iter([3.0, 1.0, 2.0])
    course = loop.fit(replace(given, evaluate=lambda: {"rmse": next(scores, 2.5)}))
    assert course.best_step == 5


def test_early_stopping_counts_evaluations_without_a_better_score(job: MakeJob) -> None:
    given = job(**{"train.evaluate_every": "2 steps", "train.early_stopping": 2, "train.early_stopping_delta": 0.05})
    course = loop.fit(replace(given, evaluate=scripted(0.5, 0.6, 0.61, 0.7, 0.71, 0.72, 0.99)))
    assert (course.step, course.best_step, course.best_score) == (10, 6, 0.7)


def test_the_plateau_halves_the_rate(job: MakeJob) -> None:
    more = {"train.schedule": "plateau", "train.patience": 2, "train.warmup": 0.0, "train.evaluate_every": "2 steps"}
    given = job(**more)
    loop.fit(replace(given, evaluate=scripted(0.5, then=0.4)))
    rates = [entry["learning_rate"] for entry in small.log_of(given.folder, "step")]
    peak = given.train.head_learning_rate
    assert peak
    assert [rate / peak for rate in rates[:12]] == pytest.approx([1] * 4 + [0.5] * 4 + [0.25] * 4)


def test_steps_evaluations_and_epochs_are_counted(job: MakeJob) -> None:
    given = job(**{"train.epochs": 1.5, "train.evaluate_every": "0.5 epochs"})
    course = loop.fit(given)
    per_epoch = -(-len(given.examples) // given.train.batch_size)
    assert course.step == math.ceil(1.5 * per_epoch)
    at = [entry["step"] for entry in small.log_of(given.folder, "evaluation")]
    assert at == [0, round(0.5 * per_epoch), 2 * round(0.5 * per_epoch), course.step]
    assert course.tokens >= int(given.examples.lengths.sum())


def test_max_steps(job: MakeJob) -> None:
    assert loop.fit(job(**{"train.max_steps": 7})).step == 7


def test_every_row_is_seen_once_an_epoch(job: MakeJob) -> None:
    given, seen = job(**{"train.epochs": 2, "train.warm_start": False}), []
    collate = given.examples.collate
    validating = [False]

    def watch(indices: np.ndarray) -> dict[str, Tensor]:
        seen.append(indices)
        return collate(indices)

    given.examples.collate = watch  # type: ignore[method-assign]
    loop.fit(given)
    visits = np.bincount(np.concatenate(seen))
    assert not validating[0]
    assert (visits == 2).all()


# each option does something, and what it says


@pytest.mark.parametrize(
    "options",
    [
        {"train.mixout": 0.3},
        {"train.r_drop": 1.0},
        {"train.l1": 0.01},
        {"train.gradient_noise": 0.5},
        {"train.gradient_clip": 0.01},
        {"train.label_smoothing": 0.2},
        {"train.weight_decay": 5.0},
        {"train.layer_decay": 0.1},
        {"train.warmup": 0.5},
        {"train.beta1": 0.1},
        {"train.beta2": 0.5},
        {"train.epsilon": 1e-2},
        {"train.optimizer": "sgd"},
        {"train.schedule": "cosine"},
        {"train.head_learning_rate": 1e-6},
        {"train.freeze_embeddings": False},
        {"train.batch_size": 7},
        {"train.batch_tokens": 100},
        {"train.warm_start": False},
        {"train.warm_start_rows": 20},
        {"model.dropout": 0.5},
        {"model.hidden_dropout": 0.5},
        {"model.attention_dropout": 0.5},
        {"model.pooling": "max"},
        {"task.loss": "focal"},
        {"task.class_weights": {"positive": 5.0, "negative": 1.0}},
        {"task.resample": "balanced"},
    ],
    ids=lambda options: "-".join(options),
)
def test_no_option_is_ignored(job: MakeJob, options: dict[str, Any]) -> None:
    few = {"train.max_steps": 4, "train.evaluate_every": "100 steps"}
    assert losses(fitted(job(out="plain", **few))) != losses(fitted(job(out="changed", **few, **options)))


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_mixout_reaches_every_family(job: MakeJob, family: str) -> None:
    few = {"train.max_steps": 3, "train.evaluate_every": "100 steps", **STILL}
    plain = losses(fitted(job(family=family, out="plain", **few)))
    mixed = losses(fitted(job(family=family, out="mixed", **few, **{"train.mixout": 0.5})))
    assert plain[1:] != mixed[1:]


def test_the_average_is_evaluated_beside_the_weights_and_kept_where_it_is_better(job: MakeJob) -> None:
    decay = 0.8
    given = job(**STILL, **{"train.ema": decay, "train.evaluate_every": "1 steps", "train.max_steps": 3})
    plain = job(out="plain", **STILL, **{"train.evaluate_every": "1 steps", "train.max_steps": 3})
    path: list[dict[str, Tensor]] = []
    seen: list[dict[str, Tensor]] = []
    loop.fit(replace(plain, evaluate=lambda: path.append(weights(plain)) or {"f1_macro": 0.5}))
    rising = scripted(0.1, 0.2, 0.1, 0.3, 0.2, 0.3, 0.4)
    loop.fit(replace(given, evaluate=lambda: seen.append(weights(given)) or rising()))
    assert same(seen[1], path[1])
    expected = path[0]
    for now in path[1:]:
        expected = {name: decay * expected[name] + (1 - decay) * now[name] for name in now}
    assert apart(seen[-1], expected) < 1e-5
    assert same(weights(given), seen[-1])
    assert losses(given) == losses(plain)
    told = [(entry["scores"]["f1_macro"], entry.get("averaged")) for entry in small.log_of(given.folder, "evaluation")]
    assert told == [(0.1, None), (0.2, None), (0.3, None), (0.4, True)]


def test_an_average_that_scores_worse_is_not_kept(job: MakeJob) -> None:
    given = job(**{"train.ema": 0.8, "train.evaluate_every": "1 steps", "train.max_steps": 1})
    seen: list[dict[str, Tensor]] = []
    falling = scripted(0.1, 0.9, 0.2)
    loop.fit(replace(given, evaluate=lambda: seen.append(weights(given)) or falling()))
    assert same(weights(given), seen[1])
    assert not same(seen[1], seen[2])


# soups

SOUP: dict[str, Any] = {"train.soup": 2, "train.evaluate_every": "1 steps", "train.max_steps": 3}


def test_a_soup_of_the_best_weights_is_kept_where_it_scores_better(job: MakeJob) -> None:
    given = job(**SOUP)
    seen: list[dict[str, Tensor]] = []
    scores = scripted(0.1, 0.2, 0.4, 0.3, 0.5)
    course = loop.fit(replace(given, evaluate=lambda: seen.append(weights(given)) or scores()))
    names = {name for name, weight in given.network.named_parameters() if weight.requires_grad}
    mean = {name: (seen[2][name] + seen[3][name]) / 2 if name in names else seen[2][name] for name in seen[2]}
    assert apart(weights(given), mean) < 1e-6
    assert course.scores == {"f1_macro": 0.5}
    assert "of the 2 best weights, the mean of those of steps 2, 3 is kept: validation f1_macro 0.5" in notes(given)


def test_a_soup_that_scores_no_better_is_not_kept(job: MakeJob) -> None:
    given = job(**SOUP)
    seen: list[dict[str, Tensor]] = []
    scores = scripted(0.1, 0.2, 0.4, 0.3, 0.4)
    loop.fit(replace(given, evaluate=lambda: seen.append(weights(given)) or scores()))
    assert same(weights(given), seen[2])
    assert "no mean of the 2 best weights" in notes(given)


def test_only_the_best_weights_are_on_disk(job: MakeJob) -> None:
    given = job(**SOUP)
    scores = scripted(0.1, 0.4, 0.2, 0.3, 0.0)
    course = loop.fit(replace(given, evaluate=scores))
    assert course.kept == {1: 0.4, 3: 0.3}
    assert {path.name for path in (given.folder / "soup").iterdir()} == {"step-00000001", "step-00000003"}


def test_lower_layers_learn_less(job: MakeJob) -> None:
    few = {"train.max_steps": 1, "train.evaluate_every": "100 steps", "train.warmup": 0.0, "train.schedule": "constant"}
    given = job(
        **few, **STILL, **{"train.layer_decay": 0.1, "train.weight_decay": 0.0, "train.freeze_embeddings": False}
    )
    before = weights(given)
    loop.fit(replace(given, evaluate=scripted(0.1, 0.2)))
    moved = {name: float((weight - before[name]).abs().max()) for name, weight in weights(given).items()}
    top, below = (moved[f"backbone.model.encoder.layer.{n}.output.dense.weight"] for n in (1, 0))
    table = moved["backbone.model.embeddings.word_embeddings.weight"]
    rate = given.train.learning_rate
    assert rate
    assert (top, below, table) == pytest.approx((rate, rate / 10, rate / 100), rel=1e-2)


def test_gradient_checkpointing_gives_the_same(job: MakeJob) -> None:
    few = {"train.max_steps": 5}
    plain = trained(job(out="plain", **few))
    given = job(out="saving", **few, **{"train.gradient_checkpointing": True})
    runs = [0]
    given.network.backbone.layers[0].intermediate.register_forward_pre_hook(lambda *_: runs.__setitem__(0, runs[0] + 1))
    found = trained(given)
    assert runs[0] > 2 * 5
    assert found[1] == pytest.approx(plain[1], abs=1e-6)
    assert apart(found[0], plain[0]) < 1e-5


def test_frozen_embeddings_stay(job: MakeJob) -> None:
    given = job(**{"train.freeze_embeddings": True, "train.max_steps": 3})
    before = weights(given)
    loop.fit(replace(given, evaluate=scripted(0.1, 0.2)))
    table = "backbone.model.embeddings.word_embeddings.weight"
    assert torch.equal(weights(given)[table], before[table])
    assert not same(weights(given), before)


@pytest.mark.parametrize(("options", "formula"), [
    ({}, lambda p, o: -torch.log(p)),
    ({"train.label_smoothing": 0.2}, lambda p, o: -0.9 * torch.log(p) - 0.1 * torch.log(o)),
    ({"task.loss": "focal", "task.focal_gamma": 2.0}, lambda p, o: -((1 - p) ** 2) * torch.log(p)),
])  # fmt: skip
def test_the_first_loss_is_that_of_the_formula(
    job: MakeJob, options: dict[str, Any], formula: Callable[[Tensor, Tensor], Tensor]
) -> None:
    given, seen = job(**STILL, **options, **{"train.max_steps": 1}), []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append((outputs.detach().double().softmax(1), targets))
        return given.loss(outputs, targets)

    loop.fit(replace(given, loss=loss))
    (chances, targets) = seen[0]
    p, other = chances.gather(1, targets[:, None])[:, 0], chances.gather(1, 1 - targets[:, None])[:, 0]
    assert losses(given)[0] == pytest.approx(float(formula(p, other).mean()), rel=1e-5)


def test_class_weights_scale_the_rows_of_their_label(job: MakeJob) -> None:
    given = job(**{"task.class_weights": {"positive": 5.0, "negative": 1.0}})
    outputs, targets = torch.zeros(2, 2), torch.tensor([0, 1])  # negative, positive
    assert given.loss(outputs, targets).tolist() == pytest.approx([math.log(2), 5 * math.log(2)])


def test_resampling_visits_labels_equally_often(job: MakeJob, tmp_path: Path) -> None:
    rows = [row for row in small.rows("binary", 200) if row["label"] == "positive"][:60]
    rows += [row for row in small.rows("binary", 200) if row["label"] == "negative"][:15]
    file = tmp_path / "uneven.csv"
    file.write_text("text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in rows))
    given = job(**{"data.train": str(file), "task.resample": "balanced"})
    assert given.examples.targets is not None
    counts = np.bincount(given.examples.targets[given.visits(0)])
    assert counts.min() / counts.sum() > 0.35  # of the rows it is 0.2
    assert not np.array_equal(given.visits(0), given.visits(1))
