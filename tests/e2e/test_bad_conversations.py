"""Ten bad rows in a file of each form of conversations: each is told with its line and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith import cli

ASKED, ANSWERED = {"role": "user", "content": "the bank"}, {"role": "assistant", "content": "the money thing"}
HUMAN, GPT = {"from": "human", "value": "the bank"}, {"from": "gpt", "value": "the money thing"}
ALPACA = {"instruction": "the bank", "input": "", "output": "the money thing", "history": [], "system": ""}
PAIR = {"prompt": "the bank", "completion": "the money thing"}
PREFERENCE = {"prompt": "the bank", "chosen": "the money thing", "rejected": "the food thing"}

FORMS: dict[str, tuple[dict[str, Any], list[tuple[dict[str, Any], str]]]] = {
    "openai": (
        {"messages": [ASKED, ANSWERED]},
        [
            ({"messages": None}, "messages is missing"),
            ({"messages": []}, "messages is an empty list"),
            ({"messages": [ASKED]}, "messages hold no assistant message"),
            ({"messages": [ANSWERED]}, "message 1 is an answer that follows no user's message"),
            ({"messages": [ASKED, {"content": "a"}]}, "message 2 has no role"),
            ({"messages": [ASKED, {"role": "asistant", "content": "a"}]}, "unknown role 'asistant'"),
            ({"messages": [ASKED, {"role": "assistant"}]}, "message 2 has no content"),
            ({"messages": [ASKED, {"role": "assistant", "content": " "}]}, "message 2 is blank"),
            ({"messages": [ASKED, ANSWERED, {"role": "system", "content": "a"}]}, "message 3 is a system message"),
            ({"messages": [ASKED, {**ANSWERED, "tool_calls": [{"id": "1"}]}]}, "message 2 calls tools"),
        ],
    ),
    "sharegpt": (
        {"conversations": [HUMAN, GPT], "system": None},
        [
            ({"conversations": "hello"}, "is text that is not a JSON list"),
            ({"conversations": [HUMAN]}, "hold no assistant message"),
            ({"conversations": [{"from": "alien", "value": "a"}, GPT]}, "unknown role 'alien'"),
            ({"conversations": [HUMAN, {"from": "gpt"}]}, "message 2 has no content"),
            ({"conversations": [HUMAN, {"from": "gpt", "value": ""}]}, "message 2 is blank"),
            ({"conversations": [{"value": "a"}, GPT]}, "message 1 has no role"),
            ({"conversations": [HUMAN, {"from": "gpt", "value": 4}]}, "message 2 is a int, not text"),
            ({"conversations": [GPT]}, "message 1 is an answer that follows no user's message"),
            ({"conversations": [HUMAN, GPT, GPT]}, "message 3 is an answer that follows no user's message"),
            ({"conversations": [{"from": "system", "value": "a"}, HUMAN, GPT], "system": "b"}, "starts with a system"),
        ],
    ),
    "alpaca": (
        ALPACA,
        [
            ({**ALPACA, "instruction": " "}, "instruction is blank"),
            ({**ALPACA, "instruction": 3}, "instruction is a int"),
            ({**ALPACA, "instruction": None}, "is missing"),
            ({**ALPACA, "output": None}, "hold no assistant message"),
            ({**ALPACA, "output": "\n"}, "output is blank"),
            ({**ALPACA, "output": 3}, "output is a int"),
            ({**ALPACA, "input": 3}, "input is a int"),
            ({**ALPACA, "history": "earlier"}, "history is a str"),
            ({**ALPACA, "history": [["a"]]}, "something other than [question, answer]"),
            ({**ALPACA, "history": [["a", ""]]}, "history is blank"),
        ],
    ),
    "pairs": (
        PAIR,
        [
            ({**PAIR, "prompt": None}, "prompt is missing"),
            ({**PAIR, "prompt": "  "}, "prompt is blank"),
            ({**PAIR, "prompt": 5}, "prompt is a int"),
            ({**PAIR, "prompt": []}, "prompt is an empty list"),
            ({**PAIR, "prompt": [{"role": "user"}]}, "message 1 has no content"),
            ({**PAIR, "prompt": [{"role": "usr", "content": "a"}]}, "unknown role 'usr'"),
            ({**PAIR, "completion": None}, "hold no assistant message"),
            ({**PAIR, "completion": "\t"}, "completion is blank"),
            ({**PAIR, "completion": 3}, "completion is a int"),
            ({**PAIR, "completion": [ANSWERED]}, "content of kind"),
        ],
    ),
    "preferences": (
        PREFERENCE,
        [
            ({**PREFERENCE, "chosen": None}, "chosen is missing"),
            ({**PREFERENCE, "rejected": None}, "rejected is missing"),
            ({**PREFERENCE, "prompt": None}, "prompt is missing"),
            ({**PREFERENCE, "prompt": ""}, "prompt is blank"),
            ({**PREFERENCE, "rejected": PREFERENCE["chosen"]}, "is the same as chosen"),
            ({**PREFERENCE, "chosen": " "}, "chosen is blank"),
            ({**PREFERENCE, "chosen": 1}, "chosen is a int"),
            ({**PREFERENCE, "chosen": []}, "chosen is an empty list"),
            ({**PREFERENCE, "chosen": [ASKED]}, "not with an answer"),
            ({**PREFERENCE, "rejected": [ASKED, ASKED, ANSWERED]}, "answers another conversation"),
        ],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_bad_row_is_told(
    form: str, tmp_path: Path, writer: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = FORMS[form]
    assert len(bad) == 10
    goods = [json.dumps(good).replace("the bank", f"the bank {number}") for number in range(20)]
    file = tmp_path / "chat.jsonl"
    file.write_text("\n".join([*goods[:3], *(json.dumps(row) for row, _ in bad), *goods[3:]]), encoding="utf-8")
    command = ["check", str(file), "--task", "chat", "--model.base", str(writer("llama")), "--json"]
    assert cli.main(command) == 2
    errors = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["severity"] == "error"]
    for line, (_, said) in enumerate(bad, start=4):
        assert any(said in error["message"] and f"{file}:{line}" in error["examples"] for error in errors), (line, said)
    assert sum(error["count"] for error in errors) == 10
    assert cli.main([*command, "--data.bad_rows", "drop"]) == 0
