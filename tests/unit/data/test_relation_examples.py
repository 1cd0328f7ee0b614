"""Encoded rows of relations: marks of mentions, tags and pairs to learn, and words put together from windows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tunesmith import config
from tunesmith.data import relation_examples, relation_rows
from tunesmith.data.relation_examples import MarkedExamples, TripleExamples
from tunesmith.data.relation_rows import SCHEMA
from tunesmith.heads import IGNORED
from tunesmith.heads.relations import PAIR_COLUMNS
from tunesmith.tasks.relation_extraction import Params, Task
from tunesmith.text import encode as text
from tunesmith.text.triples import Names

NAMES = Names(("food", "money"), ("costs", "earns"))
WORDS = ["the", "soup", "bread", "was", "a", "coin"]
ENTITIES = [
    {"start": 5, "end": 6, "type": "money"},
    {"start": 1, "end": 3, "type": "food"},
    {"start": 0, "end": 1, "type": "odd"},
]
RELATIONS = [
    {"head": 1, "tail": 0, "type": "costs"},
    {"head": 1, "tail": 0, "type": "earns"},
    {"head": 0, "tail": 1, "type": "strange"},
    {"head": 2, "tail": 1, "type": "costs"},
]


@pytest.fixture
def tokenizer(model: Callable[..., Path]) -> Any:
    return text.load_tokenizer(model("bert"))


@pytest.fixture
def triples(tokenizer: Any, tmp_path: Path) -> Callable[..., TripleExamples]:
    def of(*rows: dict[str, Any], names: Names | None = NAMES, most: int = 100, **reading: Any) -> TripleExamples:
        made = [relation_rows.triples_row(row) for row in rows]
        chosen = config.Model(**{"max_length": 32, "long_text": "windows", "window_overlap": 4, **reading})
        found = pa.Table.from_pylist(made, schema=SCHEMA)
        return relation_examples.encode_triples(found, tokenizer, chosen, tmp_path, names, most_unrelated=most)

    return of


@pytest.fixture
def marked(tokenizer: Any, tmp_path: Path) -> Callable[..., MarkedExamples]:
    def of(*texts: str, **reading: Any) -> MarkedExamples:
        made = [relation_rows.marked_row({"text": one, "label": "yes"}) for one in texts]
        chosen = config.Model(**{"max_length": 32, "long_text": "windows", "window_overlap": 4, **reading})
        found = pa.Table.from_pylist(made, schema=SCHEMA)
        return relation_examples.encode_pairs(found, tokenizer, chosen, tmp_path, ("no", "yes"))

    return of


def row(words: list[str] = WORDS, entities: Any = ENTITIES, relations: Any = RELATIONS) -> dict[str, Any]:
    return {"tokens": words, "entities": entities, "relations": relations}


# marked pairs


def test_tokens_of_mentions_are_marked(marked: Callable[..., MarkedExamples], tokenizer: Any) -> None:
    made = marked("the <e1>soup</e1> was <e2>a coin</e2>", "<e1>the <e2>soup</e2></e1>")
    inputs = made.collate(np.array([0, 1]))
    told = {0: [], 1: [], 2: [], 3: []}
    for ids, marks in zip(inputs["input_ids"].tolist(), inputs["marks"].tolist(), strict=True):
        for token, mark in zip(tokenizer.convert_ids_to_tokens(ids), marks, strict=True):
            told[mark].append(token)
    assert told[2] == ["[UNK]", "a", "coin", "[UNK]"]
    assert told[1] == ["[UNK]", "soup", "[UNK]", "[UNK]", "the", "[UNK]"]
    assert told[3] == ["[UNK]", "soup", "[UNK]"]
    assert made.targets_of(np.array([0, 1])).tolist() == [1, 1]


def test_only_windows_that_show_the_mentions_teach_and_answer(marked: Callable[..., MarkedExamples]) -> None:
    made = marked(f"{'the ' * 20} <e1>soup</e1> was <e2>coin</e2>", max_length=16, window_overlap=2)
    assert len(made) > 1
    assert made.telling.tolist() == [False] * (len(made) - 1) + [True]
    every = np.arange(len(made))
    assert made.targets_of(every).tolist() == [IGNORED] * (len(made) - 1) + [1]
    assert made.weight(every) == 1
    outputs = [np.array([9.0, 0.0], np.float32)] * (len(made) - 1) + [np.array([0.0, 2.0], np.float32)]
    assert made.by_row(outputs)[0] == pytest.approx([0.1192, 0.8808], abs=1e-4)
    assert made.shows_both().tolist() == [True]


def test_mentions_far_apart_are_answered_by_all_windows_that_show_one(marked: Callable[..., MarkedExamples]) -> None:
    made = marked(f"<e1>soup</e1> {'the ' * 40} <e2>coin</e2>", max_length=16, window_overlap=2)
    assert made.telling.sum() == 2
    assert made.shows_both().tolist() == [False]


# triples


def test_words_have_tags_and_pairs_the_relations_that_are_known(triples: Callable[..., TripleExamples]) -> None:
    made = triples(row())
    length = int(made.lengths[0])
    targets = made.targets_of(np.array([0]))[0].numpy()
    tags = [NAMES.tags[code] if code != IGNORED else "" for code in targets[:length]]
    assert tags == ["", "O", "B-food", "I-food", "O", "O", "B-money", ""]
    pairs = targets[length:].reshape(-1, PAIR_COLUMNS + 2)
    assert sorted(map(tuple, pairs.tolist())) == [(2, 4, 6, 7, 1, 1), (6, 7, 2, 4, 0, 0)]


def test_rows_are_padded_with_nothing_to_learn(triples: Callable[..., TripleExamples]) -> None:
    made = triples(row(), row(["bread"], [], []))
    both = made.targets_of(np.array([0, 1])).numpy()
    assert (both[1, 3:] == IGNORED).all()
    assert both[1, 1] == 0


def test_unrelated_pairs_are_drawn_and_related_ones_all_kept(triples: Callable[..., TripleExamples]) -> None:
    words = ["soup", "coin"] * 6
    entities = [{"start": n, "end": n + 1, "type": ("food", "money")[n % 2]} for n in range(12)]
    relations = [{"head": 0, "tail": 1, "type": "costs"}, {"head": 4, "tail": 7, "type": "earns"}]
    made = triples(row(words, entities, relations), most=5)
    pairs = made.targets_of(np.array([0]))[0, int(made.lengths[0]) :].reshape(-1, PAIR_COLUMNS + 2).numpy()
    assert len(pairs) == 7
    assert pairs[:, PAIR_COLUMNS:].sum(0).tolist() == [1, 1]
    again = triples(row(words, entities, relations), most=5)
    assert (again.targets_of(np.array([0])) == made.targets_of(np.array([0]))).all()


def test_pairs_of_a_window_are_those_that_it_shows(triples: Callable[..., TripleExamples]) -> None:
    words = ["soup", *["the"] * 30, "coin", "bread"]
    entities = [
        {"start": place, "end": place + 1, "type": kind} for place, kind in ((0, "food"), (31, "money"), (32, "food"))
    ]
    relations = [{"head": 0, "tail": 1, "type": "costs"}, {"head": 2, "tail": 1, "type": "costs"}]
    made = triples(row(words, entities, relations), max_length=16, window_overlap=3)
    assert len(made) > 2
    held = []
    for index in range(len(made)):
        targets = made.targets_of(np.array([index]))[0].numpy()
        held.append(targets[int(made.lengths[index]) :].reshape(-1, PAIR_COLUMNS + 2))
    assert [len(pairs) for pairs in held] == [0] * (len(made) - 1) + [2]
    assert held[-1][:, PAIR_COLUMNS].sum() == 1
    [units] = made.units
    spans = [relation_rows.Span(*units.places[place], "x") for place in (0, 31, 32)]
    assert relation_examples.read_together(units, spans[1:])
    assert not relation_examples.read_together(units, spans[:2])


def test_windows_give_back_every_word_once(triples: Callable[..., TripleExamples]) -> None:
    words = ["the"] * 40
    made = triples(row(words, [], []), names=None, max_length=16, window_overlap=3)
    width = len(NAMES.tags) + 2 * 2 * 3
    outputs = [np.full((int(length), width), index, np.float32) for index, length in enumerate(made.lengths)]
    [found] = made.by_word(outputs, NAMES)
    assert found.shape == (40, width)
    assert found[:, : len(NAMES.tags)].sum(1) == pytest.approx(np.ones(40))
    assert sorted(set(found[:, -1])) == list(range(len(made)))


def test_words_that_are_cut_away_are_outside_for_certain(triples: Callable[..., TripleExamples]) -> None:
    made = triples(row(["the"] * 40, [], []), names=None, max_length=16, long_text="keep-start")
    outputs = [np.ones((int(made.lengths[0]), len(NAMES.tags) + 12), np.float32)]
    [found] = made.by_word(outputs, NAMES)
    assert found[0, 0] < 0.5
    assert found[-1, 0] == 1
    assert not found[-1, 1:].any()


def test_chinese_words_are_characters(tokenizer: Any, tmp_path: Path) -> None:
    task = Task(Params())
    given = {"text": "王明在上海。", "entities": [[0, 2, "food"], [3, 5, "money"]], "relations": []}
    rows = pa.Table.from_pylist([task.read_row(given)], schema=task.schema())
    made = task.encode(rows, tokenizer, config.Model(max_length=32, window_overlap=4), tmp_path)
    assert isinstance(made, TripleExamples)
    assert len(made.units[0]) == 6
