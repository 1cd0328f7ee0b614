"""The report of drift, of a server and of the command line: they are the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
from served import running
from tunesmith import cli
from tunesmith.serving import keys


def test_the_command_and_the_route_say_the_same(
    bundles: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = bundles("binary"), tmp_path / "log.db"
    rows = small.rows("binary", 120, 5)
    chance = random.Random(0)
    with running({"reviews": folder}, **{"prediction-log": str(file)}) as server:
        texts = [" ".join([row["text"], *chance.choices(["银行", "天气"], k=8)]) for row in rows]
        reply = server.post("/v1/predict/reviews", {"inputs": texts})
        server.post("/v1/feedback", {"id": reply.body["id"], "input": 119, "label": "positive"})
        told = server.get("/v1/admin/drift/reviews?since=1d&rows=100")
    assert told.status == 200, told.body
    assert (told.body["model"], told.body["rows"], told.body["of"], told.body["drifted"]) == ("reviews", 100, 120, True)
    checks = {check["name"]: check for check in told.body["checks"]}
    assert list(checks) == ["labels", "length", "vocabulary", "unseen words", "confidence", "calibration"]
    assert checks["length"]["verdict"] == "drifted"
    assert checks["confidence"]["verdict"] == "too few rows to say"  # four validation rows
    (week,) = told.body["weeks"]
    assert (week["rows"], week["judged"]) == (120, 1)

    assert cli.main(["drift", str(folder), str(file), "--rows", "100", "--json"]) == 0
    own = json.loads(capsys.readouterr().out)
    assert own["checks"] == told.body["checks"]
    assert cli.main(["drift", str(folder), f"sqlite:///{file}"]) == 0
    shown = capsys.readouterr().out
    assert "120 rows beside the training" in shown
    assert "drifted" in shown
    assert "week from" in shown


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("reviews", 400, "invalid_value"),
        ("reviewz", 404, "model_not_found"),
        ("reviews?since=soon", 400, "invalid_value"),
        ("reviews?sinze=1d", 400, "unknown_parameter"),
    ],
)
def test_what_cannot_be_answered(
    bundles: Callable[..., Path], tmp_path: Path, path: str, status: int, code: str
) -> None:
    with running({"reviews": bundles("binary")}, **{"prediction-log": str(tmp_path / "log.db")}) as server:
        reply = server.get(f"/v1/admin/drift/{path}")
        assert (reply.status, reply.body["error"]["code"]) == (status, code), reply.body


def test_it_takes_an_admin(bundles: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    header = {"Authorization": f"Bearer {keys.add(file, 'me', ('infer',))}"}
    options = {"prediction-log": str(tmp_path / "log.db"), "keys": str(file)}
    with running({"reviews": bundles("binary")}, **options) as server:
        assert server.get("/v1/admin/drift/reviews", **header).body["error"]["code"] == "missing_scope"


@pytest.mark.parametrize(
    "kind", ["multi-label", "regression", "alike", "questions", "entities", "triples", "translations"]
)
def test_every_task_has_its_checks(
    bundles: Callable[..., Path], tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from unit.serving.conftest import WRITES

    more: dict[str, Any] = WRITES if kind in small.WRITTEN else {}
    folder, file = bundles(kind, **more), tmp_path / "log.db"
    with running({"m": folder}, **{"prediction-log": str(file)}) as server:
        names = server.serving.models.find("m").model.task.inputs
        rows = [{name: row[name] for name in names if name in row} for row in small.rows(kind, 30, 5)]
        assert server.post("/v1/predict/m", {"inputs": rows}).status == 200
    assert cli.main(["drift", str(folder), str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = [check["name"] for check in told["checks"]]
    first = {"regression": ["numbers"], "alike": ["numbers"], "translations": []}.get(kind, ["labels"])
    assert names[: len(first) + 1] == [*first, "length"]
    assert (told["rows"], told["unread"]) == (30, 0)
    assert not any(check["verdict"] == "drifted" for check in told["checks"]), told["checks"]
