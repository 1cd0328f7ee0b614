"""Completions in OpenAI's form."""

from __future__ import annotations

import math
from typing import Any

import pytest

from served import Served

URL = "/v1/completions"
ASKED = {"model": "chat", "prompt": "the bank was", "max_tokens": 8, "min_tokens": 8, "temperature": 1.0, "seed": 4}


def text(writing: Served, **more: Any) -> str:
    reply = writing.post(URL, {**ASKED, **more})
    assert reply.status == 200, reply.body
    return str(reply.body["choices"][0]["text"])


def test_a_text_is_gone_on_with_as_it_is(writing: Served) -> None:
    answer = writing.post(URL, ASKED).body
    job = writing.serving.models.find("chat").model
    ids = job.tokenizer("the bank was")["input_ids"]
    assert answer["usage"]["prompt_tokens"] == len(ids)
    assert answer["object"] == "text_completion"
    assert answer["seed"] == 4
    assert text(writing, prompt=ids) == answer["choices"][0]["text"]


def test_the_space_around_a_continuation_stays(writing: Served) -> None:
    form = {"type": "choice", "choice": ["  a fine film  "]}
    more = {"response_format": form, "min_tokens": 0, "max_tokens": 40}
    assert text(writing, **more) == "  a fine film  "
    events = writing.events(URL, {**ASKED, **more, "stream": True})
    assert "".join(choice["text"] for event in events for choice in event["choices"]) == "  a fine film  "


def test_several_prompts_with_several_choices_each(writing: Served) -> None:
    prompts = ["the bank was", "rain and"]
    answer = writing.post(URL, {**ASKED, "prompt": prompts, "n": 2}).body
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    alone = [writing.post(URL, {**ASKED, "prompt": prompt, "n": 2}).body for prompt in prompts]
    assert [one["text"] for one in answer["choices"]] == [one["text"] for own in alone for one in own["choices"]]
    assert answer["usage"]["prompt_tokens"] == sum(own["usage"]["prompt_tokens"] for own in alone)
    assert answer["usage"]["completion_tokens"] == 4 * 8


@pytest.mark.parametrize("more", [{}, {"n": 2}, {"prompt": ["the bank was", "rain and"], "n": 2}, {"echo": True, "logprobs": 2}, {"best_of": 3}])  # fmt: skip
def test_a_stream_adds_up_to_the_answer(writing: Served, more: dict[str, Any]) -> None:
    whole = writing.post(URL, {**ASKED, **more}).body
    events = writing.events(URL, {**ASKED, **more, "stream": True, "stream_options": {"include_usage": True}})
    for choice in whole["choices"]:
        own = [one for event in events for one in event["choices"] if one["index"] == choice["index"]]
        assert "".join(one["text"] for one in own) == choice["text"]
        assert own[-1]["finish_reason"] == choice["finish_reason"]
        if choice["logprobs"] is not None:
            for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
                assert [value for one in own if one["logprobs"] for value in one["logprobs"][name]] == choice[
                    "logprobs"
                ][name]
    assert {name: events[-1]["usage"][name] for name in ("prompt_tokens", "completion_tokens")} == {
        name: whole["usage"][name] for name in ("prompt_tokens", "completion_tokens")
    }


def test_several_prompts_come_as_they_are_written(writing: Served) -> None:
    events = writing.events(URL, {**ASKED, "prompt": ["the bank was", "rain and"], "stream": True})
    order = [choice["index"] for event in events for choice in event["choices"] if choice["text"]]
    assert order != sorted(order)


def test_echo_scores_the_prompt(writing: Served) -> None:
    choice = writing.post(URL, {**ASKED, "echo": True, "logprobs": 2, "max_tokens": 0, "min_tokens": 0}).body[
        "choices"
    ][0]
    told = choice["logprobs"]
    assert choice["text"] == "the bank was"
    assert "".join(told["tokens"][1:]) == "the bank was"  # the first is the one that begins every text
    assert told["token_logprobs"][0] is None
    assert told["top_logprobs"][0] is None
    for token, logprob, tops in list(zip(told["tokens"], told["token_logprobs"], told["top_logprobs"], strict=True))[
        1:
    ]:
        assert tops[token] == logprob
        assert sum(map(math.exp, tops.values())) <= 1.0001


