"""What is told of a parameter without a model is what is declared, checked and done elsewhere."""

from __future__ import annotations

import re

import pytest

from tunesmith import params, plugins
from tunesmith.errors import UsageError
from tunesmith.explaining import declared, elsewhere, interactions
from tunesmith.explaining.elsewhere import ELSEWHERE, PROGRAMS
from tunesmith.generation import request as requests
from tunesmith.generation.request import GenerationRequest
from tunesmith.generation.sampler import SAMPLERS

GENERATING = list(GenerationRequest.model_fields)


def sheet(name: str, task: str = "chat") -> declared.Sheet:
    return declared.sheet(next(one for one in declared.find(name) if task in one.tasks))


def test_every_request_parameter_of_every_task_is_there() -> None:
    listed = {(task, one.name) for one in declared.every() for task in one.tasks}
    expected = {
        (task, leaf.path)
        for task in plugins.names("tasks")
        for leaf in params.leaves(plugins.module("tasks", task).Request)
    }
    assert listed == expected
    assert {one.name for group in declared.groups().values() for one in group} == {name for _, name in expected}


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda one: one.name)
def test_samplers_tell_formula_source_and_place(sampler) -> None:  # type: ignore[no-untyped-def]
    name = (
        sampler.name
        if sampler.name in GENERATING
        else f"{sampler.name}_{'probability' if sampler.name == 'xtc' else 'multiplier'}"
    )
    found = sheet(name)
    assert found.formula == " ".join(sampler.formula.split())
    assert found.order[found.place - 1] == sampler.name
    drawn = sampler.draws or sampler.name.endswith("penalty")
    assert bool(re.search(r"(19|20)\d\d", found.source)) or not drawn


def test_tasks_may_differ_in_what_they_mean_and_default_to() -> None:
    assert sheet("max_tokens").defaults == {"chat": 256, "summarization": 128, "translation": 128}
    assert sheet("top_k").meaning != sheet("top_k", "text-classification").meaning
    assert sheet("top_k", "text-classification").formula == ""
    assert sheet("top_k").search == "1 to 100, evenly in the logarithm"
    assert sheet("num_beams").search == "1, 2, 4, 8"


def test_engines_are_told_as_they_declare() -> None:
    found = sheet("top_p").engines
    assert found["pytorch"] == ""
    assert found["remote: other servers"].startswith("with temperature 0 or 1")
    assert "remote: vLLM" not in sheet("xtc_probability").engines


def test_what_training_decided_is_told_too() -> None:
    [found] = declared.find("calibration")
    assert set(found.tasks) == {"text-classification", "token-classification", "relation-extraction"}
    assert "no request sets it" in declared.sheet(found).meaning


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'temperature'"):
        declared.find("temprature")


@pytest.mark.parametrize("name", GENERATING)
def test_what_is_tried_of_a_parameter_is_legal_and_not_its_default(name: str) -> None:
    default = GenerationRequest.model_fields[name].default
    assert interactions.tried(name)
    for value in interactions.tried(name):
        assert getattr(GenerationRequest(**{name: value}), name) != default


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("top_p", "has no effect beside the defaults: temperature is 0, so the likeliest token is taken"),
        ("top_p", "has no effect beside num_beams 4: a beam search does not draw"),
        (
            "temperature",
            "is refused beside num_beams 4: temperature: a beam search does not draw: temperature must be 0",
        ),
        ("length_penalty", "has no effect beside the defaults: num_beams is 1"),
        ("xtc_threshold", "leaves xtc_probability without effect: xtc_threshold is above 0.5"),
        ("ignore_eos", "leaves min_tokens without effect: there is no end token that it could hold off"),
        ("num_beams", "is what length_penalty, early_stopping needs: else num_beams is 1"),
        (
            "dry_multiplier",
            "is what dry_base, dry_allowed_length, dry_sequence_breakers needs: else dry_multiplier is 0",
        ),
        ("top_logprobs", "is refused beside the defaults: top_logprobs: needs logprobs: true"),
    ],
)
def test_interactions_are_what_the_check_of_requests_says(name: str, sentence: str) -> None:
    assert sentence in [str(one) for one in interactions.of(name)]


def test_temperature_is_what_drawing_needs() -> None:
    [drawing] = [one for one in interactions.of("temperature") if one.kind == "enables"]
    assert set(drawing.other.split(", ")) == set(requests._OF_DRAWING)


def test_nothing_is_said_of_parameters_that_leave_one_another_alone() -> None:
    assert interactions.of("frequency_penalty") == []


def test_every_parameter_of_generation_is_looked_up_elsewhere() -> None:
    assert set(GENERATING) <= set(ELSEWHERE)
    for name in GENERATING:
        assert set(ELSEWHERE[name]) == set(PROGRAMS)
    reading = {name for name in ELSEWHERE if name not in GENERATING}
    assert reading <= {f"{task}.{one.name}" for one in declared.every() for task in one.tasks}


def test_transformers_has_these_names_and_defaults() -> None:
    from transformers import GenerationConfig

    config = GenerationConfig()
    defaults = config._get_default_generation_params()
    for name in GENERATING:
        there = ELSEWHERE[name]["transformers"]
        if not there.name or there.name in ("prefix_allowed_tokens_fn",):
            continue
        assert hasattr(config, there.name)
        told = defaults.get(there.name)
        if isinstance(told, int | float) and not isinstance(told, bool):
            assert float(there.default) == told, name


def test_llama_cpp_has_these_defaults() -> None:
    xllamacpp = pytest.importorskip("xllamacpp")
    told = xllamacpp.CommonParams().sampling
    names = {"temperature": "temp", "typical_p": "typ_p", "repetition_penalty": "penalty_repeat"}
    names |= {"frequency_penalty": "penalty_freq", "presence_penalty": "penalty_present"}
    same = (
        "top_k",
        "top_p",
        "min_p",
        "xtc_probability",
        "xtc_threshold",
        "dry_multiplier",
        "dry_base",
        "dry_allowed_length",
    )
    for name, theirs in (names | dict(zip(same, same, strict=True))).items():
        assert float(ELSEWHERE[name]["llama.cpp"].default) == pytest.approx(getattr(told, theirs)), name
    assert ELSEWHERE["sampler_order"]["llama.cpp"].default == told.samplers.replace(";", ", ")
    assert "64" in ELSEWHERE["frequency_penalty"]["llama.cpp"].differs
    assert told.penalty_last_n == 64


def test_openai_has_these_names() -> None:
    chat = pytest.importorskip("openai.types.chat.completion_create_params")
    completions = pytest.importorskip("openai.types.completion_create_params")
    fields = chat.CompletionCreateParamsBase.__annotations__
    for name in GENERATING:
        there = elsewhere.of(name, "chat", writes=True)["OpenAI"]
        if there.name:
            known = completions.CompletionCreateParamsBase.__annotations__ if "completions" in there.differs else fields
            assert there.name in known, name
