"""What is asked of a task that writes reaches its answer: every parameter has an effect, a warning or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith as ts
from tunesmith import cli, plugins
from tunesmith.errors import ContextError, UsageError
from tunesmith.generation.request import GenerationRequest
from tunesmith.predict import Model
from tunesmith.writing.streaming import Piece, Trimmed

GIVEN = {"conversations": "the bank", "translations": "soup bread", "summaries": "goal team match"}
FAMILIES = {"conversations": "llama", "translations": "marian", "summaries": "bart"}
NAMES = {"conversations": "answer", "translations": "translation", "summaries": "summary"}
DRAWN = {"temperature": 1.5, "seed": 1, "max_tokens": 14, "ignore_eos": True}
every_kind = pytest.mark.parametrize("kind", GIVEN)


@pytest.fixture(scope="module")
def opened(
    parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Model]:
    """Gives a model of a kind, hardly trained."""
    made: dict[str, Model] = {}

    def of(kind: str) -> Model:
        if kind not in made:
            quick = {"train.max_steps": 2, "model.max_length": 96, "request.max_tokens": 8, "task.report_rows": 2}
            windows = {"model.long_text": "windows", "model.window_overlap": 8} if kind == "summaries" else {}
            folder = tmp_path_factory.mktemp("asked") / kind
            given = parameters(kind, FAMILIES[kind], 40, adapter="full", **quick, **windows)
            made[kind] = ts.load(ts.train(quiet=True, out=str(folder), **given).folder)
        return made[kind]

    return of


@pytest.mark.parametrize("task", ["chat", "summarization", "translation"])
def test_every_parameter_of_generation_can_be_asked(task: str) -> None:
    asked = plugins.module("tasks", task).Request
    assert set(GenerationRequest.model_fields) <= set(asked.model_fields)


# Each with what it needs beside DRAWN; a value that changes the answer, or else must be told to do nothing.
CHANGES: dict[str, dict[str, Any]] = {
    "max_tokens": {"max_tokens": 3},
    "min_tokens": {"min_tokens": 14, "ignore_eos": False, "logit_bias": {0: 30, 1: 30}},
    "temperature": {"temperature": 0.3},
    "top_k": {"top_k": 2},
    "top_p": {"top_p": 0.05},
    "min_p": {"min_p": 0.9},
    "typical_p": {"typical_p": 0.05},
    "top_n_sigma": {"top_n_sigma": 0.5},
    "epsilon_cutoff": {"epsilon_cutoff": 0.02},
    "eta_cutoff": {"eta_cutoff": 0.95},
    "xtc_probability": {"xtc_probability": 1.0, "xtc_threshold": 0.001},
    "xtc_threshold": {"xtc_threshold": 0.3},
    "dry_multiplier": {"dry_multiplier": 50.0, "dry_allowed_length": 1, "temperature": 0.0},
    "dry_base": {"dry_base": 3.0},
    "dry_allowed_length": {"dry_allowed_length": 4},
    "dry_sequence_breakers": {"dry_sequence_breakers": ["a"]},
    "repetition_penalty": {"repetition_penalty": 5.0},
    "frequency_penalty": {"frequency_penalty": 2.0, "temperature": 0.0},
    "presence_penalty": {"presence_penalty": 2.0, "temperature": 0.0},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 1},
    "logit_bias": {"logit_bias": {50: 100}},
    "bad_words": {"bad_words": list("etaoinshrdlcum")},
    "allowed_token_ids": {"allowed_token_ids": [60, 61]},
    "stop": {"stop": list("etaoinshrdlcum")},
    "stop_token_ids": {"stop_token_ids": list(range(3, 250))},
    "ignore_eos": {"ignore_eos": False, "logit_bias": {0: 30, 1: 30}},
    "seed": {"seed": 2},
    "n": {"n": 2},
    "best_of": {"best_of": 4},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 2},
    "logprobs_of": {"logprobs_of": "processed"},
    "echo": {"echo": True},
    "num_beams": {"num_beams": 3, "temperature": 0.0},
    "length_penalty": {"length_penalty": 2.0},
    "early_stopping": {"early_stopping": True},
    "sampler_order": {"sampler_order": ["top_p", "temperature"], "top_p": 0.9},
    "truncate_prompt": {"truncate_prompt": "start"},
    "response_format": {"response_format": {"type": "choice", "choice": ["yes", "no"]}, "ignore_eos": False},
}
SILENT = ("truncate_prompt", "sampler_order")
"""What changes nothing here as the prompt is short, or may lead to the same draw."""


def test_the_table_is_whole() -> None:
    assert set(CHANGES) == set(GenerationRequest.model_fields)


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in SILENT])
@pytest.mark.parametrize("kind", ["conversations", "translations"])
def test_a_parameter_has_an_effect_a_warning_or_an_error(opened: Callable[[str], Model], kind: str, name: str) -> None:
    model, change = opened(kind), CHANGES[name]
    others = {key: value for key, value in change.items() if key != name}
    base = {key: value for key, value in {**DRAWN, **others}.items() if key != name or name in DRAWN}
    if name == "num_beams":
        base.pop("seed")
    if "top_logprobs" in change and name == "logprobs":
        base.pop("top_logprobs")
    (plain,) = model.answers([GIVEN[kind]], **base)
    if (name, kind) == ("echo", "translations"):
        with pytest.raises(UsageError, match="echo: an encoder-decoder"):
            model.answers([GIVEN[kind]], **{**base, **change})
        return
    (changed,) = model.answers([GIVEN[kind]], **{**base, **change})
    assert changed != plain
    if any(text.startswith(name) for text in changed.get("warnings", ())):
        assert changed[NAMES[kind]] == plain[NAMES[kind]]


def test_both_names_of_the_limit_are_one(opened: Callable[[str], Model]) -> None:
    model = opened("conversations")
    (answer,) = model.answers(["the bank"], max_completion_tokens=3, ignore_eos=True)
    assert (answer["tokens"], answer["finish_reason"]) == (3, "length")
    assert model.answers(["the bank"], max_completion_tokens=3, max_tokens=3, ignore_eos=True, seed=answer["seed"])
    with pytest.raises(UsageError, match="max_completion_tokens: 3, and max_tokens, which is the same parameter, is 4"):
        model.answers(["the bank"], max_completion_tokens=3, max_tokens=4)


def test_every_answer_comes_with_all_that_is_known_of_it(opened: Callable[[str], Model]) -> None:
    asked = {**DRAWN, "n": 3, "best_of": 5, "logprobs": True, "top_logprobs": 2, "stop": ["e"]}
    (answer,) = opened("conversations").answers(["the bank"], **asked)
    every = [answer, *answer["alternatives"]]
    assert len(every) == 3
    for one in every:
        assert one["finish_reason"] in ("stop", "length")
        assert len(one["logprobs"]) == one["tokens"]
        assert all(len(place["top"]) == 2 for place in one["logprobs"])
        assert one["score"] == pytest.approx(sum(place["logprob"] for place in one["logprobs"]) / one["tokens"])
    assert [one["score"] for one in every] == sorted((one["score"] for one in every), reverse=True)
    assert {one.get("stopped_by") for one in every} <= {"e", None}
    assert json.loads(json.dumps(answer))["answer"] == answer["answer"]


def test_more_answers_than_a_batch_usually_has(opened: Callable[[str], Model]) -> None:
    (answer,) = opened("conversations").answers(["the bank"], **{**DRAWN, "n": 20, "max_tokens": 3})
    assert len(answer["alternatives"]) == 19
    assert len(list(opened("conversations").stream("the bank", **{**DRAWN, "n": 20, "max_tokens": 3}))) > 20


def test_a_prompt_over_the_context_is_refused_with_its_number_or_cut_as_asked(opened: Callable[[str], Model]) -> None:
    model, long = opened("conversations"), "rain " * 400
    with pytest.raises(ContextError, match=r"2 of 3 prompts") as caught:
        model.answers(["the bank", long, long], max_tokens=4)
    assert [problem.where for problem in caught.value.problems] == ["input 1", "input 2"]
    assert "context 256" in caught.value.problems[0].message
    (cut,) = model.answers([long], max_tokens=4, truncate_prompt="start")
    assert any("prompt cut from" in warning for warning in cut["warnings"])
    middling = "rain " * 100
    (short_of_room,) = model.answers([middling], max_tokens=250, ignore_eos=True)
    assert short_of_room["finish_reason"] == "length"
    assert any("of max_tokens 250" in warning for warning in short_of_room["warnings"])


@every_kind
@pytest.mark.parametrize(
    "asked",
    [
        {"seed": 3},
        {**DRAWN, "n": 3, "seed": 4},
        {"num_beams": 3, "n": 2},
        {**DRAWN, "n": 2, "best_of": 4},
        {**DRAWN, "stop": ["e"], "logprobs": True},
    ],
    ids=["greedy", "several", "beams", "best", "stop"],
)
def test_a_stream_adds_up_to_the_answer(opened: Callable[[str], Model], kind: str, asked: dict[str, Any]) -> None:
    model, given = opened(kind), GIVEN[kind] if kind != "summaries" else "goal team match " * 60
    (answer,) = model.answers([given], **asked)
    *pieces, last = list(model.stream(given, **asked))
    assert isinstance(last, dict)
    assert {**last, "seed": 0} == {**answer, "seed": 0}
    every = [last, *last.get("alternatives", ())]
    for number, one in enumerate(every):
        texts = [piece.text for piece in pieces if isinstance(piece, Piece) and piece.choice == number]
        assert "".join(texts) == one[NAMES[kind]]
    assert all(isinstance(piece, Piece) and piece.text for piece in pieces)
    assert kind != "summaries" or "\n" in last["summary"]


def test_a_stream_refuses_at_once(opened: Callable[[str], Model]) -> None:
    with pytest.raises(UsageError, match="did you mean 'temperature'"):
        opened("conversations").stream("the bank", temprature=1)
    with pytest.raises(UsageError, match="1 of 1 inputs"):
        opened("conversations").stream("")


def test_an_echo_is_streamed_too(opened: Callable[[str], Model]) -> None:
    asked = {**DRAWN, "echo": True, "n": 2}
    *pieces, last = list(opened("conversations").stream("the bank", **asked))
    assert isinstance(last, dict)
    for number, one in enumerate([last, *last["alternatives"]]):
        texts = [piece.text for piece in pieces if isinstance(piece, Piece) and piece.choice == number]
        assert "".join(texts) == one["answer"]
        assert "the bank" in one["answer"]


def test_leaving_a_stream_early_is_fine(opened: Callable[[str], Model]) -> None:
    news: Any = opened("conversations").stream("the bank", **DRAWN)
    assert isinstance(next(news), Piece)
    news.close()


def test_space_is_held_back_until_something_follows() -> None:
    trimmed = Trimmed()
    assert [trimmed.push(text) for text in ("", " \n", " a ", " ", "b", " ")] == ["", "", "a", "", "  b", ""]


def test_the_shell_shows_a_text_while_it_is_written(
    opened: Callable[[str], Model], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = str(opened("conversations").bundle.folder)
    words = ["predict", folder, "the bank", "--temperature", "1.5", "--seed", "1"]
    assert cli.main(words) == 0
    plain = capsys.readouterr()
    assert cli.main([*words, "--stream"]) == 0
    shown = capsys.readouterr()
    assert shown.out == plain.out
    assert shown.err.strip().endswith(json.loads(shown.out)["answer"])
    assert cli.main(["predict", folder, "--input", "x.csv", "--stream"]) == 2
    assert "--stream" in capsys.readouterr().err


def test_a_row_that_is_too_long_keeps_no_other_from_its_answer(opened: Callable[[str], Model], tmp_path: Path) -> None:
    rows, output = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    texts = ["the bank", "rain " * 400, "the rain"]
    rows.write_text("".join(json.dumps({"messages": text}) + "\n" for text in texts), encoding="utf-8")
    folder = str(opened("conversations").bundle.folder)
    assert cli.main(["predict", folder, "--input", str(rows), "--output", str(output)]) == 0
    found = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert ["prediction" in row for row in found] == [True, False, True]
    assert "tokens" in found[1]["error"]