def test_where_tokens_stand(writing: Served) -> None:
    told = writing.post(URL, {**ASKED, "logprobs": 0}).body["choices"][0]["logprobs"]
    assert told["top_logprobs"] is None
    for number, offset in enumerate(told["text_offset"]):
        assert offset == len("".join(told["tokens"][:number]))


def test_logprobs_is_a_number_and_may_be_a_truth(writing: Served) -> None:
    effective = writing.post(URL, {**ASKED, "logprobs": 3}).body["effective_parameters"]
    assert (effective["logprobs"], effective["top_logprobs"]) == (True, 3)
    effective = writing.post(URL, {**ASKED, "logprobs": True, "top_logprobs": 1}).body["effective_parameters"]
    assert (effective["logprobs"], effective["top_logprobs"]) == (True, 1)
    error = writing.post(URL, {**ASKED, "logprobs": 3, "top_logprobs": 1}).body["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "logprobs")
    assert writing.post(URL, {**ASKED, "logprobs": 21}).body["error"]["param"] == "logprobs"


def test_a_translation_has_its_text_as_prompt(writing: Served) -> None:
    texts = ["soup bread", "rain"]
    reply = writing.post(URL, {"model": "translation", "prompt": texts, "max_tokens": 6})
    assert reply.status == 200, reply.body
    served = writing.serving.models.find("translation")
    own = served.worker.between(lambda built: built.models["translation"].answers(texts, max_tokens=6))
    assert [choice["text"] for choice in reply.body["choices"]] == [one["translation"] for one in own]
    streamed = writing.events(URL, {"model": "translation", "prompt": texts, "max_tokens": 6, "stream": True})
    first = "".join(one["text"] for event in streamed for one in event["choices"] if one["index"] == 0)
    assert first == own[0]["translation"]


@pytest.mark.parametrize(
    "prompt", ["", [], [""], [["a"]], [1, "a"], [[]], 5, {"a": 1}, [True, False], [-1], [10**9], "a\ud800", None]
)
def test_prompts_that_are_none(writing: Served, prompt: Any) -> None:
    reply = writing.post(URL, {**ASKED, "prompt": prompt})
    assert reply.status == 400
    assert (reply.body["error"]["param"] or "prompt").startswith("prompt")
    assert writing.serving.models.ready


def test_what_does_not_fit(writing: Served) -> None:
    error = writing.post(URL, {**ASKED, "prompt": "a b " * 3000}).body["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    error = writing.post(URL, {**ASKED, "prompt": "x" * 190_000}).body["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    assert "190,000 letters" in error["message"]
    error = writing.post(URL, {**ASKED, "suffix": "b"}).body["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", "suffix")
    error = writing.post(URL, {**ASKED, "model": "translation", "prompt": [1, 2]}).body["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "prompt")
    error = writing.post(URL, {**ASKED, "model": "reviews"}).body["error"]
    assert (error["code"], error["param"]) == ("unsupported_task", "model")


def test_the_models_are_listed(writing: Served) -> None:
    listed = writing.get("/v1/models").body
    assert listed["object"] == "list"
    assert {one["id"]: one["task"] for one in listed["data"]} == {
        "chat": "chat",
        "translation": "translation",
        "reviews": "text-classification",
    }
    one = writing.get("/v1/models/chat").body
    assert one in listed["data"]
    assert (one["object"], one["owned_by"], one["max_model_len"]) == ("model", "tunesmith", 4096)
    missing = writing.get("/v1/models/chad")
    assert (missing.status, missing.body["error"]["code"]) == (404, "model_not_found")
