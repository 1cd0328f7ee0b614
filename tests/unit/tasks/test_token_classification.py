"""Token classification: what is read from a row, what is learned from the rows, what is answered."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from seqeval import metrics as seqeval

import small
import tiny
from tunesmith import cli, metrics, predict
from tunesmith import config as configs
from tunesmith.data.prepare import prepare
from tunesmith.data.word_examples import WordExamples
from tunesmith.errors import DataError, TunesmithError, UsageError
from tunesmith.heads import IGNORED
from tunesmith.heads.tokens import ChainHead, TokenHead
from tunesmith.metrics import Counted
from tunesmith.tasks.base import RowError, Scored, Target
from tunesmith.tasks.token_classification import SLOTS, Params, Request, Task
from tunesmith.text import encode as text
from tunesmith.text import tags
from tunesmith.text.spans import Span
from tunesmith.train import run as runs

TARGET = Target("entities", ("person", "place"), (3, 2))
NAMES = tags.labels(TARGET.labels)
ROWS: list[dict[str, Any]] = [
    {"text": "Ann Lee saw Oslo.", "entities": [[0, 7, "person"], [12, 16, "place"]]},
    {"tokens": ["Bo", "is", "in", "Rome"], "tags": ["B-person", "O", "O", "B-place"]},
    {"text": "nobody here", "entities": []},
    {"tokens": list("在上海见李雷"), "tags": ["O", "B-place", "I-place", "O", "B-person", "I-person"]},
]


def task(**options: Any) -> Task:
    return Task(Params(**options))


def table(rows: Sequence[dict[str, Any]] = ROWS, of: Task | None = None) -> pa.Table:
    of = of or task()
    return pa.Table.from_pylist([of.read_row(row) for row in rows], schema=of.schema())


@pytest.fixture
def read(model: Callable[..., Path], tmp_path: Path) -> Callable[..., WordExamples]:
    """Encodes rows with a tiny tokenizer."""

    def of(made: Task, rows: pa.Table, target: Target | None = None, **reading: Any) -> WordExamples:
        chosen = configs.Model(**{"max_length": 32, "window_overlap": 4, **reading})
        found = made.encode(rows, text.load_tokenizer(model("bert")), chosen, tmp_path, target)
        assert isinstance(found, WordExamples)
        return found

    return of


def sure_of(examples: WordExamples, rows: pa.Table, names: Sequence[str], certainty: float = 9.0) -> list[np.ndarray]:
    """Outputs of a network that knows the truth."""
    from tunesmith.text import token_words

    outputs = []
    for units, cell in zip(examples.units, rows["entities"].to_pylist(), strict=True):
        right = token_words.labels(units, [Span(**span) for span in cell], names, "iob2")
        for window in units.windows:
            output = np.zeros((window.length * SLOTS, len(names)), np.float32)
            output[units.cells(window, SLOTS), right[units.inside(window)]] = certainty
            outputs.append(output.reshape(window.length, -1))
    return outputs


# rows


def test_a_row_becomes_canonical() -> None:
    assert task().read_row({**ROWS[0], "group": 7}) == {
        "text": "Ann Lee saw Oslo.",
        "tokens": None,
        "tags": None,
        "entities": [{"start": 0, "end": 7, "type": "person"}, {"start": 12, "end": 16, "type": "place"}],
        "group": "7",
    }
    assert task().read_row(ROWS[1])["text"] == "Bo is in Rome"


def test_what_is_wrong_with_a_row_names_the_column() -> None:
    with pytest.raises(RowError) as caught:
        task().read_row({"tokens": ["a"], "tags": ["O", "O"]})
    assert (caught.value.column, caught.value.detail) == ("tags", "2 tags, 1 tokens")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"text": ""},
        {"text": None},
        {"tokens": []},
        {"tokens": [""]},
        {"text": "a b", "tokens": ["a"]},
        {"tags": ["O"]},
        {"text": ["a"]},
    ],
)
def test_inputs_that_say_nothing_are_refused(given: dict[str, Any]) -> None:
    if given == {"text": "a b", "tokens": ["a"]}:
        assert task().read_input(given)["tokens"] == ["a"], "a text may go on after its last word"
        return
    with pytest.raises(RowError):
        task().read_input(given)


def test_types_are_learned_with_their_counts() -> None:
    assert task().learn(table()) == Target("entities", ("person", "place"), (3, 3))
    with pytest.raises(DataError, match="no training row has an entity"):
        task().learn(table(ROWS[2:3]))


def test_strata_are_the_types_of_a_row() -> None:
    assert task().strata(table()) == [["person", "place"], ["person", "place"], [], ["person", "place"]]


def test_people_are_shown_the_entities() -> None:
    assert task().labelled(table())[:3] == [["Ann Lee [person]", "Oslo [place]"], ["Bo [person]", "Rome [place]"], []]


TEN_BAD: list[tuple[dict[str, Any], str]] = [
    ({"text": "Ann", "entities": [[0, 9, "person"]]}, "one is outside of the text"),
    ({"text": "Ann", "entities": [[2, 2, "person"]]}, "one ends before or where it starts"),
    ({"text": "Ann Lee", "entities": [[0, 7, "a"], [4, 7, "b"]]}, "overlap"),
    ({"text": "Ann", "entities": [[0, 3]]}, "hold what is neither"),
    ({"text": "Ann", "entities": [[0, 3, ""]]}, "have no type"),
    ({"text": "Ann", "entities": "x"}, "is not JSON"),
    ({"text": "Ann", "entities": 3}, "is no list"),
    ({"text": "Ann", "entities": [{"start": 0, "end": 3, "type": "a", "text": "Eve"}]}, "have another text"),
    ({"text": "", "entities": []}, "is missing"),
    ({"text": "Ann", "entities": None}, "is missing; write []"),
]
TEN_BAD_TAGS: list[tuple[dict[str, Any], str]] = [
    ({"tokens": ["Ann"], "tags": ["O", "O"]}, "2 tags, 1 tokens"),
    ({"tokens": ["Ann", "Lee"], "tags": ["O"]}, "1 tags, 2 tokens"),
    ({"tokens": ["Ann"], "tags": [1]}, "are numbers"),
    ({"tokens": ["Ann"], "tags": ["7"]}, "'7' is no tag"),
    ({"tokens": ["Ann"], "tags": [" "]}, "' ' is no tag"),
    ({"tokens": ["Ann"], "tags": [None]}, "holds something that is no text"),
    ({"tokens": ["Ann", ""], "tags": ["O", "O"]}, "hold a blank one"),
    ({"tokens": {"a": 1}, "tags": ["O"]}, "is neither a list nor text"),
    ({"tokens": [], "tags": []}, "is blank"),
    ({"tokens": ["Ann"], "tags": None}, "is missing; write []"),
]


def prepared(file: Path, folder: Path, **given: Any) -> Any:
    chosen = configs.resolve(
        keywords={"task": "token-classification", "data.train": str(file), **given}, environment={}
    )
    return prepare(chosen, task(), folder)


def told(file: Path, folder: Path) -> str:
    splits = prepared(file, folder)
    with pytest.raises(DataError) as caught:
        splits.stop_on_errors()
    return str(caught.value)


@pytest.mark.parametrize(("bad", "good"), [(TEN_BAD, ROWS[0]), (TEN_BAD_TAGS, ROWS[1])])
def test_ten_bad_rows_are_each_told_with_line_and_reason(
    bad: list[tuple[dict[str, Any], str]], good: dict[str, Any], tmp_path: Path
) -> None:
    lines = [json.dumps(row) for row, _ in bad]
    file = tmp_path / "rows.jsonl"
    others = [{"text": f"Ann {number}", "entities": [[0, 3, "person"]]} for number in range(20)]
    others = others if "text" in good else [{"tokens": ["Ann", str(n)], "tags": ["B-person", "O"]} for n in range(20)]
    file.write_text("\n".join([json.dumps(good), *lines, *map(json.dumps, others)]) + "\n", encoding="utf-8")
    message = told(file, tmp_path / "work")
    for line, (_, reason) in enumerate(bad, 2):
        assert f"{file}:{line}" in message, message
        assert reason in message, message
    kept = prepared(file, tmp_path / "dropped", **{"data.bad_rows": "drop"})
    assert sum(map(len, kept.tables.values())) == 21


def test_ten_bad_blocks_of_conll_are_each_told(tmp_path: Path) -> None:
    bad = ["a", "b\tO\tO", "c\t9", "d\t", "\tO", "e\tO\nf", "g\tO\tO\tO", "h\t1", "i", "j\t\u0663"]
    file = tmp_path / "rows.conll"
    file.write_text(
        "\n\n".join(["Ann\tB-person", *bad, *[f"Bo\tB-person\n{n}\tO" for n in range(20)]]) + "\n", encoding="utf-8"
    )
    message = told(file, tmp_path / "work")
    line = 3
    for block in bad:
        at = line + (1 if block.startswith("e") else 0)
        assert f"{file}:{at}" in message or f"{file}:{line}" in message, f"{block!r}: {message}"
        line += 2 + block.count("\n")


def test_tags_that_break_their_scheme_are_told_and_read(tmp_path: Path) -> None:
    good = [f"Ann\tB-person\nLee\tI-person\n{number}\tO\n" for number in range(20)]
    bad = [f"{number}\tO\nOslo\tI-place\n" for number in range(10)]
    file = tmp_path / "rows.conll"
    file.write_text("\n".join(good + bad), encoding="utf-8")
    splits = prepared(file, tmp_path / "work")
    found = [finding for finding in splits.findings if finding.code == "broken_tags"]
    assert sum(finding.count for finding in found) == 10
    assert all("(iob2)" in finding.message for finding in found)
    examples = sorted(int(example.split(":")[1]) for finding in found for example in finding.examples)
    assert examples == [81 + 3 * number for number in range(10)]
    assert all("token 2 'Oslo' has I-place after O" in example for finding in found for example in finding.examples)
    assert splits.target is not None
    assert dict(zip(splits.target.labels, splits.target.counts, strict=True))["place"] > 0


def test_types_that_training_never_saw_are_told(tmp_path: Path) -> None:
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    train.write_text(
        json.dumps(ROWS[0])
        + "\n"
        + "\n".join(json.dumps({"text": f"Bo {n}", "entities": [[0, 2, "person"]]}) for n in range(12))
    )
    test.write_text(json.dumps({"text": "Oslo", "entities": [[0, 4, "Place"]]}) + "\n")
    splits = prepared(train, tmp_path / "work", **{"data.test": str(test)})
    [finding] = [finding for finding in splits.findings if finding.code == "unknown_type"]
    assert finding.examples == (f"{test}:1: 'Oslo' [Place]",)


def test_entities_inside_words_are_told(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"text": f"an iPhone15 {n}", "entities": [[3, 9, "product"]]} for n in range(20)]
    file.write_text("\n".join(map(json.dumps, rows)))
    found = [one for one in prepared(file, tmp_path / "work").findings if one.code == "inside_word"]
    assert sum(one.count for one in found) == 20
    assert "'iPhone' [product]" in found[0].examples[0]


# learning


def test_words_are_labelled_at_their_last_token(read: Callable[..., WordExamples]) -> None:
    rows = table([{"tokens": ["the", "films", "was"], "tags": ["O", "B-place", "I-place"]}])
    examples = read(task(), rows, TARGET)
    codes = examples.targets_of(np.array([0]))[0, :, 0].tolist()
    expected = [IGNORED, 0, IGNORED, NAMES.index("B-place"), NAMES.index("I-place"), IGNORED]
    assert codes == expected


def test_words_that_share_a_token_have_labels_of_their_own(read: Callable[..., WordExamples]) -> None:
    words = ["f", "i", "l", "m", "was"]
    rows = table([{"text": "film was", "tokens": words, "tags": ["O", "B-place", "I-place", "I-place", "B-person"]}])
    examples = read(task(), rows, TARGET)
    o, place, inside, person = (NAMES.index(name) for name in ("O", "B-place", "I-place", "B-person"))
    codes = examples.targets_of(np.array([0]))[0].tolist()
    none = [IGNORED] * 3
    assert codes == [none, [o, place, inside], [person, IGNORED, IGNORED], none]
    made = Scored(
        rows, examples, task().scores(sure_of(examples, rows, NAMES), examples, TARGET, Request()), task().inputs
    )
    [answer] = task().answers(made, TARGET, Request())
    assert [one["text"] for one in answer["entities"]] == ["ilm", "was"]
    assert answer["tags"] == ["O", "B-place", "I-place", "I-place", "B-person"]


def test_types_of_other_rows_are_not_learned(read: Callable[..., WordExamples]) -> None:
    rows = table([{"text": "in Oslo", "entities": [[3, 7, "planet"]]}])
    codes = read(task(), rows, TARGET).targets_of(np.array([0]))
    assert set(codes[codes != IGNORED].tolist()) == {0}


def test_head_and_loss_fit_the_scheme() -> None:
    assert task().head(4, TARGET, pooling="cls", dropout=0.0).linear.out_features == SLOTS * 5  # type: ignore[union-attr]
    assert task(scheme="iobes").head(4, TARGET, pooling="cls", dropout=0.0).linear.out_features == SLOTS * 9  # type: ignore[union-attr]
    assert type(task().head(4, TARGET, pooling="cls", dropout=0.0)) is TokenHead
    assert type(task(crf=True).head(4, TARGET, pooling="cls", dropout=0.0)) is ChainHead
    with pytest.raises(UsageError, match="a CRF has no label smoothing"):
        task(crf=True).loss(TARGET, label_smoothing=0.1)


def test_long_texts_are_read_in_windows_unless_asked_otherwise(read: Callable[..., WordExamples]) -> None:
    long = {"text": " ".join(["day"] * 100), "entities": [[396, 399, "place"]]}
    rows = table([long])
    assert len(read(task(), rows, TARGET)) > 3
    assert read(task(), rows, TARGET).left_out.tolist() == [0]
    cut = read(task(), rows, TARGET, long_text="keep-start")
    assert len(cut) == 1
    assert cut.left_out[0] > 60
    [finding] = task().token_findings("train", rows, cut.encoded[0])
    assert (finding.code, finding.severity, finding.examples) == ("entity_cut", "warning", ("row 0: 'day'",))


# answers


@pytest.fixture
def scored(read: Callable[..., WordExamples]) -> Callable[..., Scored]:
    """Rows as a model sees them that knows the truth."""

    def of(rows: Sequence[dict[str, Any]] = ROWS, certainty: float = 9.0, **request: Any) -> Scored:
        rows_table = table(rows)
        examples = read(task(), rows_table)
        outputs = sure_of(examples, rows_table, NAMES, certainty)
        return Scored(rows_table, examples, task().scores(outputs, examples, TARGET, Request(**request)), task().inputs)

    return of


def test_the_truth_comes_back_whole(scored: Callable[..., Scored]) -> None:
    made = scored()
    predictions = task().predictions(made, TARGET)
    assert isinstance(predictions, Counted)
    assert metrics.score(predictions)["f1_micro"] == 1.0
    first, second, third, fourth = task().answers(made, TARGET, Request())
    assert [{key: one[key] for key in ("start", "end", "type", "text")} for one in first["entities"]] == [
        {"start": 0, "end": 7, "type": "person", "text": "Ann Lee"},
        {"start": 12, "end": 16, "type": "place", "text": "Oslo"},
    ]
    assert "tags" not in first
    assert second["tags"] == ROWS[1]["tags"]
    assert second["text"] == "Bo is in Rome"
    assert third == {"entities": []}
    assert fourth["tags"] == ROWS[3]["tags"]
    assert [one["text"] for one in fourth["entities"]] == ["上海", "李雷"]


def test_long_texts_come_back_whole_from_their_windows(scored: Callable[..., Scored]) -> None:
    words, marks = [], []
    for number in range(120):
        word = "goal team" if number % 9 == 4 else "day"
        start = sum(len(one) + 1 for one in words)
        words.append(word)
        if " " in word:
            marks.append([start, start + len(word), "person"])
    long = {"text": " ".join(words), "entities": marks}
    [answer] = task().answers(scored([long]), TARGET, Request())
    assert [[one["start"], one["end"], one["type"]] for one in answer["entities"]] == marks


def test_a_threshold_leaves_out_what_is_less_sure(scored: Callable[..., Scored]) -> None:
    low = task().answers(scored(certainty=1.0), TARGET, Request())[0]["entities"]
    scores = [one["score"] for one in low]
    assert all(0.2 < score < 0.6 for score in scores)
    made = scored(certainty=1.0, threshold=max(scores) + 0.01)
    assert task().answers(made, TARGET, Request(threshold=max(scores) + 0.01))[0]["entities"] == []
    assert metrics.score(task().predictions(made, TARGET))["recall_micro"] == 0, "evaluation is under the same request"


def test_aggregation_decides_the_score(scored: Callable[..., Scored]) -> None:
    made = scored(certainty=1.0)
    both: tuple[Any, ...] = ("mean", "product")
    found = {way: task().answers(made, TARGET, Request(aggregation=way))[0]["entities"][0]["score"] for way in both}
    assert found["product"] == pytest.approx(found["mean"] ** 2, rel=1e-6), "two words, each as sure"


def test_only_types_that_are_asked_for(scored: Callable[..., Scored]) -> None:
    made = scored(types=("place",))
    assert [one["type"] for one in task().answers(made, TARGET, Request(types=("place",)))[0]["entities"]] == ["place"]
    with pytest.raises(UsageError, match="did you mean 'place'"):
        scored(types=("plaice",))


def test_a_word_threshold_finds_more_or_less(scored: Callable[..., Scored]) -> None:
    def count(**request: Any) -> int:
        made = scored(certainty=0.5, **request)
        return sum(len(one["entities"]) for one in task().answers(made, TARGET, Request(**request)))

    assert count(word_threshold=0.001) > count() > count(word_threshold=0.999) == 0


@pytest.mark.parametrize(
    ("scheme", "tags_of_second"),
    [
        ("iob2", ["B-person", "O", "O", "B-place"]),
        ("iobes", ["S-person", "O", "O", "S-place"]),
        ("io", ["I-person", "O", "O", "I-place"]),
    ],
)
def test_tags_come_in_the_scheme_asked_for(
    scored: Callable[..., Scored], scheme: Any, tags_of_second: list[str]
) -> None:
    assert task().answers(scored(), TARGET, Request(scheme=scheme))[1]["tags"] == tags_of_second


def test_scores_are_those_of_seqeval_on_the_tags(read: Callable[..., WordExamples]) -> None:
    """Answers of a network that knows nothing, given as tags, score as its spans do."""
    chance, random_ = random.Random(0), np.random.default_rng(0)
    rows = []
    for _ in range(60):
        words = [chance.choice(small.FILLERS) for _ in range(chance.randint(1, 12))]
        rows.append(
            {
                "tokens": words,
                "tags": tags.write(
                    [Span(n, n + 1, chance.choice(TARGET.labels)) for n in range(0, len(words), 3)], len(words)
                ),
            }
        )
    made = table(rows)
    examples = read(task(), made)
    outputs = [random_.normal(size=(length, SLOTS * len(NAMES))).astype(np.float32) for length in examples.lengths]
    found = Scored(made, examples, task().scores(outputs, examples, TARGET, Request()), task().inputs)
    scores = metrics.score(task().predictions(found, TARGET))
    answered = [one["tags"] for one in task().answers(found, TARGET, Request())]
    gold = [row["tags"] for row in rows]
    for name in ("precision", "recall", "f1"):
        expected = getattr(seqeval, f"{name}_score")(gold, answered, average="micro")
        assert scores[f"{name}_micro"] == pytest.approx(expected)


def test_tuning_turns_a_shy_model_bold(read: Callable[..., WordExamples]) -> None:
    rows = table(ROWS)
    examples = read(task(), rows)
    outputs = sure_of(examples, rows, NAMES, 2.0)
    for output in outputs:
        output[:, :: len(NAMES)] += 2.5  # inclined to see nothing
    found = Scored(rows, examples, task().scores(outputs, examples, TARGET, Request()), task().inputs)
    assert metrics.score(task().predictions(found, TARGET))["recall_micro"] < 1
    tuned = task().tune(found, TARGET)
    again = task().scores(outputs, examples, tuned, Request())
    assert metrics.score(task().predictions(Scored(rows, examples, again, task().inputs), tuned))["f1_micro"] == 1
    assert task(tune_word_threshold=False, calibrate="none").tune(found, TARGET) == TARGET


# whole runs


def words_known(rows: list[dict[str, Any]]) -> list[str]:
    return [row.get("text") or " ".join(row["tokens"]) for row in rows]


@pytest.mark.parametrize("options", [{}, {"task.crf": True}, {"task.scheme": "iobes", "model.max_length": 10}])
def test_a_run_learns_answers_and_replays(run: Callable[..., runs.Run], options: dict[str, Any]) -> None:
    done = run("tagged", **{"model.window_overlap": 3, "train.epochs": 6, **options})
    assert done.report.metrics["f1_micro"] > 0.5
    assert done.report.error_kinds.keys() == {"wrong type", "wrong boundaries", "missed", "invented"}
    model = done.model()
    assert model.replay() < 1e-4
    given = "they saw soup and then the film was very bank with goal team"
    as_text, as_tokens = model.answers([given, {"tokens": given.split()}])
    places = [
        [(one["start"], one["end"], one["type"]) for one in answer["entities"]] for answer in (as_text, as_tokens)
    ]
    assert places[0] == places[1] != []
    assert len(as_tokens["tags"]) == len(given.split())
    for one in as_text["entities"]:
        assert given[one["start"] : one["end"]] == one["text"]
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    assert "Kinds of error" in page
    assert "wrong boundaries" in page


@pytest.mark.parametrize("adapter", ["head", "freeze", "lora"])
def test_adapters(run: Callable[..., runs.Run], adapter: str) -> None:
    done = run("entities", adapter=adapter, **{"train.epochs": 1})
    assert done.model().replay() < 1e-3


def test_the_encoder_of_bart_learns_too(tmp_path: Path, table: Callable[..., Path]) -> None:
    import torch
    import transformers as t

    base = tiny.write_tiny(tmp_path / "bart", "roberta", small.TEXTS)
    size = len(text.load_tokenizer(base))
    sizes = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 64))
    }
    torch.manual_seed(0)
    t.BartForConditionalGeneration(
        t.BartConfig(vocab_size=size, d_model=32, max_position_embeddings=64, **sizes)
    ).save_pretrained(base)
    given = {
        **small.QUICK,
        "task": "token-classification",
        "data.train": str(table("entities")),
        "model.base": str(base),
        "model.window_overlap": 8,
        "out": str(tmp_path / "run"),
    }
    done = runs.train(configs.resolve(keywords=given, environment={}), quiet=True)
    assert done.report.metrics["f1_micro"] > 0.1
    assert predict.load(done.folder).answers(["they saw soup"])[0].keys() == {"entities"}


def test_requests_that_cannot_be_are_refused(run: Callable[..., runs.Run]) -> None:
    model = run("entities", **{"train.epochs": 0.2}).model()
    for wrong in (
        {"threshold": 2},
        {"word_threshold": 0},
        {"aggregation": "median"},
        {"types": ["fod"]},
        {"thresold": 1},
    ):
        with pytest.raises(TunesmithError):
            model.answers(["a"], **wrong)
    with pytest.raises(UsageError, match="input 1"):
        model.answers(["a", {"tokens": [""]}])


def test_a_model_of_tags_is_asked_and_judged_by_texts_too(
    run: Callable[..., runs.Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run("tagged", **{"train.epochs": 1})
    texts = small.write(tmp_path / "texts.jsonl", "entities", 20)
    assert cli.main(["evaluate", str(done.folder), str(texts), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 20
    assert cli.main(["predict", str(done.folder), "--input", str(texts)]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(answers) == 20
    assert all("entities" in answer["prediction"] for answer in answers)
    other = tmp_path / "other.jsonl"
    other.write_text('{"body": "a"}\n')
    assert cli.main(["predict", str(done.folder), "--input", str(other)]) == 2


def as_conll(folder: Path, rows: list[dict[str, Any]]) -> Path:
    blocks = ["\n".join(map("\t".join, zip(row["tokens"], row["tags"], strict=True))) for row in rows]
    (folder / "rows.conll").write_text("-DOCSTART-\tO\n\n" + "\n\n".join(blocks), encoding="utf-8")
    return folder / "rows.conll"


def as_clue(folder: Path, rows: list[dict[str, Any]]) -> Path:
    lines = []
    for row in rows:
        label: dict[str, dict[str, list[list[int]]]] = {}
        for one in row["entities"]:
            mention = row["text"][one["start"] : one["end"]]
            label.setdefault(one["type"], {}).setdefault(mention, []).append([one["start"], one["end"] - 1])
        lines.append(json.dumps({"text": row["text"], "label": label}))
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder / "rows.jsonl"


def as_brat(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Documents of four rows each."""
    for number in range(0, len(rows), 4):
        whole, marks = "", []
        for row in rows[number : number + 4]:
            for one in row["entities"]:
                start, end = len(whole) + one["start"], len(whole) + one["end"]
                marks.append(
                    f"T{len(marks) + 1}\t{one['type']} {start} {end}\t{row['text'][one['start'] : one['end']]}\n"
                )
            whole += row["text"] + "\n"
        (folder / f"{number:03}.txt").write_text(whole, encoding="utf-8")
        (folder / f"{number:03}.ann").write_text("".join(marks), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("write", "kind", "count"), [(as_conll, "tagged", 160), (as_clue, "entities", 160), (as_brat, "entities", 160)]
)
def test_every_form_of_data_trains(
    write: Callable[..., Path], kind: str, count: int, run: Callable[..., runs.Run], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    file = write(folder, small.rows(kind, count))
    more = {"data.train": str(file), "model.max_length": 24, "train.epochs": 4, "train.batch_size": 8}
    done = run("entities", **more)
    assert sum(done.report.rows.values()) == (count if write is not as_brat else count // 4)
    assert done.report.metrics["f1_micro"] > 0.3
