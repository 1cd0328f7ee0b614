"""The description of request parameters says what is declared."""

from __future__ import annotations

import pytest

from served import Served
from tunesmith import params, plugins
from tunesmith.generation import sampler
from tunesmith.serving import described


def test_every_parameter_of_every_task_is_described(every_task: Served) -> None:
    reply = every_task.get("/v1/parameters")
    assert [one["task"] for one in reply.body["data"]] == list(plugins.names("tasks"))
    for one in reply.body["data"]:
        group = plugins.module("tasks", one["task"]).Request
        assert list(one["parameters"]) == [leaf.path for leaf in params.leaves(group)]
        assert all(row["help"] and row["legal"] and row["engines"] for row in one["parameters"].values())
    assert reply.body["fields"]["priority"]["schema"] == {"type": "integer", "minimum": -100, "maximum": 100}


def test_a_parameter_in_full(every_task: Served) -> None:
    row = every_task.get("/v1/parameters?task=chat").body["data"][0]["parameters"]["temperature"]
    assert row["schema"] == {"type": "number", "minimum": 0, "maximum": 100}
    assert (row["default"], row["legal"]) == (0.0, "number >= 0 and <= 100")
    assert row["formula"].startswith("z / temperature")
    assert row["search"] == {"low": 0.0, "high": 1.5, "log": False}
    assert row["engines"]["pytorch"] == {"honoured": "always"}
    assert {how["honoured"] for how in row["engines"].values()} <= {"always", "where", "never"}


def test_samplers_stand_in_the_order_in_which_they_run() -> None:
    told = described.task("chat")
    assert told["order"] == [one.name for one in sampler.SAMPLERS]
    rows = told["parameters"]
    assert rows["dry_base"]["order"] == told["order"].index("dry")
    assert rows["xtc_threshold"]["order"] == told["order"].index("xtc")
    placed = {told["order"][row["order"]] for row in rows.values() if "order" in row}
    assert placed == set(told["order"])


def test_engines_say_where_they_honour_a_parameter() -> None:
    rows = described.task("chat")["parameters"]
    conditional = [how for row in rows.values() for how in row["engines"].values() if how["honoured"] == "where"]
    assert conditional
    assert all(how["where"] for how in conditional)
    assert described.task("text-classification")["parameters"]["top_k"]["engines"] == {"every": {"honoured": "always"}}


def test_a_model_is_described_with_its_own_defaults_and_presets(every_task: Served) -> None:
    (one,) = every_task.get("/v1/parameters?model=chat").body["data"]
    assert (one["model"], one["task"], one["engine"]) == ("chat", "chat", "pytorch")
    assert one["parameters"]["max_tokens"]["default"] == 4
    assert one["presets"] == {}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("model=none", 404, "model_not_found"),
        ("task=none", 400, "invalid_value"),
        ("task=chat&model=chat", 400, "invalid_value"),
    ],
)
def test_what_is_refused(every_task: Served, query: str, status: int, code: str) -> None:
    reply = every_task.get(f"/v1/parameters?{query}")
    assert (reply.status, reply.body["error"]["code"]) == (status, code)
