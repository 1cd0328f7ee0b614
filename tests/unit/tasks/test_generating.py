"""Translation, summarization and chat on every family that writes: from rows to a loss that falls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import tiny_generators
from tiny_generators import DECODERS, KINDS, Kind
from tunesmith import machine, plugins
from tunesmith.config import Model
from tunesmith.data.written import WrittenExamples
from tunesmith.engines.pytorch import Engine
from tunesmith.errors import UsageError
from tunesmith.generation.answers import Generated, Terms
from tunesmith.generation.request import GenerationRequest
from tunesmith.heads import IGNORED
from tunesmith.networks import generators
from tunesmith.tasks.base import Reader, RowError, Scored, Target
from tunesmith.writing import pace
from tunesmith.writing.generating import Written

TASKS = ("translation", "summarization", "chat")
ROWS: dict[str, list[dict[str, Any]]] = {
    "translation": [
        {"source": "the weather is fine", "target": "das Wetter ist schön", "references": ["schön ist das Wetter"]},
        {"source": "London has rain again", "target": "in Paris ist das Wetter schön"},
    ]
    * 4,
    "summarization": [
        {"text": "the film was a fine piece of work and we loved it " * 3, "summary": "a fine film"},
        {"text": "a dull plot, bad acting and no end: what a waste of time", "summary": "a dull film"},
    ]
    * 4,
    "chat": [
        {"messages": [{"role": "user", "content": "where is my card"}, {"role": "assistant", "content": "it is here"}]},
        {
            "messages": [
                {"role": "user", "content": "top up my account"},
                {"role": "assistant", "content": "how?"},
                {"role": "user", "content": "with a new card"},
                {"role": "assistant", "content": "fine"},
            ]
        },
    ]
    * 4,
}
GIVEN = {"translation": {"source": "the weather"}, "summarization": {"text": "a dull plot"}, "chat": {"messages": "hi"}}


def task_of(name: str, **options: Any) -> Any:
    module = plugins.module("tasks", name)
    return module.Task(module.Params(**options))


def table(task: Any, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([task.read_row(row) for row in rows], schema=task.schema())


def network_of(task: Any, backbone: Any, depth: int = 0) -> Any:
    return task.network(backbone, task.learn(None), Model(), depth=depth)


@pytest.fixture
def encoded(tmp_path: Path) -> Callable[..., tuple[WrittenExamples, Any]]:
    def of(task: Any, kind: Kind, rows: pa.Table, *, truth: bool = True, **reading: Any) -> tuple[WrittenExamples, Any]:
        folder = tiny_generators.write(tmp_path / kind, kind)
        tokenizer = generators.load_tokenizer(folder)
        target = task.learn(rows) if truth else None
        settings = Model(**{"max_length": 128, **reading})
        return task.encode(rows, tokenizer, settings, tmp_path / "encoded", target), tokenizer

    return of


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls(tmp_path: Path, encoded: Callable[..., Any], kind: Kind, name: str) -> None:
    task = task_of(name)
    examples, _ = encoded(task, kind, table(task, ROWS[name]))
    network = network_of(task, generators.load(tmp_path / kind)).train()
    loss = task.loss(task.learn(table(task, ROWS[name])))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    everything = np.arange(len(examples))
    means = []
    for _ in range(8):
        optimizer.zero_grad()
        outputs = network(examples.collate(everything))
        assert outputs.shape == (len(examples), 2)
        assert torch.equal(outputs[:, 1], examples.targets_of(everything))
        mean = loss(outputs, examples.targets_of(everything)).sum() / float(examples.weights.sum())
        mean.backward()
        optimizer.step()
        means.append(float(mean.detach()))
    assert means[-1] < means[0]
    scores = task.validation_scores(list(outputs.detach().numpy()), None, examples, Target(task.kind), None)
    assert scores["perplexity"] == pytest.approx(np.exp(scores["loss"]))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_the_answer_and_its_end_is_what_is_learned(encoded: Callable[..., Any], kind: Kind, name: str) -> None:
    task = task_of(name)
    rows = table(task, ROWS[name])
    examples, tokenizer = encoded(task, kind, rows)
    truths = [texts[0] for texts in task.references(rows)]
    for index in np.flatnonzero(np.append(np.diff(examples.rows) != 0, True)).tolist():  # the last sequence of each row
        labels = examples.tokens(np.array([index]))["labels"][0]
        text = tokenizer.decode(labels[labels != IGNORED])
        assert text.endswith(truths[examples.rows[index]] + tokenizer.eos_token)
        if name != "chat":
            assert text == truths[examples.rows[index]] + tokenizer.eos_token


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bart"])
def test_prompts_are_what_training_reads_before_the_answer(
    tmp_path: Path, encoded: Callable[..., Any], kind: Kind, name: str
) -> None:
    task = task_of(name)
    rows = table(task, ROWS[name])
    examples, _ = encoded(task, kind, rows)
    taught = {int(row): index for index, row in enumerate(examples.rows)}  # the last sequence of each row
    inputs = [examples.tokens(np.array([taught[row]])) for row in range(len(rows))]
    asked, _ = encoded(task, kind, rows, truth=False)
    for prompt, given in zip(asked.prompts(), inputs, strict=True):
        assert given["input_ids"][0, : len(prompt)].tolist() == prompt
        if kind in DECODERS and name != "chat":
            assert (given["labels"][0] == IGNORED).sum() == len(prompt) - 1


@pytest.mark.parametrize("name", TASKS)
def test_a_caller_s_input_is_a_row_without_truth(encoded: Callable[..., Any], name: str) -> None:
    task = task_of(name)
    rows = pa.Table.from_pylist([task.read_input(GIVEN[name])], schema=task.schema())
    asked, tokenizer = encoded(task, "llama", rows, truth=False)
    (prompt,) = asked.prompts()
    assert tokenizer.decode(prompt).endswith("<|assistant|>")
    with pytest.raises(RowError) as caught:
        task.read_input({**GIVEN[name], "surce": "a"})
    assert caught.value.column == "surce"


@pytest.mark.parametrize("name", TASKS)
def test_answers_and_scores(encoded: Callable[..., Any], name: str) -> None:
    terms = Terms(GenerationRequest(), 5, 10, 3, ("beware",), ())
    first, second = (Generated(text, (1, 2, 3), "stop", terms) for text in (" a fine film ", "a dull film"))
    task = task_of(name)
    rows = table(task, ROWS[name])
    examples, _ = encoded(task, "t5", rows)
    outputs = [np.array([6.0, 3.0])] * len(examples)
    written = [Written(((first, second),), 6.0, 3)] * len(rows)
    scored = Scored(rows, examples, written, task.inputs)
    answers = task.answers(scored, task.learn(rows), None)
    assert answers[0] == {
        task.answer: "a fine film",
        "finish_reason": "stop",
        "tokens": 3,
        "seed": 5,
        "engine": "pytorch",
        "alternatives": [{task.answer: "a dull film", "finish_reason": "stop", "tokens": 3}],
        "warnings": ["beware"],
    }
    predictions = task.predictions(scored, task.learn(rows))
    assert predictions.kind == task.kind
    assert len(predictions) == len(rows)
    assert [float(score[0]) for score in task.scores(outputs, examples, task.learn(rows), None)] == [2.0] * len(rows)


def test_long_texts_leave_room_for_the_summary(encoded: Callable[..., Any]) -> None:
    task = task_of("summarization", answer_tokens=16)
    rows = table(task, [{"text": "rain " * 300 + "end", "summary": "a fine film"}])
    for kind in ("llama", "t5"):
        examples, tokenizer = encoded(task, kind, rows, max_length=96)
        inputs = examples.tokens(np.array([0]))
        assert "a fine film" in tokenizer.decode(inputs["labels"][0][inputs["labels"][0] != IGNORED])
        assert "end" in tokenizer.decode(inputs["input_ids"][0])
        assert 60 < inputs["input_ids"].shape[1] <= 96
        assert examples.left_out[0] > 200
        assert examples.encoded[0].cut_texts == 1


def test_windows_of_a_long_text_are_all_asked_about(encoded: Callable[..., Any]) -> None:
    task = task_of("summarization", answer_tokens=16)
    rows = table(task, [{"text": "rain " * 200, "summary": "a"}, {"text": "short", "summary": "b"}])
    for kind in ("llama", "t5"):
        asked, _ = encoded(task, kind, rows, truth=False, max_length=96, long_text="windows", window_overlap=8)
        assert (asked.rows == 0).sum() > 2
        assert (asked.rows == 1).sum() == 1
        assert asked.left_out.tolist() == [0, 0]
        assert all(len(prompt) <= 96 for prompt in asked.prompts())


def test_a_prefix_and_an_instruction_are_used(encoded: Callable[..., Any]) -> None:
    task = task_of(
        "translation", prefix="translate: ", instruction="Say in {target_language}: {text}!", target_language="de"
    )
    rows = table(task, ROWS["translation"])
    asked, tokenizer = encoded(task, "llama", rows, truth=False)
    assert "Say in de: the weather is fine!" in tokenizer.decode(asked.prompts()[0])
    with pytest.raises(UsageError, match="knows no languages"):
        encoded(task, "t5", rows)
    asked, tokenizer = encoded(task_of("translation", prefix="translate: "), "t5", rows, truth=False)
    assert tokenizer.decode(asked.prompts()[0]).startswith("translate: the weather")


@pytest.mark.parametrize(
    ("row", "column", "said"),
    [
        ({"target": "a"}, "source", "is missing"),
        ({"source": "a"}, "target", "is missing"),
        ({"source": " ", "target": "a"}, "source", "is blank"),
        ({"source": "a", "target": "\n"}, "target", "is blank"),
        ({"source": ["a"], "target": "a"}, "source", "is a list"),
        ({"source": "a", "target": {"de": "a"}}, "target", "is a dict"),
        ({"source": None, "target": None}, "source", "is missing"),
        ({"source": "a", "target": "b", "references": 3}, "references", "not a list of texts"),
        ({"source": "a", "target": "b", "references": [""]}, "references", "not a list of texts"),
        ({"source": "a", "target": "b", "references": ["a", 1]}, "references", "not a list of texts"),
    ],
)
def test_bad_pairs_are_told(row: dict[str, Any], column: str, said: str) -> None:
    for name in ("translation", "summarization"):
        task = task_of(name)
        renamed = {{"source": task.given, "target": task.wanted}.get(key, key): value for key, value in row.items()}
        with pytest.raises(RowError, match=said) as caught:
            task.read_row(renamed)
        assert caught.value.column == {"source": task.given, "target": task.wanted}.get(column, column)


def test_a_model_without_trainable_weights_is_refused(tmp_path: Path) -> None:
    backbone = generators.load(tiny_generators.write(tmp_path / "llama", "llama"))
    adapter = plugins.load("adapters", "head")(None)
    adapter.apply(backbone)
    with pytest.raises(UsageError, match="no head of its own"):
        network_of(task_of("chat"), backbone, adapter.frozen_depth(backbone))


@pytest.mark.parametrize("name", ["full", "freeze", "lora"])
@pytest.mark.parametrize("kind", ["llama", "t5", "marian"])
def test_adapters_work_on_them(tmp_path: Path, encoded: Callable[..., Any], kind: Kind, name: str) -> None:
    task = task_of("translation")
    examples, _ = encoded(task, kind, table(task, ROWS["translation"]))
    backbone = generators.load(tmp_path / kind)
    module = plugins.module("adapters", name)
    adapter = module.Adapter(module.Params())
    adapter.apply(backbone)
    network = network_of(task, backbone).train()
    network(examples.collate(np.arange(4)))[:, 0].sum().backward()
    touched = {name for name, weight in network.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert touched
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight += 0.01
    now = network.eval()(examples.collate(np.arange(4)))
    (tmp_path / "saved").mkdir()
    adapter.save(backbone, tmp_path / "saved")
    if adapter.needs_base:
        again = generators.load(tmp_path / kind)
        adapter.restore(again, tmp_path / "saved")
    else:
        again = generators.load(tmp_path / "saved")
    torch.testing.assert_close(network_of(task, again).eval()(examples.collate(np.arange(4))), now)


def test_positions_that_are_computed_do_not_train(tmp_path: Path) -> None:
    backbone = generators.load(tiny_generators.write(tmp_path / "marian", "marian")).requires_grad_(True)
    frozen = {name for name, weight in backbone.named_parameters() if not weight.requires_grad}
    assert frozen == {f"model.model.{side}.embed_positions.weight" for side in ("encoder", "decoder")}


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_models_write_answers(tmp_path: Path, kind: Kind, name: str) -> None:
    task, module = task_of(name, report_rows=3), plugins.module("tasks", name)
    folder = tiny_generators.write(tmp_path / kind, kind)
    target, reading = task.learn(None), Model(max_length=128)
    engine = Engine(network_of(task, task.load_base(folder)), machine.prepare("fp32"))
    reader = Reader(engine, task.load_tokenizer(folder, folder), reading, target)
    inputs = pa.Table.from_pylist([task.read_input(GIVEN[name])], schema=task.schema())
    request = module.Request(max_tokens=4)
    (answer,) = task.answers(task.read(reader, inputs, request, tmp_path / "asked"), target, request)
    assert 1 <= answer["tokens"] <= 4
    rows = table(task, ROWS[name])
    predictions = task.judge(reader, rows, request, tmp_path / "judged")
    assert len(predictions) == (8 if name == "chat" else 3)
    kept = task.golden(reader, inputs, request, tmp_path / "golden")
    again = task.golden(reader, inputs, request, tmp_path / "again")
    assert task.drift(kept, again, target) < 1e-6
    assert len(kept[0]) == 5
    assert 0 < sum(kept[0]) <= 1
    with torch.no_grad():
        for weight in engine.network.parameters():
            weight.mul_(3)
    assert task.drift(kept, task.golden(reader, inputs, request, tmp_path / "moved"), target) > 1e-3


@pytest.mark.parametrize("kind", ["gpt2", "marian"])
def test_an_answer_keeps_to_the_context(tmp_path: Path, kind: Kind) -> None:
    task, module = task_of("summarization"), plugins.module("tasks", "summarization")
    folder = tiny_generators.write(tmp_path / kind, kind)
    engine = Engine(network_of(task, task.load_base(folder)), machine.prepare("fp32"))
    reader = Reader(engine, task.load_tokenizer(folder, folder), Model(max_length=250), task.learn(None))
    rows = pa.Table.from_pylist([task.read_input({"text": "rain " * 180})], schema=task.schema())
    request = module.Request(max_tokens=255, stop_token_ids=(), ignore_eos=True)
    (answer,) = task.answers(task.read(reader, rows, request, tmp_path / "asked"), reader.target, request)
    assert answer["finish_reason"] == "length"
    assert answer["tokens"] < 255


@pytest.mark.parametrize("name", TASKS)
def test_the_time_of_the_reports_answers_is_measured(
    tmp_path: Path, encoded: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "measure", lambda answer, rows: answer(2) and pace.Pace(0.5, 0.1))
    request = plugins.module("tasks", name).Request(max_tokens=20)
    few, many = task_of(name, report_rows=4, base_rows=0), task_of(name, report_rows=4, base_rows=2)
    rows = table(few, ROWS[name])
    _, tokenizer = encoded(few, "llama", rows)
    network = network_of(few, generators.load(tmp_path / "llama"))
    reader = Reader(Engine(network, machine.prepare("fp32", 1)), tokenizer, Model(max_length=128), few.learn(rows))
    own, also = (
        task.answering_s(reader, rows, request, tmp_path / folder, count=100)
        for task, folder in ((few, "few"), (many, "many"))
    )
    longest = 1 + max(len(tokenizer(texts[0])["input_ids"]) for texts in few.references(rows))
    assert 4 * 0.6 < own <= 4 * (0.5 + 0.1 * min(longest, 20))
    assert also == pytest.approx(own + 2 * (0.5 + 19 * 0.1))
