"""The same settings on several engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.cli import main
from tunesmith.errors import UsageError
from tunesmith.sweeping import across
from tunesmith.sweeping.settings import Settings


def test_an_engine_is_the_same_as_itself_and_near_its_rounded_weights(
    bundles: Callable[..., Path], table: Callable[..., Path], tmp_path: Path
) -> None:
    settings = Settings(engines=("pytorch", "int8"), rows=6, out=str(tmp_path / "out"))
    found = across.compare(
        bundles("conversations"), str(table("conversations", 60)), settings, {"temperature": "0,1"}, quiet=True
    )
    assert len(found.found) == 2 * 2
    for one in found.found:
        assert one.refused is None
        assert one.same is not None
        if one.engine == "pytorch":
            assert one.same == 1
            assert one.gain is not None
            assert one.gain.estimate == 0
            assert not one.is_other
    assert "same" in str(found)
    json.dumps(found.to_json())


def test_unknown_engines_are_told_before_anything_runs(
    bundles: Callable[..., Path], table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="no engine 'int9'"):
        across.compare(
            bundles("conversations"), str(table("conversations", 60)), Settings(engines=("int9",)), {"top_k": "0,5"}
        )
    with pytest.raises(UsageError, match="'int8' is named twice"):
        across.compare(
            bundles("conversations"),
            str(table("conversations", 60)),
            Settings(engines=("int8", "int8")),
            {"top_k": "0,5"},
        )


def test_parameters_are_carried_over_without_a_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--translate", "vllm", "--temperature", "0.7", "--top_p", "0.9"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["top_p"] == 0.9
    assert main(["sweep", "--translate", "vllm", "--temperature", "0.7", "--top_p", "0.9", "--min_p", "0.1"]) == 2
    assert main(["sweep", "--translate-from", "llama.cpp"]) == 0
    assert "sampler_order" in json.loads(capsys.readouterr().out)
    assert main(["sweep"]) == 2
