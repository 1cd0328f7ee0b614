"""What every task keeps to, on every kind of rows and family of base models: its parts fit together, from a user's row to
what a caller sees."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

import small
import tiny
import tiny_generators
from tunesmith import config as configs
from tunesmith import metrics, params, plugins
from tunesmith.data.prepare import prepare
from tunesmith.errors import SourceError, UsageError
from tunesmith.heads.embeddings import StepLoss
from tunesmith.tasks.base import RowError, Scored, Target
from tunesmith.train import learner
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Learner

Make = Callable[..., Learner]
TASKS = plugins.names("tasks")
KINDS = [kind for kinds in small.TASKS.values() for kind in kinds]
FAMILIES = (*get_args(tiny.Family), *tiny_generators.ONLY_HERE)
WRITERS: tuple[tiny_generators.Kind, ...] = ("gpt2", "llama", "t5", "bart", "marian")

every_kind = pytest.mark.parametrize("kind", KINDS)
every_family = pytest.mark.parametrize(
    ("kind", "family"),
    [(kind, family) for kind in KINDS for family in (WRITERS if kind in small.WRITTEN else FAMILIES)],
)
every_task = pytest.mark.parametrize("name", TASKS)


@pytest.fixture(scope="module")
def learned(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Gives a learner of a kind of rows, about to train."""

    @functools.cache
    def of(kind: str, family: Any = None, adapter: str = "full") -> Learner:
        still = {} if kind in small.WRITTEN and family in (None, "llama") else {"model.hidden_dropout": 0.0}
        own = {"adapter": adapter, "train.warm_start": False, "model.dropout": 0.0, **still}
        own |= {"model.max_length": 128, "request.max_tokens": 8} if kind in small.WRITTEN else {}
        chosen = configs.resolve(keywords=parameters(kind, family, 80, **own), environment={})
        folder = tmp_path_factory.mktemp("task")
        splits = prepare(chosen, plugins.load("tasks", chosen.task_name)(chosen.task), folder / "data")
        splits.stop_on_errors()
        return learner.build(chosen, splits, folder, Journal(folder / "log.jsonl", quiet=True))

    return of


