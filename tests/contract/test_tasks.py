"""What every task keeps to: its parts fit together, from a user's row to what a caller sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import small
from tunesmith import metrics, params, plugins
from tunesmith.config import Config
from tunesmith.errors import UsageError
from tunesmith.tasks.base import RowError, Target, Task

ROWS, WIDTH, TOKENS = 24, 8, 5
CASES = {"text-classification": small.KINDS}
"""Kinds of rows (see ``small``) that each task is tried on."""

every_kind = pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, kinds in CASES.items() for kind in kinds]
)


@dataclass(frozen=True)
class Learned:
    """A task that has seen the rows."""

    task: Task
    rows: pa.Table
    target: Target
    targets: np.ndarray


@pytest.fixture
def learned(config: Callable[..., Config]) -> Callable[[str, str], Learned]:
    def of(name: str, kind: str) -> Learned:
        chosen = config(kind, task=name)
        task: Task = plugins.load("tasks", name)(chosen.task)
        separator = chosen.data.label_separator
        rows = [task.read_row(row, label_separator=separator) for row in small.rows(kind, ROWS)]
        table = pa.Table.from_pylist(rows, schema=task.schema())
        target = task.learn(table)
        return Learned(task, table, target, task.targets(table, target))

    return of


def test_every_task_has_a_case() -> None:
    assert set(CASES) == set(plugins.names("tasks"))


@every_kind
def test_rows_become_targets(learned: Callable[..., Learned], name: str, kind: str) -> None:
    made = learned(name, kind)
    assert len(made.targets) == ROWS
    assert np.isfinite(made.targets.astype(float)).all()
    assert Target.from_json(json.loads(json.dumps(made.target.to_json()))) == made.target
    assert len(made.task.strata(made.rows)) == ROWS
    assert sorted(made.task.resample(made.targets, made.target, seed=0)) == list(range(ROWS))
    assert made.task.metric(made.target) in metrics.score(predicted(made))
    assert not [finding for finding in made.task.findings(made.rows, made.target) if finding.severity == "error"]


@every_kind
def test_inputs_are_rows_without_labels(learned: Callable[..., Learned], name: str, kind: str) -> None:
    made = learned(name, kind)
    given = {column: value for column, value in small.rows(kind, 1)[0].items() if column.startswith("text")}
    row = made.task.read_input(given)
    table = pa.Table.from_pylist([row], schema=made.task.schema())
    assert table.select(list(given)).to_pylist() == [given]
    with pytest.raises(RowError) as caught:
        made.task.read_input({**given, "tetx": "a"})
    assert caught.value.column == "tetx"


@every_kind
def test_the_head_learns_by_the_loss(learned: Callable[..., Learned], name: str, kind: str) -> None:
    made = learned(name, kind)
    torch.manual_seed(0)
    head = made.task.head(WIDTH, made.target, pooling="mean", dropout=0.0)
    texts = ROWS * (2 if head.pair else 1)
    hidden, mask = torch.randn(texts, TOKENS, WIDTH), torch.ones(texts, TOKENS, dtype=torch.long)
    loss, targets = made.task.loss(made.target), torch.from_numpy(made.targets)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    means = []
    for _ in range(20):
        losses = loss(head(hidden, mask), targets)
        assert losses.shape == (ROWS,)
        assert losses.isfinite().all()
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        means.append(float(losses.detach().mean()))
    assert means[-1] < means[0]
    with torch.no_grad():
        whole = loss(head(hidden, mask), targets)
        alone = loss(
            head(hidden[[3, ROWS + 3] if head.pair else [3]], mask[[3, 4] if head.pair else [3]]), targets[[3]]
        )
    torch.testing.assert_close(alone[0], whole[3])


def scores(made: Learned) -> np.ndarray:
    outputs = np.random.default_rng(0).normal(size=(ROWS, len(made.target.labels))).astype(np.float32)
    return made.task.scores(outputs, made.target)


def predicted(made: Learned) -> metrics.Predictions:
    texts, lengths = made.rows["text"].to_pylist(), np.full(ROWS, TOKENS)
    return made.task.predictions(scores(made), made.targets, made.target, texts=texts, lengths=lengths)


@every_kind
def test_scores_become_predictions(learned: Callable[..., Learned], name: str, kind: str) -> None:
    made = learned(name, kind)
    found = scores(made)
    assert len(found) == ROWS
    if made.target.kind != "regression":
        assert found.shape == (ROWS, len(made.target.labels))
        assert ((found >= 0) & (found <= 1)).all()
    if made.target.kind == "multi-class":
        assert found.sum(1) == pytest.approx(np.ones(ROWS))
    predictions = predicted(made)
    assert predictions.kind == made.target.kind
    assert predictions.predicted.shape == predictions.targets.shape
    tuned = made.task.tune(predictions, made.target)
    assert tuned.labels == made.target.labels
    assert bool(tuned.thresholds) == (made.target.kind == "multi-label")


@every_kind
def test_answers_are_plain_values(learned: Callable[..., Learned], name: str, kind: str) -> None:
    made = learned(name, kind)
    request = plugins.module("tasks", name).Request()
    answers = made.task.answers(scores(made), made.target, request)
    assert len(answers) == ROWS
    assert json.loads(json.dumps(answers, allow_nan=False)) == answers
    said = json.dumps(answers)
    assert any(label in said for label in made.target.labels)
    assert "LABEL_" not in said


@pytest.mark.parametrize("name", plugins.names("tasks"))
def test_requests_refuse_unknown_names(name: str) -> None:
    request = plugins.module("tasks", name).Request
    first = next(iter(request.model_fields))
    misspelt = first[0] + first[2] + first[1] + first[3:]
    with pytest.raises(UsageError, match=f"did you mean '{first}'"):
        params.check(request, {misspelt: 1}, {})


@pytest.mark.parametrize("name", plugins.names("tasks"))
def test_choices_left_open_are_made(learned: Callable[..., Learned], name: str) -> None:
    """What a task chooses for the config is legal there, and nothing is left on auto."""
    for kind in CASES[name]:
        made = learned(name, kind)
        options: Any = made.task.options
        for encoder in (False, True):
            chosen = made.task.choose(
                made.target, paired="pair" in kind or kind == "similarity", sentence_encoder=encoder
            )
            filled = options.but(**chosen)
            assert "auto" not in dict(filled).values()
