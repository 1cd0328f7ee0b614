"""Answers score as the published rules of SQuAD 1.1, SQuAD 2.0 and CMRC 2018 say, written here once more."""

from __future__ import annotations

import collections
import random
import re
import string

import pytest
from nltk.tokenize import NLTKWordTokenizer

from tunesmith import metrics
from tunesmith.metrics import Counted


def counted(gold, found, **more) -> Counted:
    return metrics.answers(gold, found, texts=["q"] * len(gold), lengths=[1] * len(gold), **more)


def normalised(text: str) -> str:
    """SQuAD: lower case, no punctuation, no articles, single spaces."""
    lower = "".join(character for character in text.lower() if character not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", lower).split())


def squad_f1(right: str, answer: str) -> float:
    gold, given = normalised(right).split(), normalised(answer).split()
    if not gold or not given:
        return float(gold == given)
    same = sum((collections.Counter(gold) & collections.Counter(given)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(given), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def squad(gold: list[list[str]], found: list[str]) -> dict[str, float]:
    exact, f1, with_answer, without = [], [], [], []
    for row, (right, answer) in enumerate(zip(gold, found, strict=True)):
        known = [each for each in right if normalised(each)]
        (with_answer if known else without).append(row)
        known = known or [""]
        exact.append(max(normalised(each) == normalised(answer) for each in known))
        f1.append(max(squad_f1(each, answer) for each in known))
    expected = {"exact_match": sum(exact) / len(exact), "f1": sum(f1) / len(f1)}
    if without:
        expected["accuracy_unanswerable"] = sum(exact[row] for row in without) / len(without)
        if with_answer:
            expected["f1_answerable"] = sum(f1[row] for row in with_answer) / len(with_answer)
    return expected


WORDS = [
    "the",
    "a",
    "An",
    "Berlin",
    "berlin,",
    "wall",
    "U.S.",
    "state-of-the-art",
    "$3.5",
    "million",
    "—",
    "1990",
    "of",
]


def some_answer(source: random.Random) -> str:
    return " ".join(source.choices(WORDS, k=source.randint(0, 5)))


def test_500_cases_are_those_of_squad():
    for seed in range(500):
        source = random.Random(seed)
        rows = source.randint(1, 5)
        empty = 0.3 if seed % 2 else 0.0
        gold = [
            [] if source.random() < empty else [some_answer(source) for _ in range(source.randint(1, 3))]
            for _ in range(rows)
        ]
        found = [source.choice([*(right or [""]), some_answer(source), ""]) for right in gold]
        assert metrics.score(counted(gold, found)) == pytest.approx(squad(gold, found), abs=1e-12), seed


CMRC_PUNCTUATION = [
    *"-:_*^/\\~`+=，。：？！“”；’《》",
    "……",
    *"·、「」（）－～『』",
]


def cmrc_pieces(text: str) -> list[str]:
    found, between = [], ""
    for character in text.lower().strip():
        if character in CMRC_PUNCTUATION:
            continue
        if re.match("[\u4e00-\u9fa5]", character):
            found += [*NLTKWordTokenizer().tokenize(between), character]
            between = ""
        else:
            between += character
    return found + NLTKWordTokenizer().tokenize(between)


def holds(pieces: list[str], run: list[str]) -> bool:
    return any(pieces[place : place + len(run)] == run for place in range(len(pieces)))


def cmrc_f1(right: str, answer: str) -> float:
    gold, given = cmrc_pieces(right), cmrc_pieces(answer)
    runs = {tuple(gold[a:b]) for a in range(len(gold)) for b in range(a + 1, len(gold) + 1)}
    shared = max((len(run) for run in runs if holds(given, list(run))), default=0)
    if shared == 0:
        return 0.0
    precision, recall = shared / len(given), shared / len(gold)
    return 2 * precision * recall / (precision + recall)


def cmrc_exact(right: str, answer: str) -> bool:
    bare = ["".join(c for c in text.lower().strip() if c not in CMRC_PUNCTUATION) for text in (right, answer)]
    return bare[0] == bare[1]


def test_500_cases_are_those_of_cmrc():
    pieces = ["北京", "大学", "，", "《", "》", "1990", "年", "NBA", " ", "3.5%", "……", "-", "的"]
    for seed in range(500):
        source = random.Random(seed)
        right = ["京" + "".join(source.choices(pieces, k=source.randint(1, 6))) for _ in range(source.randint(1, 3))]
        answer = source.choice([*right, "".join(source.choices(pieces, k=source.randint(1, 6)))])
        scores = metrics.score(counted([right], [answer], chinese=True))
        assert scores["f1"] == pytest.approx(max(cmrc_f1(each, answer) for each in right), abs=1e-12), (right, answer)
        assert scores["exact_match"] == max(cmrc_exact(each, answer) for each in right)


def test_language_is_found_out_and_told():
    chinese = counted([["北京大学"]], ["北京"])
    assert "CMRC" in chinese.notes[0]
    assert metrics.score(chinese)["f1"] == pytest.approx(2 / 3)
    assert "SQuAD" in counted([["Berlin"]], ["Berlin"]).notes[0]
    assert "CMRC" in metrics.answers([["1990"]], ["1990"], texts=["哪年？"], lengths=[3]).notes[0]


def test_kinds_of_error():
    gold = [["red house"], ["red house"], ["red house"], [], [], ["red house"]]
    found = ["Red house!", "house", "dog", "dog", "", ""]
    made = counted(gold, found)
    assert metrics.mistakes(made) == {
        "partly right": 1,
        "wrong": 1,
        "answer withheld": 1,
        "answered without need": 1,
    }
    assert made.errors.tolist() == pytest.approx([0, 1 / 3, 1, 1, 0, 1])
    assert metrics.score(made)["accuracy_unanswerable"] == 0.5


def test_scores_of_questions_without_answer_are_undefined_where_all_have_one():
    assert set(metrics.score(counted([["x"]], ["x"]))) == {"f1", "exact_match"}
