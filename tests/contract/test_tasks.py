"""What every task keeps to, on every kind of rows and family of base models: its parts fit together, from a user's row to
what a caller sees."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import torch

import small
import tiny
from tunesmith import config as configs
from tunesmith import metrics, params, plugins
from tunesmith.data.prepare import prepare
from tunesmith.embedding_heads import StepLoss
from tunesmith.errors import UsageError
from tunesmith.metrics import Predictions
from tunesmith.tasks.base import RowError, Scored, Target
from tunesmith.train import learner
from tunesmith.train.journal import Journal
from tunesmith.train.learner import Learner

Make = Callable[..., Learner]
TASKS = plugins.names("tasks")
KINDS = [kind for kinds in small.TASKS.values() for kind in kinds]
FAMILIES = get_args(tiny.Family)

every_kind = pytest.mark.parametrize("kind", KINDS)
every_family = pytest.mark.parametrize("family", FAMILIES)
every_task = pytest.mark.parametrize("name", TASKS)


@pytest.fixture(scope="module")
def learned(parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Gives a learner of a kind of rows, about to train."""

    @functools.cache
    def of(kind: str, family: tiny.Family = "bert", adapter: str = "full") -> Learner:
        own = {"adapter": adapter, "train.warm_start": False, "model.dropout": 0.0, "model.hidden_dropout": 0.0}
        chosen = configs.resolve(keywords=parameters(kind, family, 80, **own), environment={})
        folder = tmp_path_factory.mktemp("task")
        splits = prepare(chosen, plugins.load("tasks", chosen.task_name)(chosen.task), folder / "data")
        splits.stop_on_errors()
        return learner.build(chosen, splits, folder, Journal(folder / "log.jsonl", quiet=True))

    return of


def read(made: Learner, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([made.task.read_row(row) for row in rows], schema=made.task.schema())


def request_of(made: Learner, **given: Any) -> Any:
    return plugins.module("tasks", made.config.task_name).Request(**given)


def predicted(made: Learner) -> Predictions:
    return made.task.predictions(made.validate(), made.target)


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
    given = {name: value for name, value in small.rows(kind, 1)[0].items() if name in made.task.inputs}
    assert given
    row = made.task.read_input(given)
    made.task.check_input(row, made.splits.columns)
    assert pa.Table.from_pylist([row], schema=made.task.schema()).num_rows == 1
    misspelt = next(iter(given))[::-1]
    with pytest.raises(RowError) as caught:
        made.task.read_input({**given, misspelt: "a"})
    assert caught.value.column == misspelt


@every_family
@every_kind
def test_the_network_learns_by_the_loss(learned: Make, kind: str, family: tiny.Family) -> None:
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
def test_scores_become_predictions(learned: Make, kind: str) -> None:
    made = learned(kind)
    scored = made.validate()
    assert isinstance(scored, Scored)
    assert len(scored.scores) == len(scored.rows)
    predictions = made.task.predictions(scored, made.target)
    assert predictions.kind == made.target.kind
    assert len(predictions) == len(scored.rows)
    assert all(predictions.texts)
    assert made.task.metric(made.target) in metrics.score(predictions)
    assert made.task.tune(scored, made.target).labels == made.target.labels
    assert made.task.drift([score.tolist() for score in scored.scores], scored.scores, made.target) == 0


@every_kind
def test_answers_are_plain_values(learned: Make, kind: str) -> None:
    made = learned(kind)
    scored = made.validate()
    answers = made.task.answers(scored, made.target, request_of(made))
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
