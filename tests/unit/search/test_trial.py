"""Trials share what they can: rows are read once, and tokenised once for each way of reading them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import small
from tunesmith.config import Config
from tunesmith.errors import UsageError
from tunesmith.search.trial import Bench
from tunesmith.train import run


class Stop(Exception):  # noqa: N818
    pass


def ignore(share: float, scores: Mapping[str, float] | None) -> None:
    pass


def test_rows_and_tokens_are_shared(config: Callable[..., Config], tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench")
    for number, changes in enumerate(
        [{}, {"train.learning_rate": 1e-4, "model.dropout": 0.3}, {"model.max_length": 16}, {"adapter": "head"}]
    ):
        bench.run(config("multi-class", **{"train.epochs": 1, **changes}), tmp_path / str(number), ignore)
    assert (bench.prepared, bench.encoded) == (1, 2)


def test_a_trial_is_the_training_of_a_run(config: Callable[..., Config], tmp_path: Path) -> None:
    shares: list[float] = []
    scored: list[Mapping[str, float]] = []

    def watch(share: float, scores: Mapping[str, float] | None) -> None:
        shares.append(share) if scores is None else scored.append(scores)

    outcome = Bench(tmp_path / "bench").run(config(), tmp_path / "trial", watch)
    run.train(config(out=str(tmp_path / "run")), quiet=True)
    logs = [list(small.log_of(tmp_path / name, "evaluation")) for name in ("trial", "run")]
    assert logs[0] == logs[1]
    assert [entry["scores"] for entry in logs[0]] == scored
    assert dict(outcome.scores) in scored
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert outcome.latency > 0
    assert outcome.size > 0
    assert not (tmp_path / "trial" / run.WORK).exists()
    assert (tmp_path / "trial" / "config.yaml").read_text() == (tmp_path / "run" / "config.yaml").read_text()


def test_what_watches_may_end_a_trial(config: Callable[..., Config], tmp_path: Path) -> None:
    def watch(share: float, scores: Mapping[str, float] | None) -> None:
        if scores and share > 0:
            raise Stop

    bench = Bench(tmp_path / "bench")
    with pytest.raises(Stop):
        bench.run(config(), tmp_path / "trial", watch)
    assert len(list(small.log_of(tmp_path / "trial", "evaluation"))) == 2
    assert not (tmp_path / "trial" / run.WORK).exists()


def test_a_trial_that_cannot_be_is_an_error(config: Callable[..., Config], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reads 64 tokens"):
        Bench(tmp_path / "bench").run(config(**{"model.max_length": 1000}), tmp_path / "trial", ignore)
