"""A parameter on a trained model: what is found agrees with what the model answers to requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tunesmith import evaluation, predict
from tunesmith.errors import BundleError, SourceError, UsageError
from tunesmith.explaining.found import Found
from tunesmith.explaining.study import Wanted, explain
from tunesmith.train.run import Run

CHAT = {
    "train.max_steps": 2,
    "model.max_length": 128,
    "task.report_rows": 1,
    "adapter": "lora",
    "train.learning_rate": 0.05,
}
PROMPTS = ("the bank", "soup and bread", "goal", "a coin, the rain")


@pytest.fixture
def chat(run: Callable[..., Run]) -> Callable[..., Found]:
    folder = run("conversations", "llama", 30, **CHAT).folder
    return lambda name, **more: explain(Wanted(name, str(folder), **{"prompts": PROMPTS, "tokens": 8, **more}))


@pytest.fixture
def reading(run: Callable[..., Run], table: Callable[..., Path]) -> Callable[..., tuple[Path, Callable[..., Found]]]:
    def of(kind: str, **more: Any) -> tuple[Path, Callable[..., Found]]:
        folder = run(kind, **more).folder
        data = str(table(kind, 160))
        return folder, lambda name, **asked: explain(Wanted(name, str(folder), **{"data": data, **asked}))

    return of


def column(found: Found, name: str) -> tuple[float | None, ...]:
    return next(one.numbers for one in found.columns if one.name == name)


def test_the_declared_range_is_tried_on_every_place(chat: Callable[..., Found]) -> None:
    found = chat("top_p")
    assert found.values[0] == 0.5
    assert found.values[-1] == 1.0
    assert not found.inert
    assert column(found, "cut")[-1] == 0
    assert column(found, "entropy") == tuple(sorted(column(found, "entropy"), key=float))  # type: ignore[arg-type]
    assert len(found.details["paths"]) == 4
    assert "top_p changes the likeliest token nowhere" in str(found)
    json.dumps(found.to_json())


def test_held_parameters_come_from_the_call_or_the_bundle(run: Callable[..., Run], chat: Callable[..., Found]) -> None:
    assert chat("top_p", held={"temperature": "0.5"}).held == {"temperature": 0.5}
    assert chat("top_p", held={"top_k": 1}).inert
    folder = run("conversations", "llama", 30, out="hot", **{**CHAT, "request.temperature": 0.3}).folder
    found = explain(Wanted("top_k", str(folder), PROMPTS, tokens=4))
    assert found.held == {"temperature": 0.3}


def test_an_inert_parameter_is_said_to_be_so(chat: Callable[..., Found]) -> None:
    found = chat("no_repeat_ngram_size", values="40,50")
    assert found.inert
    assert found.largest == 0
    assert "has no effect here" in str(found.sentences[0])
    assert "has no effect" not in str(chat("no_repeat_ngram_size", values="1"))


def test_beams_are_the_answers_of_requests(chat: Callable[..., Found]) -> None:
    found = chat("num_beams", values="1,3")
    model = predict.load(found.model, "pytorch")
    answers = [model.answers(PROMPTS[:3], num_beams=beams, max_tokens=8) for beams in (1, 3)]
    expected = [answers[which][row]["answer"] for row in range(3) for which in range(2)]
    assert [sample.answer.strip() for sample in found.samples] == [text.strip() for text in expected]
    assert found.columns[2].numbers[1] >= found.columns[2].numbers[0]  # type: ignore[operator]


def test_a_length_penalty_ranks_the_finished_beams(chat: Callable[..., Found]) -> None:
    found = chat("length_penalty", values="-5,1,5", held={"num_beams": 4})
    model = predict.load(found.model, "pytorch")
    usual = model.answers(PROMPTS[:3], num_beams=4, n=4, length_penalty=1.0, max_tokens=8)
    for row, answer in enumerate(usual):
        one = next(s for s in found.samples[3 * row : 3 * row + 3] if s.value == 1.0)
        assert one.answer.strip() == answer["answer"].strip()
    tokens = column(found, "tokens")
    assert tokens[0] <= tokens[1] <= tokens[2]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("kind", "name", "text", "values"),
    [
        ("multi-class", "threshold", "0.2,0.9", (0.2, 0.9)),
        ("multi-label", "threshold", "0.1,0.9", (0.1, 0.9)),
        ("entities", "word_threshold", "0.05,0.95", (0.05, 0.95)),
        ("questions", "null_threshold", "0.05,0.95", (0.05, 0.95)),
        ("triples", "threshold", "0.05,0.9", (0.05, 0.9)),
        ("alike", "dimensions", "4,16", (4, 16)),
    ],
)
def test_tasks_that_read_are_decided_as_requests_are(
    kind: str, name: str, text: str, values: Any, reading: Any, table: Callable[..., Path]
) -> None:
    """Each value's scores are those of an evaluation of the same model with it as default; answers differ as answers do."""
    folder, look = reading(kind)
    found = look(name, values=text, rows=30)
    model = predict.load(folder)
    assert found.values == values
    from tunesmith.data.labelled import read_labelled
    from tunesmith.explaining.gists import gist

    rows = read_labelled(str(table(kind, 160)), model.bundle.config, model.target, folder / "rows").slice(0, 30)
    with model.reading() as place:
        told = [
            [gist(answer) for answer in model.told(model.read(rows, request, place / str(number)), request)]
            for number, request in enumerate(model.request(**{name: value}) for value in (None, *values))
        ]
    changed = [sum(a != b for a, b in zip(told[0], one, strict=True)) / 30 for one in told[1:]]
    assert column(found, "changed") == pytest.approx(changed)
    if name == "dimensions":
        assert column(found, "spearman")[0] != column(found, "spearman")[1]
        return
    model.request = lambda **given: type(model).request(model, **{name: values[1], **given})  # type: ignore[method-assign]
    scores = evaluation.evaluate(model, rows).metrics
    chief = next(one for one in found.columns if str(one.meaning).endswith("against the labels"))
    assert chief.numbers[1] == pytest.approx(scores[chief.name])


