"""A whole study on a tiny model: what is told, what is kept, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.errors import UsageError
from tunesmith.params import check
from tunesmith.studying import run
from tunesmith.studying.settings import Settings

VARIED = {"train.learning_rate": "1e-4:1e-2:log2", "model.dropout": "0,0.1"}


def settings(**more: Any) -> Settings:
    return check(Settings, {"seeds": 2, **more})


@pytest.mark.slow
def test_a_study_says_what_parameters_do_and_goes_on_where_it_was(
    parameters: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "study"
    asked = parameters("binary", count=60, out=str(folder), **{"train.epochs": 1, **VARIED})
    found = run.study(None, settings(), keywords=asked, quiet=True).found
    assert len(found.rows) == found.wanted == 8
    assert {effect.parameter for effect in found.effects} == set(VARIED)
    assert {row.seed for row in found.rows} == {0, 1}
    page = (folder / "report.html").read_text()
    assert "What may be said" in page
    assert page.count("<svg") == 2
    told = json.loads((folder / "report.json").read_text())
    assert told["words"] == found.words
    again = run.study(folder, settings(resume=True), quiet=True)
    assert sorted(row.score for row in again.found.rows) == sorted(row.score for row in found.rows)
    again.show()
    assert "matter" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing is left to study"),
        ({"train.learning_rate": "1e-4:1e-2:log1"}, "1 values of a range"),
        ({"train.learning_rate": "1e-2:1e-4:log3"}, "goes up"),
        ({"train.learning_rates": "1,2"}, "train.learning_rate"),
        ({"model.dropout": "0,1.5"}, "model.dropout"),
        ({"train.seed": "0,1"}, "train.seed"),
    ],
)
def test_what_cannot_be_studied(
    given: dict[str, str], said: str, parameters: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    with pytest.raises(UsageError) as caught:
        run.study(None, settings(), keywords=parameters("binary", out=str(folder), **given), quiet=True)
    assert said in str(caught.value)
    assert not folder.exists()
