"""From a body to request parameters: unknown names, presets, and what the route sets itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from served import Served, running
from tunesmith import presets
from tunesmith.errors import nearest
from tunesmith.presets import Preset
from tunesmith.serving import checking
from tunesmith.serving.checking import Asking


def test_of_very_many_unknown_names_the_first_are_named() -> None:
    began = time.process_time()
    told = checking.unknown_parameters([f"treshold{n}" for n in range(50_000)], ["threshold", "top_k"])
    assert time.process_time() - began < 0.5
    assert len(told.problems) == 21
    assert "did you mean 'threshold'" in str(told)
    assert "and 49,980 more unknown parameters" in str(told)


def test_a_name_far_longer_than_any_is_near_none() -> None:
    began = time.process_time()
    assert nearest("threshold" * 100_000, ["threshold"]) is None
    assert time.process_time() - began < 2


@pytest.mark.parametrize("name", ["thresholdthresholdXXX", "thresholdthreshold", "thre", "thr"])
def test_names_are_near_as_far_as_they_were_before(name: str) -> None:
    import difflib

    assert nearest(name, ["threshold"]) == next(iter(difflib.get_close_matches(name, ["threshold"], 1, 0.6)), None)


def test_a_preset_counts_less_than_what_is_given_and_more_than_the_routes_defaults(
    bundles: Callable[..., Path],
) -> None:
    folder = bundles("binary", **{"train.seed": 11})
    presets.save(folder, "sure", Preset({"threshold": 0.99, "top_k": 1}))
    with running({"reviews": folder}) as every_task:  # presets are read when a bundle is opened
        asked = {"inputs": "a film", "options": {"preset": "sure"}}
        reply = every_task.post("/hf/reviews", asked)
        assert [entry["label"] for entry in reply.body[0]] == ["unknown"]
        every = every_task.post("/hf/reviews", {**asked, "parameters": {"top_k": 2}})
        assert next(entry["label"] for entry in every.body[0]) == "unknown"
        assert len(every.body[0]) == 3
        labelled = every_task.post("/classify", {"model": "reviews", "input": "a film", "preset": "sure"})
        assert labelled.body["data"][0]["label"] == "unknown"
        assert len(labelled.body["data"][0]["probs"]) == 2


def test_the_fields_of_any_request_are_known_by_name() -> None:
    assert {"model", "preset", "priority", "time"} <= set(checking.names_of(Asking))


def test_a_query_is_as_strict_as_a_body(every_task: Served) -> None:
    reply = every_task.get("/v1/parameters?tusk=chat")
    assert (reply.status, reply.body["error"]["code"]) == (400, "unknown_parameter")
    assert "did you mean 'task'" in reply.body["error"]["message"]
    other = every_task.post("/v1/predict/reviews?threshold=0.9", {"inputs": "a"})
    assert (other.status, other.body["error"]["param"]) == (400, "threshold")
    twice = every_task.get("/v1/parameters?task=chat&task=translation")
    assert (twice.status, twice.body["error"]["param"]) == (400, "task")