def test_what_the_bundle_has_as_default_is_compared_with(reading: Any) -> None:
    _, look = reading("multi-class", **{"request.threshold": 0.999})
    found = look("threshold", values="0.999,0.1", rows=20)
    assert found.usual == 0.999
    assert column(found, "changed")[0] == 0


def test_windows_that_nothing_is_read_in_are_inert(reading: Any) -> None:
    _, look = reading("multi-class")
    found = look("windows", rows=10)
    assert found.inert
    assert "long_text" in str(found)


def test_windows_are_read_anew_for_their_overlap(reading: Any) -> None:
    _, look = reading("questions", **{"model.max_length": 24})
    found = look("window_overlap", values="0,9", rows=20)
    assert not found.inert
    assert "read anew" in str(found.about)


def test_another_temperature_of_the_calibration_moves_scores_alone(reading: Any) -> None:
    _, look = reading("multi-class")
    found = look("calibration", values="0.25,4", rows=30)
    cold, hot = column(found, "score")
    assert cold > hot  # type: ignore[operator]
    assert column(found, "changed") == (0, 0)
    assert not found.inert


def test_abstaining_tells_how_many_are_answered_and_right(reading: Any) -> None:
    _, look = reading("multi-class")
    found = look("threshold", values="0.01,1", rows=40)
    assert column(found, "answered") == (1.0, 0.0)
    assert column(found, "accuracy_answered")[1] is None
    assert "40 of 40 inputs get an answer" in str(found)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "threshold"}, "chat has no request parameter 'threshold'"),
        ({"name": "top_pp"}, "did you mean 'top_p'"),
        ({"name": "n"}, "does not change which token comes next"),
        ({"values": "0,0.5"}, "greater than 0"),
        ({"held": {"top_p": "0.5"}}, "is what is looked at"),
        ({"held": {"temprature": "1"}}, "did you mean 'temperature'"),
        ({"held": {"num_beams": "2"}}, "no exact curves beside it"),
        ({"path": "reference"}, "give --data FILE"),
    ],
)
def test_mistakes_are_told(more: dict[str, Any], message: str, chat: Callable[..., Found]) -> None:
    with pytest.raises(UsageError, match=message):
        chat(**{"name": "top_p", **more})


def test_a_base_model_is_looked_at_as_it_is(writer: Callable[[Any], Path]) -> None:
    found = explain(Wanted("temperature", str(writer("llama")), ("the bank",), values="0.5,2", tokens=4))
    entropy = column(found, "entropy")
    assert entropy[0] < entropy[1]  # type: ignore[operator]
    with pytest.raises(UsageError, match="--prompt"):
        explain(Wanted("temperature", str(writer("llama"))))


def test_python_has_a_door(run: Callable[..., Run]) -> None:
    folder = run("conversations", "llama", 30, **CHAT).folder
    found = tunesmith.explain("top_p", folder, ["the bank"], values=[0.5, 1.0], tokens=4, temperature=0.7)
    assert found.values == (0.5, 1.0)
    assert found.held == {"temperature": 0.7}
    assert str(found).startswith("top_p changes the likeliest token nowhere.")
    with pytest.raises(UsageError, match="did you mean 'temperature'"):
        tunesmith.explain("top_p", folder, ["the bank"], temprature=0.7)


def test_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        explain(Wanted("top_p", str(tmp_path)))
    with pytest.raises(SourceError):
        explain(Wanted("top_p", str(tmp_path / "missing")))
    with pytest.raises(UsageError, match="before it is trained"):
        explain(Wanted("threshold", "all-MiniLM-L6-v2"))