def read(made: Learner, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([made.task.read_row(row) for row in rows], schema=made.task.schema())


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("kind", small.WRITTEN)
def test_an_encoder_cannot_write(
    kind: str, family: Any, parameters: Callable[..., dict[str, Any]], model: Callable[..., Path], tmp_path: Path
) -> None:
    given = {**parameters(kind, None, 40), "model.base": str(model(family))}
    chosen = configs.resolve(keywords=given, environment={})
    splits = prepare(chosen, plugins.load("tasks", chosen.task_name)(chosen.task), tmp_path / "data")
    with pytest.raises(SourceError, match="cannot write"):
        learner.build(chosen, splits, tmp_path, Journal(tmp_path / "log.jsonl", quiet=True))


def test_every_task_has_rows() -> None:
    assert set(small.TASKS) == set(TASKS)


@every_kind
def test_rows_become_examples(learned: Make, kind: str) -> None:
    made = learned(kind)
    rows = made.splits.tables["train"]
    assert made.training.row_count == len(rows)
    assert made.training.rows.tolist() == sorted(made.training.rows.tolist())
    assert Target.from_json(json.loads(json.dumps(made.target.to_json()))) == made.target
    assert len(made.task.strata(rows)) == len(rows)
    assert sorted(made.task.resample(made.training, made.target, seed=0)) == list(range(len(rows)))
    assert not [finding for finding in made.findings if finding.severity == "error"]


@every_kind
def test_inputs_are_rows_without_truth(learned: Make, kind: str) -> None:
    made = learned(kind)
    canonical = made.task.read_row(small.rows(kind, 1)[0], label_separator=made.config.data.label_separator)
    given = {name: canonical[name] for name in made.task.inputs if canonical[name] is not None}
    assert given
    row = made.task.read_input(given)
    made.task.check_input(row, made.splits.columns)
    assert pa.Table.from_pylist([row], schema=made.task.schema()).num_rows == 1
    misspelt = next(iter(given))[::-1]
    with pytest.raises(RowError) as caught:
        made.task.read_input({**given, misspelt: "a"})
    assert caught.value.column == misspelt


@every_family
def test_the_network_learns_by_the_loss(learned: Make, kind: str, family: str) -> None:
    made = learned(kind, family)
    network, rows = made.network, np.arange(min(24, len(made.training)))
    inputs, targets = made.training.collate(rows), made.training.targets_of(rows)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    network.eval()
    means = []
    for _ in range(12):
        losses = made.loss(network(inputs), targets)
        assert losses.shape == (len(rows),)
        assert losses.isfinite().all()
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        means.append(float(losses.detach().mean()))
    assert means[-1] < means[0]
    some = rows[5:9]
    with torch.no_grad():
        whole, alone = network(inputs), network(made.training.collate(some))
        if not isinstance(made.loss, StepLoss):  # which compares rows
            whole, alone = made.loss(whole, targets), made.loss(alone, made.training.targets_of(some))
    torch.testing.assert_close(alone, whole[5:9], atol=1e-4, rtol=1e-4)


@every_kind
def test_scores_become_predictions(learned: Make, kind: str, tmp_path: Path) -> None:
    made, rows = learned(kind), learned(kind).splits.tables["validation"]
    scored = made.scored(made.validate(), made.target)
    assert isinstance(scored, Scored)
    assert len(scored.scores) == len(scored.rows)
    assert made.task.tune(scored, made.target).labels == made.target.labels
    assert made.task.metric(made.target) in made.scores()
    predictions = made.task.judge(made.reader(made.target), rows, made.request, tmp_path)
    assert predictions.kind == made.target.kind
    assert len(predictions) == len(rows)
    assert all(predictions.texts)
    assert metrics.headline(predictions.kind) in metrics.score(predictions)


@every_kind
def test_golden_answers_stay_as_they_are(learned: Make, kind: str, tmp_path: Path) -> None:
    made, rows = learned(kind), learned(kind).splits.tables["validation"].slice(0, 4)
    first, again = (
        made.task.golden(made.reader(made.target), rows, made.request, tmp_path / name) for name in ("first", "again")
    )
    assert len(first) == len(rows)
    assert made.task.drift(json.loads(json.dumps(first)), again, made.target) == pytest.approx(0, abs=1e-6)


@every_kind
def test_answers_are_plain_values(learned: Make, kind: str, tmp_path: Path) -> None:
    made, rows = learned(kind), learned(kind).splits.tables["validation"].slice(0, 4)
    scored = made.task.read(made.reader(made.target), rows, made.request, tmp_path)
    answers = made.task.answers(scored, made.target, made.request)
    assert len(answers) == len(scored.rows)
    said = json.dumps(answers, allow_nan=False)
    assert json.loads(said) == answers
    assert "LABEL_" not in said


@every_task
def test_requests_refuse_unknown_names(name: str) -> None:
    request = plugins.module("tasks", name).Request
    first = next(iter(request.model_fields))
    misspelt = first[0] + first[2] + first[1] + first[3:]
    with pytest.raises(UsageError, match=f"did you mean '{first}'"):
        params.check(request, {misspelt: 1}, {})


def mistakes(request: type[params.Params], values: dict[str, Any]) -> int:
    try:
        request.model_validate(values)
    except ValidationError as error:
        return error.error_count()
    return 0


@every_task
def test_many_illegal_items_cost_a_request_no_more_than_one(name: str) -> None:
    """A megabyte of them would hold a server up, since each mistake is told by an object of its own."""
    request, count = plugins.module("tasks", name).Request, 1000
    items: list[Any] = [[object()] * count, [-1.5] * count, {f"-{n}": object() for n in range(count)}]
    for field in request.model_fields:
        for wrong in items:
            assert mistakes(request, {field: wrong}) < 10, field


@every_kind
def test_choices_left_open_are_made(learned: Make, kind: str) -> None:
    """What a task chooses for the config is legal there, and nothing is left on auto."""
    made = learned(kind)
    paired = "text_pair" in made.splits.columns
    task: Any = plugins.load("tasks", made.config.task_name)
    options: Any = task(plugins.module("tasks", made.config.task_name).Params()).options
    for encoder in (False, True):
        chosen = made.task.choose(made.target, paired=paired, sentence_encoder=encoder)
        assert "auto" not in dict(options.but(**chosen)).values()


@every_kind
def test_a_row_that_lacks_an_input_is_refused(learned: Make, kind: str) -> None:
    made = learned(kind)
    row = small.rows(kind, 1)[0]
    needed = next(roles for roles in made.task.required if set(roles) <= row.keys())
    for name in set(needed) & set(made.task.inputs):
        with pytest.raises(RowError) as caught:
            made.task.read_row({**row, name: None}, label_separator=made.config.data.label_separator)
        assert caught.value.column == name
        assert str(caught.value)


NO_R_DROP = ("chain", "alike", "positive-pairs", *small.WRITTEN)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in NO_R_DROP])
def test_two_outputs_of_a_row_are_apart(learned: Make, kind: str) -> None:
    made = learned(kind)
    divergence = made.task.divergence(made.target)
    rows = np.arange(min(8, len(made.training)))
    made.network.train()
    outputs, targets = made.network(made.training.collate(rows)), made.training.targets_of(rows)
    apart = divergence(outputs, outputs + torch.randn_like(outputs), targets)
    assert apart.shape == (len(rows),)
    assert (apart > 0).all()
    assert not isinstance(made.loss, StepLoss)


@pytest.mark.parametrize("kind", NO_R_DROP)
def test_r_drop_is_refused_before_a_base_model_is_loaded(
    kind: str, parameters: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    given = {**parameters(kind, None, 40), "train.r_drop": 0.5, "model.base": str(tmp_path / "nowhere")}
    chosen = configs.resolve(keywords=given, environment={})
    splits = prepare(chosen, plugins.load("tasks", chosen.task_name)(chosen.task), tmp_path / "data")
    with pytest.raises(UsageError, match=r"train\.r_drop: .* has no R-Drop"):
        learner.build(chosen, splits, tmp_path, Journal(tmp_path / "log.jsonl", quiet=True))
