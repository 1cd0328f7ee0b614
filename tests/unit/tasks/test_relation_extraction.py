"""Relation extraction: both forms of rows, what is learned from them, what is answered, whole runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import small
import tiny
from tunesmith import cli, metrics, predict, report
from tunesmith import config as configs
from tunesmith.data.finding import Finding
from tunesmith.data.prepare import Splits, prepare
from tunesmith.data.relation_examples import MarkedExamples, TripleExamples
from tunesmith.errors import DataError, TunesmithError, UsageError
from tunesmith.metrics import Counted, Predictions
from tunesmith.tasks.base import RowError, Scored, Target
from tunesmith.tasks.relation_extraction import Params, Request, Task
from tunesmith.text import encode as text
from tunesmith.text.triples import Found, Names
from tunesmith.train import run as runs

PAIRS = Target("multi-class", ("Cause(e1,e2)", "Cause(e2,e1)", "Other"), (3, 2, 4))
MARKED = {"text": "the <e1>soup</e1> was <e2>bread</e2>", "label": "Cause(e1,e2)"}
SOUP, COIN, TEAM = (
    {"start": 4, "end": 8, "type": "food"},
    {"start": 13, "end": 17, "type": "money"},
    {"start": 18, "end": 22, "type": "team"},
)
COSTS, EARNS = {"head": 0, "tail": 1, "type": "costs"}, {"head": 2, "tail": 1, "type": "earns"}
ROW = {"text": "the soup was coin team", "entities": [SOUP, COIN, TEAM], "relations": [COSTS, EARNS]}
TRIPLES = Target(
    "triples",
    ("food", "money", "team"),
    (1, 1, 1),
    relations=("costs", "earns"),
    patterns=(("food", "costs", "money"), ("team", "earns", "money")),
)


def task(**options: Any) -> Task:
    return Task(Params(**options))


def table(*rows: dict[str, Any], of: Task | None = None) -> pa.Table:
    of = of or task()
    return pa.Table.from_pylist([of.read_row(row) for row in rows], schema=of.schema())


@pytest.fixture
def read(model: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    """Encodes rows with a tiny tokenizer."""

    def of(made: Task, rows: pa.Table, target: Target | None = None, **reading: Any) -> Any:
        chosen = configs.Model(**{"max_length": 32, "window_overlap": 4, **reading})
        return made.encode(rows, text.load_tokenizer(model("bert")), chosen, tmp_path, target)

    return of


# rows


def test_columns_tell_the_form() -> None:
    assert task().read_row(MARKED)["label"] == "Cause(e1,e2)"
    assert task().read_row(ROW)["relations"] == [COSTS, EARNS]
    both = {**ROW, "label": "x"}
    assert task().read_row(both)["label"] is None
    assert task(form="pairs").read_row({**both, "text": MARKED["text"]})["label"] == "x"


def test_inputs_of_both_forms() -> None:
    pairs, triples = task(form="pairs"), task(form="triples")
    assert pairs.read_input({"text": "a b", "e1": "a", "e2": "b"})["text"] == "<e1>a</e1> <e2>b</e2>"
    assert triples.read_input({"tokens": ["Ann", "runs"]})["text"] == "Ann runs"
    assert triples.read_input({"text": "a"}) == {**dict.fromkeys(triples.schema().names), "text": "a"}
    for of, given, column in (
        (pairs, {"text": "a b"}, "text"),
        (pairs, {"text": "a b", "e1": "c", "e2": "b"}, "e1"),
        (triples, {"text": " "}, "text"),
        (triples, {"text": "a", "label": "x"}, "label"),
    ):
        with pytest.raises(RowError) as caught:
            of.read_input(given)
        assert caught.value.column == column


def test_what_there_is_to_predict() -> None:
    rows = [{**MARKED, "label": label} for label in ("Other", "Cause(e1,e2)", "Other")]
    assert task().learn(table(*rows)) == Target("multi-class", ("Cause(e1,e2)", "Other"), (1, 2))
    assert task().learn(table(ROW)) == TRIPLES
    with pytest.raises(DataError, match="no training row has a relation"):
        task().learn(table({**ROW, "relations": []}))


def test_strata_are_labels_or_types() -> None:
    assert task().strata(table(MARKED)) == [["Cause(e1,e2)"]]
    assert task().strata(table(ROW)) == [["costs", "earns", "food", "money", "team"]]
    assert task().strata_are_labels(table(MARKED))
    assert not task().strata_are_labels(table(ROW))


def test_the_label_without_a_relation_is_guessed_or_given() -> None:
    chosen = task().choose(PAIRS, paired=False, sentence_encoder=True)
    assert (chosen["form"], chosen["no_relation"]) == ("pairs", "Other")
    rows = table({**MARKED, "label": "nix"}, {**MARKED, "label": "x"})
    assert task(no_relation="nix").learn(rows).labels == ("nix", "x")
    with pytest.raises(UsageError, match="did you mean 'nix'"):
        task(no_relation="nixx").learn(rows)


@pytest.mark.parametrize(
    ("options", "row"), [({"rank": 8}, MARKED), ({"relation_weight": 2.0}, MARKED), ({"no_relation": "Other"}, ROW)]
)
def test_options_of_the_other_form_are_refused(options: dict[str, Any], row: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="has no effect on") as caught:
        task(**options).learn(table(row))
    assert f"task.{next(iter(options))}" in str(caught.value)


# checks


def prepared(file: Path, folder: Path, **given: Any) -> Splits:
    keywords = {"task": "relation-extraction", "data.train": str(file), **given}
    return prepare(configs.resolve(keywords=keywords, environment={}), task(), folder)


def write(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def codes(splits: Splits) -> dict[str, Finding]:
    return {finding.code: finding for finding in splits.findings}


TEN_BAD_PAIRS: list[tuple[dict[str, Any], str]] = [
    ({"text": "no markers"}, "text has no <e1>..</e1> and <e2>..</e2>"),
    ({"text": "<e1>a</e1> b"}, "text has no <e2>"),
    ({"text": "<e1>a <e2>b</e2>"}, "text has no </e1>"),
    ({"text": "a</e1> <e2>b</e2>"}, "text has no <e1>"),
    ({"text": "<e1>a</e1> <e1>c</e1> <e2>b</e2>"}, "text has <e1> twice"),
    ({"text": "<e1>a</e1> <e2>b</e2> <e2>c</e2>"}, "text has <e2> twice"),
    ({"text": "<e1></e1> <e2>b</e2>"}, "text has nothing between <e1> and </e1>"),
    ({"text": ""}, "text is blank"),
    ({"label": None}, "label is missing"),
    ({"label": " "}, "label is blank"),
]
TEN_BAD_TRIPLES: list[tuple[dict[str, Any], str]] = [
    ({"relations": [{"head": 0, "tail": 9, "type": "costs"}]}, "tail 9, and the row has 3 entities"),
    ({"relations": [{"head": -1, "tail": 1, "type": "costs"}]}, "head -1"),
    ({"relations": [{"head": 1, "tail": 1, "type": "costs"}]}, "one is of an entity to itself"),
    ({"relations": [{"head": 0, "tail": 1}]}, "one has no type"),
    ({"relations": None}, "relations is missing; write []"),
    ({"relations": "costs"}, "relations is not JSON"),
    ({"entities": [{**SOUP, "end": 99}]}, "one is outside of the text"),
    ({"entities": [SOUP, SOUP]}, "entities overlap"),
    ({"entities": [{**SOUP, "type": ""}]}, "have no type"),
    ({"text": None}, "text is missing"),
]


@pytest.mark.parametrize(("good", "bad"), [(MARKED, TEN_BAD_PAIRS), (ROW, TEN_BAD_TRIPLES)])
def test_ten_bad_rows_are_each_told_with_line_and_reason(
    good: dict[str, Any], bad: list[tuple[dict[str, Any], str]], tmp_path: Path
) -> None:
    others = [{**good, "text": f"{good['text']} {n}"} for n in range(20)]
    if good is MARKED:
        others = [{**row, "label": ("Other", "Cause(e1,e2)")[n % 2]} for n, row in enumerate(others)]
    file = write(tmp_path / "rows.jsonl", [good, *({**good, **change} for change, _ in bad), *others])
    with pytest.raises(DataError) as caught:
        prepared(file, tmp_path / "work").stop_on_errors()
    for line, (_, reason) in enumerate(bad, 2):
        assert f"{file}:{line}" in str(caught.value)
        assert reason in str(caught.value)
    kept = prepared(file, tmp_path / "dropped", **{"data.bad_rows": "drop"})
    assert sum(map(len, kept.tables.values())) == 21


def test_labels_that_training_never_saw_are_told_before_training(tmp_path: Path) -> None:
    rows = [{**MARKED, "text": f"{MARKED['text']} {n}", "label": "AB"[n % 2]} for n in range(30)]
    train, test = write(tmp_path / "train.jsonl", rows), write(tmp_path / "test.jsonl", [{**MARKED, "label": "C"}])
    splits = prepared(train, tmp_path / "work", **{"data.test": str(test)})
    finding = codes(splits)["unseen_label"]
    assert finding.severity == "error"
    assert f"{test}:1" in finding.examples[0]


def test_labels_are_merged_where_asked(tmp_path: Path) -> None:
    rows = [{**MARKED, "text": f"{MARKED['text']} {n}", "label": ("A", "B", "b ")[n % 3]} for n in range(30)]
    file = write(tmp_path / "rows.jsonl", rows)
    assert "label_variant" in codes(prepared(file, tmp_path / "one"))
    merged = prepared(file, tmp_path / "two", **{"data.merge_labels": True})
    assert merged.target is not None
    assert len(merged.target.labels) == 2


def test_what_is_suspicious_about_triples(tmp_path: Path) -> None:
    rows = [{**ROW, "text": f"{ROW['text']} {n}"} for n in range(20)]
    torn = {"text": "the soups", "entities": [{"start": 4, "end": 8, "type": "food"}], "relations": []}
    unknown = {"head": 0, "tail": 1, "type": "cost"}
    elsewhere = {"head": 1, "tail": 0, "type": "costs"}
    train = write(tmp_path / "train.jsonl", [*rows, torn])
    test = write(
        tmp_path / "test.jsonl", [{**ROW, "relations": [unknown, elsewhere], "entities": [SOUP, COIN, {**TEAM, "type": "club"}]}]
    )  # fmt: skip
    found = codes(prepared(train, tmp_path / "work", **{"data.test": str(test), "data.validation": str(train)}))
    assert found["inside_word"].examples == (f"{train}:21: 'soup' [food]",)
    assert found["unknown_type"].examples == (f"{test}:1: 'team' [club]",)
    assert found["unknown_relation"].examples == (f"{test}:1: 'soup' [food] cost 'coin' [money]",)
    assert found["new_pattern"].examples == (f"{test}:1: 'coin' [money] costs 'soup' [food]",)
    assert found["no_relation"].count == 1
    few = write(tmp_path / "few.jsonl", [*rows[:5], *({**row, "relations": [COSTS]} for row in rows[5:])])
    rare = codes(prepared(few, tmp_path / "few", **{"data.validation": str(few), "data.test": str(few)}))
    assert rare["rare_relation"].examples == ("earns: 5",)


def test_what_is_never_read_together_is_told(read: Callable[..., Any]) -> None:
    far = " ".join(["soup", *["the"] * 40, "coin"])
    entities = [{"start": 0, "end": 4, "type": "food"}, {"start": len(far) - 4, "end": len(far), "type": "money"}]
    rows = table({"text": far, "entities": entities, "relations": [COSTS]}, ROW)
    encoded = read(task(), rows, max_length=24).encoded[0]
    [finding] = [one for one in task().token_findings("train", rows, encoded) if one.code == "relation_apart"]
    assert finding.examples == ("row 0: 'soup' costs 'coin'",)
    marked = table({**MARKED, "text": f"<e1>soup</e1> {'the ' * 40} <e2>coin</e2>"}, MARKED)
    encoded = read(task(), marked, max_length=24).encoded[0]
    [finding] = list(task().token_findings("train", marked, encoded))
    assert (finding.code, finding.count) == ("mention_cut", 1)


# answers


def pair_scores(*rows: Sequence[float]) -> np.ndarray:
    return np.array(rows)


def answered(scores: Any, target: Target, rows: pa.Table, of: Task, **request: Any) -> list[dict[str, Any]]:
    class Read:
        text_lengths = np.ones(len(rows))

    return of.answers(Scored(rows, Read(), scores, of.inputs), target, Request(**request))  # type: ignore[arg-type]


def test_a_pair_is_answered_by_its_likeliest_label() -> None:
    rows, scores = table(MARKED), pair_scores([0.5, 0.2, 0.3])
    plain = answered(scores, PAIRS, rows, task())
    assert plain == [{"label": "Cause(e1,e2)", "score": 0.5}]
    assert answered(scores, PAIRS, rows, task(), threshold=0.5) == plain
    assert answered(scores, PAIRS, rows, task(), threshold=0.6) == [{"label": "Other", "score": 0.5}]
    nameless = Target("multi-class", ("A", "B", "C"))
    assert answered(scores, nameless, rows, task(), threshold=0.6) == [{"label": "unknown", "score": 0.5}]
    [top] = answered(scores, PAIRS, rows, task(), top_k=2)
    assert top["top"] == [{"label": "Cause(e1,e2)", "score": 0.5}, {"label": "Other", "score": 0.3}]


def test_pairs_are_scored_as_relations(read: Callable[..., Any]) -> None:
    rows = table(*({**MARKED, "label": label} for label in PAIRS.labels))
    scored = Scored(rows, read(task(), rows), np.eye(3)[[0, 0, 2]], task().inputs)
    made = task().predictions(scored, PAIRS)
    assert isinstance(made, Predictions)
    assert made.families == ("Cause", "Cause", "")
    assert metrics.score(made)["f1_relations"] == pytest.approx(0.5)
    assert made.texts[0] == MARKED["text"]


def outputs_for(examples: TripleExamples, rows: pa.Table, names: Names, sure: float = 6.0) -> list[np.ndarray]:
    """Outputs of a model that knows the entities and thinks that everything relates to everything."""
    found = []
    for index in range(len(examples)):
        length = int(examples.lengths[index])
        tags = examples.targets_of(np.array([index]))[0, :length].numpy()
        output = np.zeros((length, len(names.tags) + 2 * len(names.relations) * 2))
        for place, tag in enumerate(tags.tolist()):
            output[place, max(tag, 0)] = sure
        output[:, len(names.tags) + 1 :: 2] = 1.0  # the last number of each vector: ready for the relation
        found.append(output.astype(np.float32))
    return found


@pytest.fixture
def scored(read: Callable[..., Any]) -> Callable[..., Scored]:
    def of(target: Target = TRIPLES, **request: Any) -> Scored:
        rows = table(ROW)
        examples = read(task(), rows, TRIPLES)
        names = Names(target.labels, target.relations)
        scores = task().scores(outputs_for(examples, rows, names), examples, target, Request(**request))
        return Scored(rows, examples, scores, task().inputs)

    return of


def triples_of(scored: Scored, **request: Any) -> set[tuple[str, str, str]]:
    [answer] = task().answers(scored, TRIPLES, Request(**request))
    return {(one["head"]["text"], one["relation"], one["tail"]["text"]) for one in answer["triples"]}


def test_triples_have_characters_types_and_scores(scored: Callable[..., Scored]) -> None:
    [answer] = task().answers(scored(), TRIPLES, Request())
    assert [{**entity, "score": None} for entity in answer["entities"]] == [
        {**entity, "text": ROW["text"][entity["start"] : entity["end"]], "score": None} for entity in (SOUP, COIN, TEAM)
    ]
    assert answer["triples"][0]["head"] == {**SOUP, "text": "soup"}
    assert answer["triples"][0]["score"] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    assert json.loads(json.dumps(answer)) == answer


def test_patterns_restrict_answers_unless_any_is_asked_for(scored: Callable[..., Scored]) -> None:
    assert triples_of(scored()) == {("soup", "costs", "coin"), ("team", "earns", "coin")}
    assert len(triples_of(scored(patterns="any"))) == 3 * 2 * 2


def test_each_request_parameter_of_triples_is_honoured(scored: Callable[..., Scored]) -> None:
    assert triples_of(scored(threshold=0.9)) == set()
    assert triples_of(scored(threshold=0.8)) == triples_of(scored())
    assert triples_of(scored(relations=("earns",))) == {("team", "earns", "coin")}
    [answer] = task().answers(scored(entity_threshold=0.999), TRIPLES, Request())
    assert answer == {"triples": [], "entities": []}
    tuned = Target(**{**TRIPLES.to_json(), "thresholds": (0.95,)})
    assert triples_of(scored(tuned)) == set()
    assert triples_of(scored(tuned, threshold=0.5)) == triples_of(scored())


def test_evaluation_keeps_to_the_thresholds_of_the_request(scored: Callable[..., Scored]) -> None:
    def f1(found: Scored) -> float:
        made = task().predictions(found, TRIPLES)
        assert isinstance(made, Counted)
        return metrics.score(made)["f1_strict"]

    assert f1(scored()) == 1
    assert f1(scored(threshold=0.9)) == 0
    assert f1(scored(patterns="any")) == pytest.approx(2 * 2 / (2 + 12))


def test_what_has_no_effect_or_is_unknown_is_refused(scored: Callable[..., Scored], read: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="did you mean 'earns'"):
        scored(relations=("eanrs",))
    with pytest.raises(UsageError, match="request parameter top_k"):
        scored(top_k=2)
    rows = table(MARKED)
    examples = read(task(), rows)
    assert isinstance(examples, MarkedExamples)
    for wrong in ({"patterns": "any"}, {"relations": ("a",)}, {"entity_threshold": 0.5}):
        with pytest.raises(UsageError, match=f"request parameter {next(iter(wrong))}"):
            task().scores([np.zeros(3)], examples, PAIRS, Request(**wrong))


def test_the_threshold_is_tuned_on_the_validation_rows(scored: Callable[..., Scored]) -> None:
    found = scored(patterns="any")  # which gives ten wrong triples beside the right ones
    names = Names(TRIPLES.labels, TRIPLES.relations)
    [row] = [Found.unpacked(scores, names) for scores in found.scores]
    row.relations[0, 1, 0] = row.relations[2, 1, 1] = 0.99
    sure = Scored(found.rows, found.examples, [row.packed(names.types)], found.inputs)
    [threshold] = task().tune(sure, TRIPLES).thresholds
    assert 1 / (1 + np.exp(-2)) < threshold < 0.99
    assert task(tune_threshold=False).tune(sure, TRIPLES) == TRIPLES


def test_entities_of_types_never_seen_are_scored_as_missed(
    scored: Callable[..., Scored], read: Callable[..., Any]
) -> None:
    found = scored()
    other = table({**ROW, "entities": [SOUP, COIN, {**TEAM, "type": "club"}]})
    made = task().predictions(Scored(other, found.examples, found.scores, found.inputs), TRIPLES)
    assert metrics.score(made)["f1_entities"] == pytest.approx(2 / 3)
    assert metrics.score(made)["f1_boundaries"] == 1


def test_drift_compares_what_was_found(scored: Callable[..., Scored]) -> None:
    scores = scored().scores
    then = [row.tolist() for row in scores]
    assert task().drift(then, scores, TRIPLES) == 0
    names = Names(TRIPLES.labels, TRIPLES.relations)
    assert task().drift(then, [Found.unpacked(scores[0], names).first(2).packed(names.types)], TRIPLES) > 0.9


# whole runs


def test_a_run_on_marked_pairs(run: Callable[..., runs.Run], capsys: pytest.CaptureFixture[str]) -> None:
    done = run("marked", **{"train.epochs": 8})
    assert done.report.headline.name == "f1_relations"
    assert done.report.headline.value > 0.7
    model = done.model()
    assert model.replay() < 1e-4
    assert dict(model.bundle.config.task)["no_relation"] == "Other"
    marked = "they saw <e1>soup</e1> and then <e2>coin</e2> here"
    by_marks, by_columns = model.answers(
        [marked, {"text": "they saw soup and then coin here", "e1": "soup", "e2": "coin"}]
    )
    assert by_marks == by_columns
    again = report.files.load_predictions(done.folder, done.report)
    assert metrics.score(again, ["f1_relations"])["f1_relations"] == pytest.approx(done.report.headline.value)
    assert cli.main(["predict", str(done.folder), marked, "--top_k", "3"]) == 0
    assert len(json.loads(capsys.readouterr().out)["top"]) == 3
    with pytest.raises(UsageError, match="has no <e1>"):
        model.answers(["nothing is marked"])


def test_a_run_on_triples(
    run: Callable[..., runs.Run], table: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    done = run("triples", count=300, **{"train.epochs": 12, "model.max_length": 20, "train.freeze_embeddings": False})
    assert done.report.metrics["f1_entities"] > 0.7
    assert done.report.metrics["f1_strict"] > 0.5
    assert done.report.error_kinds.keys() >= {"wrong relation", "wrong entity type", "missed", "invented"}
    assert 0 < done.model().target.thresholds[0] < 1
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert "Kinds of error" in page
    assert "wrong relation" in page
    model = done.model()
    assert model.replay() < 1e-4
    given = "they saw soup and then bank"
    as_text, as_tokens = model.answers([given, {"tokens": given.split()}])
    assert as_tokens == {**as_text, "text": given}
    for entity in as_text["entities"]:
        assert given[entity["start"] : entity["end"]] == entity["text"]
    assert cli.main(["evaluate", str(done.folder), str(table("triples", 40, 5)), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["metrics"]["f1_strict"] > 0.4
    assert set(scores["intervals"]) >= {"f1_strict", "f1_boundaries", "f1_entities"}


@pytest.mark.parametrize("kind", ["marked", "triples"])
@pytest.mark.parametrize("adapter", ["head", "freeze", "lora"])
def test_adapters(run: Callable[..., runs.Run], kind: str, adapter: str) -> None:
    done = run(kind, adapter=adapter, **{"train.epochs": 1})
    assert done.model().replay() < 1e-3


@pytest.mark.parametrize("kind", ["marked", "triples"])
def test_the_encoder_of_bart_learns_too(tmp_path: Path, table: Callable[..., Path], kind: str) -> None:
    import torch
    import transformers as t

    base = tiny.write_tiny(tmp_path / "bart", "roberta", small.TEXTS)
    size = len(text.load_tokenizer(base))
    sizes = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 64))}  # fmt: skip
    torch.manual_seed(0)
    t.BartForConditionalGeneration(
        t.BartConfig(vocab_size=size, d_model=32, max_position_embeddings=64, **sizes)
    ).save_pretrained(base)
    given = {
        **small.QUICK,
        **small.options(kind),
        "data.train": str(table(kind)),
        "model.base": str(base),
        "train.epochs": 1,
        "out": str(tmp_path / "run"),
    }
    done = runs.train(configs.resolve(keywords=given, environment={}), quiet=True)
    assert predict.load(done.folder).replay() < 1e-3


def test_check_shows_both_counts_and_tokens(
    table: Callable[..., Path], model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--task", "relation-extraction", "--model.base", str(model("bert")), "--model.window_overlap", "4"]
    assert cli.main(["check", str(table("triples")), *flags, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "triples"
    assert {"food", "money", "sport", "costs", "earns"} == set(facts["labels"]["train"])
    assert all(facts["labels"]["train"].values())
    assert facts["preview"][0]["tokens"]
    assert cli.main(["check", str(table("marked")), *flags]) == 0
    shown = capsys.readouterr().out
    assert "Bought(e1,e2)" in shown
    assert "soup" in shown


def test_requests_that_cannot_be_are_refused(run: Callable[..., runs.Run]) -> None:
    model = run("triples", **{"train.epochs": 0.2}).model()
    for wrong in ({"threshold": 2}, {"patterns": "none"}, {"relations": ["cost"]}, {"top_k": 3}, {"thresold": 1}):
        with pytest.raises(TunesmithError):
            model.answers(["a"], **wrong)
    with pytest.raises(UsageError, match="input 1"):
        model.answers(["a", {"tokens": [""]}])
