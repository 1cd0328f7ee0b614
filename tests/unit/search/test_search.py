"""Searches on tiny models: what is tried first, what fails, what is pruned, what is found, and who may go on with it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import children
import tunesmith as ts
from tunesmith import config as configs
from tunesmith.errors import DataError, SourceError, TrainingError, UsageError
from tunesmith.search import queue, run, storage, worker
from tunesmith.search import study as studies
from tunesmith.search.report import Found
from tunesmith.search.settings import Settings

Begin = Callable[..., run.Opened]
LOW_RATES = {"low": 1e-6, "high": 1e-3, "log": True}


@pytest.fixture
def begin(parameters: Callable[..., dict[str, Any]], tmp_path: Path) -> Begin:
    """Begins a study of short trials; settings and config parameters are told apart by their dots."""

    def of(out: str = "study", **asked: Any) -> run.Opened:
        own = {name: value for name, value in asked.items() if "." not in name}
        rest = {name: value for name, value in asked.items() if "." in name}
        keywords = parameters("multi-class", count=120, **{"train.epochs": 1, "out": str(tmp_path / out), **rest})
        for path, value in rest.items():
            if value is None:
                del keywords[path]
        opened = run._anew(None, Settings(seeds=2, **own), {}, keywords)
        studies.set_limits(opened.study, Settings(**own), time.time())
        return opened

    return of


def carry_out(opened: run.Opened) -> Found:
    """All of it in this process."""
    worker.work(worker.Order(None, str(opened.folder), opened.study.study_name))
    return run._finish(opened, 1.0)


def trials_in(folder: Path, url: str | None = None) -> list[Any]:
    try:
        found = studies.find(storage.open_storage(url, folder), folder.name)
    except (UsageError, SourceError):  # it is not there yet
        return []
    trials: list[Any] = found.get_trials(deepcopy=False)
    return trials


def test_a_grid_is_tried_whole_and_what_fails_is_told(begin: Begin) -> None:
    opened = begin(sampler="grid", pruner="nothing", **{"model.max_length": [8, 32, 1000], "train.epochs": 2})
    assert opened.plan.defaults == {"model.max_length": 32}
    assert "the default of model.max_length, 64, is not in 8, 32, 1000" in opened.plan.notes[0]
    found = carry_out(opened)
    assert sorted(row.parameters["model.max_length"] for row in found.trials) == [8, 32, 1000]
    assert found.trials[0].is_defaults
    failed = next(row for row in found.trials if row.state == "failed")
    assert failed.parameters == {"model.max_length": 1000}
    assert "reads 64 tokens" in str(failed.reason)
    assert found.best is not None
    best = configs.resolve(found.best_config, environment={})
    assert best.model.max_length == found.best.parameters["model.max_length"]
    told = json.loads((opened.folder / "report.json").read_text())
    assert told["words"] == found.words
    page = (opened.folder / "report.html").read_text()
    assert "reads 64 tokens" in page
    assert 'data-picture="history"' in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_first_trial_has_the_defaults_and_the_winner_is_trained_anew(begin: Begin) -> None:
    rates = {"low": 1e-6, "high": 3e-2, "log": True}
    asked = {"train.learning_rate": rates, "train.warm_start": False, "train.epochs": 4, "train.batch_size": "16,32"}
    opened = begin(trials=8, seed=1, **asked)
    found = carry_out(opened)
    first = found.trials[0]
    assert first.is_defaults
    assert first.parameters == {"train.batch_size": 32, "train.learning_rate": 1e-4}
    assert len(found.trials) == 8
    assert all(row.curve[-1][0] == 100 for row in found.complete)
    assert set(found.importance.get("ped_anova", found.space)) == set(found.space)
    if found.best is not None and not found.best.is_defaults:
        assert found.verdict is not None
        assert found.verdict.seeds == (1, 2)
        assert found.verdict.split == "test"
        runs = sorted(path.name for path in (opened.folder / "finals").iterdir())
        assert runs[:2] == ["defaults-seed-1", "defaults-seed-2"]
        assert len(runs) == 4


def test_what_falls_behind_is_given_up(begin: Begin) -> None:
    opened = begin(trials=7, pruner="median", **{"train.learning_rate": LOW_RATES, "train.epochs": 4})
    optuna = storage.library()
    for _ in range(5):  # better than any model can be
        scores = dict.fromkeys((25, 50, 75, 100), 2.0)
        opened.study.add_trial(
            optuna.trial.create_trial(
                value=2.0,
                params={"train.learning_rate": 1e-4},
                distributions=opened.plan.space.distributions(),
                intermediate_values=scores,
                user_attrs={"seconds": 1.0, queue.DEFAULTS: True},
            )
        )
    found = carry_out(opened)
    assert [row.state for row in found.trials] == ["complete"] * 6 + ["pruned"]
    assert found.trials[0].curve[-1][0] == 100
    assert found.trials[6].curve[-1][0] == 25


def test_several_objectives_have_a_front(begin: Begin) -> None:
    asked = {"model.max_length": [8, 16, 32], "train.epochs": 1}
    found = carry_out(begin(trials=3, sampler="random", against=("latency", "size"), **asked))
    assert found.objectives == ("f1_macro", "latency", "size")
    assert found.directions == ("maximize", "minimize", "minimize")
    assert found.pruner == "nothing"
    assert found.front
    assert all(len(row.values) == 3 for row in found.complete)
    beaten = [row.values[0] for row in found.complete if row.number not in found.front]
    assert not beaten or max(beaten) <= max(row.values[0] for row in found.complete if row.number in found.front)


def test_what_no_trial_can_do_is_an_error_with_its_reasons(begin: Begin) -> None:
    opened = begin(trials=5, sampler="grid", **{"model.max_length": [500, 1000, 2000, 3000]})
    with pytest.raises(TrainingError, match="no trial came to a score") as error:
        worker.work(worker.Order(None, str(opened.folder), opened.study.study_name))
    assert "reads 64 tokens" in str(error.value)
    assert len(queue.finished(opened.study.get_trials())) == 3


def test_time_that_is_over_ends_the_trials_and_is_told(begin: Begin) -> None:
    opened = begin(budget=1e-3, **{"train.learning_rate": LOW_RATES})
    with pytest.raises(TrainingError, match="no trial came to a score"):
        worker.work(worker.Order(None, str(opened.folder), opened.study.study_name))


def test_what_goes_wrong_at_the_start_leaves_nothing(begin: Begin, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        begin(trials=2, **{"train.learning_rate": LOW_RATES, "data.train": str(tmp_path / "none.csv")})
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"against": ("size",), "sampler": "cma-es"}, "cma-es seeks one thing only"),
        ({"against": ("size",), "pruner": "asha"}, "asha needs a single objective"),
        ({"against": ("size", "size")}, "named twice"),
        ({"resume": True}, "which study?"),
        ({"resume": True, "storage": "sqlite:///none.db"}, "which study?"),
    ],
)
def test_what_cannot_go_together_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("?", r"\?")):
        ts.search(**settings)


def test_another_study_is_not_gone_on_with(begin: Begin, parameters: Callable[..., dict[str, Any]]) -> None:
    opened = begin(trials=2, **{"train.learning_rate": LOW_RATES})
    asked = parameters("multi-class", count=120, **{"train.epochs": 2, "train.learning_rate": "1e-5:1e-4"})
    with pytest.raises(UsageError) as error:
        ts.search(resume=True, sampler="random", out=str(opened.folder), **asked)
    assert "train.epochs is 1.0 in the study, not 2.0" in str(error.value)
    assert "train.learning_rate is searched in 1e-06 to 0.001, log in the study, not in 1e-05 to 0.0001" in str(
        error.value
    )
    assert "sampler is tpe in the study, not random" in str(error.value)
    with pytest.raises(UsageError, match="keeps its config"):
        ts.search(str(opened.folder), resume=True, **{"train.epochs": 2})
    with pytest.raises(UsageError, match="no study to go on with"):
        ts.search(str(opened.folder.with_name("none.csv")), resume=True, out=str(opened.folder.parent / "none"))


def test_another_machine_needs_only_the_storage_and_the_name(begin: Begin, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    opened = begin(trials=2, storage=url, study="shared", **{"train.learning_rate": LOW_RATES})
    asked = Settings(resume=True, storage=url, study="shared")
    elsewhere = run._again(None, asked, {}, {"out": str(tmp_path / "elsewhere")})
    assert elsewhere.plan.to_json() == opened.plan.to_json()
    assert elsewhere.study.study_name == "shared"
    again = run._again(str(tmp_path / "elsewhere"), Settings(resume=True), {}, {})
    assert again.url == url
    with pytest.raises(UsageError, match="there is a study 'shared'"):
        begin("other", trials=2, storage=url, study="shared", **{"train.learning_rate": LOW_RATES})
    with pytest.raises(UsageError, match="no study 'share'"):
        run._again(None, Settings(resume=True, storage=url, study="share"), {}, {})


def test_a_password_is_not_kept(tmp_path: Path) -> None:
    run.remember(tmp_path, "a", "postgresql://me:secret@host/studies")
    assert "secret" not in (tmp_path / "search.json").read_text()
    with pytest.raises(UsageError, match="passwords are not kept"):
        run._again(str(tmp_path), Settings(resume=True), {}, {})


def words_of(asked: dict[str, Any]) -> list[str]:
    return [f"--{name}={value}" for name, value in asked.items()]


def wait_for(condition: Callable[[], Any], child: Any, output: Path, seconds: float = 900) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert child.is_alive(), output.read_text()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


@pytest.fixture
def asked(parameters: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return parameters("multi-class", count=120, **{"train.epochs": 3, "train.learning_rate": "1e-4:1e-2:log"})


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_the_study_goes_on(asked: dict[str, Any], tmp_path: Path) -> None:
    folder, output = tmp_path / "study", tmp_path / "output"
    words = ["search", "--out", str(folder), "--trials=4", "--seeds=2", "--pruner=nothing", *words_of(asked)]
    child = children.start(words, output)
    wait_for((folder / "search.json").exists, child, output)
    wait_for(lambda: queue.complete(trials_in(folder)), child, output)
    assert child.pid
    os.kill(child.pid, signal.SIGINT)
    child.join()
    assert child.exitcode == 130, output.read_text()
    said = output.read_text()
    assert f"tunesmith search {folder} --resume" in said
    assert "Traceback" not in said
    kept = {trial.number: trial.value for trial in queue.complete(trials_in(folder))}
    assert not queue.running(trials_in(folder))
    again = children.start(["search", str(folder), "--resume", "--json"], output)
    again.join()
    assert again.exitcode == 0, output.read_text()
    trials = trials_in(folder)
    assert {number: trials[number].value for number in kept} == kept
    assert len(queue.counted(trials)) == 4
    assert json.loads(output.read_text().splitlines()[-1])["study"] == "study"
