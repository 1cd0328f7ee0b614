"""How often answers are of a format: where it is asked for, where it is not, and by which one all are judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.cli import main
from tunesmith.errors import UsageError
from tunesmith.sweeping import run
from tunesmith.sweeping.found import Found
from tunesmith.sweeping.settings import Settings

CHOICE = {"type": "choice", "choice": ["a", "it"]}
WORD = {"type": "regex", "regex": "[a-z]{1,2}"}
ENDLESS = {"type": "regex", "regex": "[a-z ]{200,}"}
SCHEMA = {"type": "json_schema", "json_schema": {"schema": {"type": "object", "required": ["label"]}}}


@pytest.fixture
def swept(bundles: Callable[..., Path], table: Callable[..., Path], tmp_path: Path) -> Callable[..., Found]:
    def of(texts: dict[str, Any], **more: Any) -> Found:
        settings = Settings(**{"out": str(tmp_path / "study"), "rows": 8, **more})
        given = {name: value if isinstance(value, str) else json.dumps(value) for name, value in texts.items()}
        return run.sweep(bundles("conversations"), str(table("conversations", 60)), settings, given, quiet=True).found

    return of


def valid(found: Found) -> list[float | None]:
    return [row.measures.get("valid") for row in found.settings]


def test_a_format_that_is_held_is_kept_to(swept: Callable[..., Found]) -> None:
    found = swept({"response_format": CHOICE, "temperature": "0,1"})
    assert valid(found) == [1, 1]
    assert any("100% are whole and of the format" in one for one in found.conclusions)


def test_free_answers_are_judged_by_the_one_format_that_others_ask_for(swept: Callable[..., Found]) -> None:
    found = swept({"response_format": [None, CHOICE]})
    assert valid(found) == [0, 1]
    (named,) = [level.value for level in found.effects[0].levels if level.value != "none"]
    assert named.startswith("choice-")
    assert f"{named} is {json.dumps(CHOICE)}" in found.notes
    assert any("response_format changes that share" in one for one in found.conclusions)


def test_all_are_judged_by_the_format_given(swept: Callable[..., Found]) -> None:
    found = swept({"temperature": "0,1"}, **{"valid-against": SCHEMA})
    assert valid(found) == [0, 0]


def test_each_is_judged_by_its_own_where_all_have_one(swept: Callable[..., Found]) -> None:
    found = swept({"response_format": [CHOICE, WORD]})
    assert valid(found) == [None] * 3  # the defaults have none
    assert any("--valid-against" in note for note in found.notes)


def test_what_was_cut_is_not_valid(swept: Callable[..., Found]) -> None:
    found = swept({"response_format": ENDLESS, "temperature": "0,1"})
    assert valid(found) == [0, 0]
    assert [row.measures["cut"] for row in found.settings] == [1, 1]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ('{"type": "json"}', "type is 'json'; legal"),
        ('{"type": "text"}', "every text is of the type text"),
        ('{"type": "json_schema", "json_schema": {"schema": {"type": "objekt"}}}', "no JSON schema"),
        ('{"type": "regex", "regex": "("}', "cannot be used"),
    ],
)
def test_a_format_that_is_none_is_refused(
    bundles: Callable[..., Path],
    table: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    form: str,
    message: str,
) -> None:
    words = ["sweep", str(bundles("conversations")), str(table("conversations", 60)), "--temperature", "0,1"]
    assert main([*words, "--valid-against", form]) == 2
    assert message in capsys.readouterr().err


def test_tasks_that_read_have_no_format(
    bundles: Callable[..., Path], table: Callable[..., Path], tmp_path: Path
) -> None:
    settings = Settings(**{"out": str(tmp_path / "study"), "valid-against": CHOICE})
    with pytest.raises(UsageError, match="only texts that are written"):
        run.sweep(bundles("binary"), str(table("binary", 60)), settings, {"threshold": "0.1,0.9"}, quiet=True)
