"""``tunesmith plan``: a table, or one JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tunesmith import cli


def test_it_prints_a_table_or_json(
    parameters: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plan", *(f"--{name}={value}" for name, value in parameters().items()), "--gpu", "T4", "--price", "2"]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    for part in ("on this machine", "training steps", "memory:", "disk:", "cost:", "On T4, by estimate", "lora"):
        assert part in printed
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"]["rows"]["train"] > 0
    assert [one["fits"] for one in found["gpu"]["variants"]] == [True] * 4
    assert found["seconds"]["low"] <= found["seconds"]["expected"] <= found["seconds"]["high"]


def test_a_mistake_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "missing.csv", "--gpu", "H1000"]) == 2
    assert "no GPU 'H1000' is known" in capsys.readouterr().err
