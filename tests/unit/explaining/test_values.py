"""The values that are looked at."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith import params, plugins
from tunesmith.errors import UsageError
from tunesmith.explaining import values
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Leaf

LEAVES = {leaf.path: leaf for leaf in params.leaves(GenerationRequest)}


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("temperature", "0,0.5,1", ["0", "0.5", "1"]),
        ("temperature", "0:0.6:0.2", [0.0, 0.2, 0.4, 0.6]),
        ("temperature", "0:0.5:0.2", [0.0, 0.2, 0.4]),
        ("top_k", "1:100:log3", [1, 10, 100]),
        ("top_k", "1:5:2", [1, 3, 5]),
        ("epsilon_cutoff", "1e-4:1e-2:log3", [1e-4, 1e-3, 1e-2]),
        ("early_stopping", "true, never", ["true", "never"]),
        ("top_n_sigma", "none,1", [None, "1"]),
    ],
)
def test_texts_name_values(name: str, text: str, found: list[Any]) -> None:
    assert values.asked(text, LEAVES[name]) == found


@pytest.mark.parametrize(
    "text", ["", ",", "0.5,,1", "0:1", "0:1:0", "1:0:0.1", "0:1:log5", "a:b:c", "0:1:log", "0:1e9:0.001"]
)
def test_what_names_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--values"):
        values.asked(text, LEAVES["temperature"])


def test_declared_ranges_come_in_round_steps() -> None:
    assert values.declared(LEAVES["temperature"])[:4] == [0.0, 0.1, 0.2, 0.3]
    assert values.declared(LEAVES["top_p"])[-3:] == [0.95, 0.975, 1.0]
    assert values.declared(LEAVES["num_beams"]) == [1, 2, 4, 8]
    assert values.declared(LEAVES["logprobs"]) == [False, True]
    assert values.declared(LEAVES["stop"]) == []


@pytest.mark.parametrize("task", plugins.names("tasks"))
def test_every_declared_range_is_legal_from_end_to_end(task: str) -> None:
    request = plugins.module("tasks", task).Request
    searched: list[Leaf] = [leaf for leaf in params.leaves(request) if isinstance(leaf.search, params.Range)]
    for leaf in searched:
        assert isinstance(leaf.search, params.Range)
        found = values.declared(leaf)
        assert 8 < len(found) <= 21
        assert [found[0], found[-1]] == pytest.approx([leaf.search.low, leaf.search.high])
        assert found == sorted(set(found))
        for value in found:
            params.check(request, {leaf.path: value})
