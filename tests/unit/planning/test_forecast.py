"""The plan of a run: what it says is what the run then does, and nothing of the run is started."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

import small
from tunesmith.config import Config
from tunesmith.errors import DataError, UsageError
from tunesmith.planning import footprint, forecast, gpus
from tunesmith.planning.model import Plan

EVERY_KIND = [
    ("binary", {}),
    ("regression", {"adapter.name": "head"}),
    ("entities", {"adapter.name": "freeze", "adapter.train_layers": 1}),
    ("triples", {"train.ema": 0.9, "train.soup": 2}),
    ("questions", {"adapter.name": "lora"}),
    ("positive-pairs", {}),
    ("translations", {"model.max_length": 128, "request.max_tokens": 12}),
    ("conversations", {"train.gradient_checkpointing": True}),
]


@pytest.fixture
def plan(config: Callable[..., Config]) -> Callable[..., Plan]:
    """Plans a short run on a small file."""

    def of(*args: Any, gpu: str | None = None, price: float | None = None, **more: Any) -> Plan:
        return forecast.plan(config(*args, **more), gpu, price)

    return of


@pytest.mark.parametrize(("kind", "options"), EVERY_KIND, ids=[kind for kind, _ in EVERY_KIND])
def test_it_says_what_the_run_then_does(
    plan: Callable[..., Plan], run: Callable[..., Any], kind: str, options: dict[str, Any]
) -> None:
    given = {"train.epochs": 2, **options}
    planned, done = plan(kind, gpu="24GB", **given), run(kind, **given)
    steps, evaluations = (small.log_of(done.folder, event) for event in ("step", "evaluation"))
    assert planned.size.steps == len(list(steps))
    assert planned.size.rows == done.report.rows
    doubled = len(list(evaluations)) + (2 + 1 if kind == "triples" else 0)
    assert planned.size.evaluations == doubled
    assert planned.size.tokens["train"] * 2 == done.report.timing.tokens
    held = sum(file.stat().st_size for file in Path(done.folder).rglob("*") if file.is_file())
    assert planned.disk.finished == pytest.approx(held, rel=0.3)
    assert planned.disk.training > planned.disk.finished
    assert planned.seconds.low < planned.seconds.expected < planned.seconds.high
    assert 0 < planned.size.trainable <= planned.size.parameters
    assert planned.size.flops > 0
    json.dumps(planned.to_json(), allow_nan=False)


def test_what_only_a_plan_does_is_no_part_of_the_runs_memory(
    plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, needed = footprint.of, 2_000_000_000
    before = psutil.Process().memory_info().rss

    def greedy(*given: Any) -> footprint.Footprint:
        torch.ones(needed // 4)
        return counted(*given)

    monkeypatch.setattr(footprint, "of", greedy)
    assert plan("binary", **{"train.epochs": 1}).memory.peak < before + needed


def test_it_leaves_nothing_behind(plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    plan(out=str(tmp_path / "run"))
    assert not list(tmp_path.iterdir())


def test_costs_follow_from_the_price(plan: Callable[..., Plan]) -> None:
    planned = plan(gpu="H100", price=7200.0)
    assert planned.cost is not None
    assert planned.gpu is not None
    assert planned.cost.expected == pytest.approx(2 * planned.seconds.expected)
    fastest = planned.gpu.variants[0]
    assert fastest.seconds is not None
    assert fastest.cost == pytest.approx(2 * fastest.seconds)
    assert "cost: " in str(planned)
    assert "On H100, by estimate" in str(planned)


def test_a_limit_of_time_is_kept(plan: Callable[..., Plan]) -> None:
    planned = plan(**{"train.max_time": "3s", "train.epochs": 100000})
    assert planned.seconds.expected == 3
    assert any("max_time" in note for note in planned.notes)


def test_what_the_run_would_stop_at_is_told(plan: Callable[..., Plan], tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("text,label\n,good\n,bad\n")
    with pytest.raises(DataError):
        plan(**{"data.train": str(bad)})


def test_an_unknown_gpu_is_told_before_anything_is_measured(plan: Callable[..., Plan]) -> None:
    with pytest.raises(UsageError, match="no GPU 'RTX 4091'"):
        plan(gpu="RTX 4091", **{"data.train": "missing.csv"})


def test_memory_on_a_gpu_decides_the_pass(plan: Callable[..., Plan], config: Callable[..., Config]) -> None:
    planned = plan(gpu="24GB")
    assert planned.gpu is not None
    whole, checkpointed, lora, both = planned.gpu.variants
    assert all(one.fits for one in planned.gpu.variants)
    assert checkpointed.memory <= whole.memory  # a tiny network takes most when it only reads
    assert lora.memory != whole.memory
    assert "lora" in both.name
    assert "checkpointing" in both.name
    assert planned.gpu.variants[0].seconds is None  # the speed of a GPU without a name is not known


def test_what_does_not_fit_is_told(plan: Callable[..., Plan]) -> None:
    planned = plan(gpu="0.5GB")
    assert planned.gpu is not None
    assert not any(one.fits for one in planned.gpu.variants)
    assert "does not fit" in str(planned)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("rtx4090", "RTX 4090"),
        ("A100-80GB", "A100-80"),
        ("nvidia l4", "L4"),
        ("a100 40", "A100-40"),
        ("RTX A6000", "A6000"),
    ],
)
def test_gpus_are_found_as_people_write_them(text: str, name: str) -> None:
    assert gpus.find(text).name == name


@pytest.mark.parametrize("text", ["0GB", "A1000", "", "24"])
def test_other_gpus_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        gpus.find(text)
    assert "24GB" in str(caught.value)


def test_gpus_that_do_not_compute_bf16_are_known() -> None:
    assert (gpus.find("T4").precision, gpus.find("L4").precision) == ("fp32", "bf16")
    assert replace(gpus.find("T4"), flops=None).memory == 16e9
