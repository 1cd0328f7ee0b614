"""The mean of the weights of several runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tunesmith import cli, predict
from tunesmith.errors import UsageError
from tunesmith.together import soups
from tunesmith.train.learner import Candidate


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All saved weights of a run."""
    found = {}
    for file in (*folder.glob("*.safetensors"), folder / "head" / "model.safetensors"):
        found |= {f"{file.parent.name == 'head'}.{name}": weight for name, weight in load_file(file).items()}
    return found


@pytest.fixture
def two(run: Callable[..., Any]) -> Callable[..., list[Path]]:
    """Two runs that differ by their seed."""
    return lambda *args, **more: [
        Path(run(*args, out=f"{seed}", **{"train.seed": seed, "train.epochs": 1, **more}).folder) for seed in (0, 1)
    ]


@pytest.mark.parametrize("options", [{}, {"adapter.name": "lora"}], ids=["full", "lora"])
def test_a_better_mean_is_a_run_of_its_own(
    two: Callable[..., list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    folders = two(**options)
    scripted = iter([0.5, 0.6, 0.7])
    monkeypatch.setattr(Candidate, "scores", lambda self: {"f1_macro": next(scripted)})
    done = soups.soup(folders, tmp_path / "soup", quiet=True)
    assert done.folder == tmp_path / "soup"
    assert done.members == (str(folders[1]), str(folders[0]))
    assert (done.metric, done.score, list(done.singles.values())) == ("f1_macro", 0.7, [0.6, 0.5])
    one, other, mean = (weights(folder) for folder in (*folders, done.folder))
    assert mean.keys() == one.keys()
    for name, weight in mean.items():
        assert torch.allclose(weight, (one[name] + other[name]) / 2, atol=1e-6), name
    assert predict.load(done.folder).replay() < 1e-4
    assert done.report is not None
    assert done.report.command.startswith("tunesmith soup ")
    assert not (done.folder / ".work").exists()
    assert "the mean of" in (done.folder / "log.jsonl").read_text()


def test_a_mean_that_is_no_better_is_not_written(
    two: Callable[..., list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = two()
    scripted = iter([0.5, 0.6, 0.6])
    monkeypatch.setattr(Candidate, "scores", lambda self: {"f1_macro": next(scripted)})
    assert cli.main(["soup", *map(str, folders), "--out", str(tmp_path / "soup"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] is None
    assert told["members"] == [str(folders[1])]
    assert not (tmp_path / "soup").exists()


def test_a_written_text_is_judged_by_its_likelihood(two: Callable[..., list[Path]], tmp_path: Path) -> None:
    folders = two("translations", **{"adapter.name": "full", "model.max_length": 128, "request.max_tokens": 12})
    done = soups.soup(folders, tmp_path / "soup", quiet=True)
    assert done.metric == "perplexity"
    assert list(done.singles.values()) == sorted(done.singles.values())
    assert done.score <= min(done.singles.values())


def test_runs_that_do_not_fit_are_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    few = {"train.epochs": 1}
    one = Path(run(out="one", **few).folder)
    elsewhere = Path(run(out="elsewhere", **few, **{"data.seed": 5}).folder)
    adapted = Path(run(out="adapted", **few, **{"adapter.name": "lora"}).folder)
    with pytest.raises(UsageError, match="divided otherwise"):
        soups.soup([one, elsewhere], tmp_path / "soup")
    with pytest.raises(UsageError, match="adapter section differs"):
        soups.soup([one, adapted], tmp_path / "soup")
    assert not (tmp_path / "soup").exists()
