"""Several models answer together."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith import cli, evaluation, predict
from tunesmith.ensemble import Ensemble
from tunesmith.ensemble import write as write_ensemble
from tunesmith.errors import BundleError, UsageError
from tunesmith.together import ensembles

TEXTS = ["the film was fine", "bad plot and dull", "today"]


@pytest.mark.parametrize("kind", ["multi-class", "multi-label", "regression"])
def test_scores_are_the_means(run: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    folders = [run(kind, out=f"{seed}", **{"train.seed": seed, "train.epochs": 1}).folder for seed in (0, 1)]
    members = [predict.load(folder) for folder in folders]
    together = Ensemble(members)
    rows = members[0].rows(TEXTS)
    expected = np.mean([np.asarray(member.scores(rows)) for member in members], axis=0)
    assert np.asarray(together.scores(rows)) == pytest.approx(expected)
    assert together.replay() == max(member.replay() for member in members)
    write_ensemble(folders, tmp_path / "both", {})
    again = predict.load(tmp_path / "both")
    assert again.answers(TEXTS) == together.answers(TEXTS)
    if kind == "multi-label":
        means = np.mean([member.target.thresholds for member in members], axis=0)
        assert together.target.thresholds == pytest.approx(means)


def test_it_is_kept_only_where_it_is_better(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [Path(run(out=f"{seed}", **{"train.seed": seed, "train.epochs": 1}).folder) for seed in (0, 1)]
    real = ensembles.metrics.score
    for bonus, kept in ((0.0, False), (0.5, True)):
        calls = [0]

        def score(predictions: Any, names: Any, bonus: float = bonus, calls: list[int] = calls) -> dict[str, float]:
            calls[0] += 1
            found = real(predictions, names)
            return dict.fromkeys(found, 0.4 + bonus * (calls[0] > 4))  # two splits of two members come first

        monkeypatch.setattr(ensembles.metrics, "score", score)
        out = tmp_path / f"both-{kept}"
        assert cli.main(["ensemble", *map(str, folders), "--out", str(out), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["folder"] is not None) == kept == out.exists()
        assert set(told["singles"]) == set(map(str, folders))
        assert set(told["together"]) == {"validation", "test"}
    monkeypatch.undo()
    assert json.loads((out / "ensemble.json").read_text())["members"] == ["../0", "../1"]
    assert cli.main(["ensemble", *map(str, folders), "--out", str(out)]) == 2
    assert "not empty" in capsys.readouterr().err


def test_it_is_evaluated_like_a_model(run: Callable[..., Any], table: Callable[..., Path], tmp_path: Path) -> None:
    folders = [run(out=f"{seed}", **{"train.seed": seed, "train.epochs": 1}).folder for seed in (0, 1)]
    write_ensemble(folders, tmp_path / "both", {})
    found = evaluation.evaluate_data(tmp_path / "both", str(table("binary", 40, 5)))
    assert len(found.predictions) == 40


def test_what_does_not_fit_is_refused(run: Callable[..., Any], tmp_path: Path) -> None:
    one, other = (Path(run(kind, out=kind, **{"train.epochs": 1}).folder) for kind in ("binary", "multi-class"))
    with pytest.raises(UsageError, match="cannot be taken together") as caught:
        ensembles.ensemble([one, other, one], tmp_path / "all")
    assert len(caught.value.problems) == 3
    with pytest.raises(UsageError, match="two runs at least"):
        ensembles.ensemble([one], tmp_path / "all")
    with pytest.raises(UsageError, match="other labels"):
        Ensemble([predict.load(one), predict.load(other)])


def test_a_missing_member_is_named(run: Callable[..., Any], tmp_path: Path) -> None:
    one = Path(run(out="one", **{"train.epochs": 1}).folder)
    shutil.copytree(one, tmp_path / "two")
    write_ensemble([one, tmp_path / "two"], tmp_path / "both", {})
    shutil.rmtree(tmp_path / "two")
    with pytest.raises(BundleError, match="no such bundle"):
        predict.load(tmp_path / "both")
    (tmp_path / "both" / "ensemble.json").write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        predict.load(tmp_path / "both")
