"""Answers as tokens of windows and back: against every span there is."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import tiny
from tunesmith.heads import IGNORED
from tunesmith.heads.spans import END, START
from tunesmith.text import answer_spans
from tunesmith.text import encode as text
from tunesmith.text.answer_spans import NO_PLACE, Passage, Window

CHINESE = "这家图书馆周一休息，周二至周日上午九点开门😀，下午五点半关门。馆内禁止饮食👩‍🔬，可以带水。"
ENGLISH = " ".join(tiny.TEXTS)
FAMILIES = ("bert", "roberta", "gpt2", "llama", "t5")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """BERT's knows the Chinese characters; the others read their bytes."""
    root, texts = tmp_path_factory.mktemp("tokenizers"), {"bert": [*tiny.TEXTS, CHINESE]}
    return {
        name: text.load_tokenizer(tiny.write_tiny(root / name, name, texts.get(name, tiny.TEXTS)))  # type: ignore[arg-type]
        for name in FAMILIES
    }


def encode(tokenizer: Any, folder: Path, pairs: list[tuple[str, str]], length: int, overlap: int) -> text.Encoded:
    table = pa.table({"question": [pair[0] for pair in pairs], "context": [pair[1] for pair in pairs]})
    return text.encode(
        table, tokenizer, folder / "a.arrow", max_length=length, long_text="windows-of-second",
        window_overlap=overlap, column="question", pair="context", offsets=True,
    )  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_a_passage_is_the_context_token_by_token(tokenizers: dict[str, Any], family: str, tmp_path: Path) -> None:
    pairs = [("where is it?", ENGLISH), ("几点开门？", CHINESE), ("where?", "Paris")]
    encoded = encode(tokenizers[family], tmp_path, pairs, 30, 8)
    found = list(answer_spans.passages(encoded))
    assert len(found) == 3
    sequence = 0
    ids = encoded.lists().take(range(len(encoded)))
    for passage, (_, context) in zip(found, pairs, strict=True):
        whole = tokenizers[family](context, add_special_tokens=False)["input_ids"]
        assert len(passage.starts) == len(whole)
        assert passage.starts.min() == 0
        assert passage.ends.max() == len(context)
        for window in passage.windows:
            own = ids[sequence][window.place : window.place + window.size].tolist()
            assert own == whole[window.first : window.first + window.size]
            assert window.length == len(ids[sequence]) <= 30
            sequence += 1
    assert len(found[0].windows) > 2
    assert sequence == len(encoded)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("context", [ENGLISH, CHINESE, f"{CHINESE} {ENGLISH}"])
def test_every_short_answer_is_whole_in_a_window(
    tokenizers: dict[str, Any], family: str, context: str, tmp_path: Path
) -> None:
    overlap = 9
    encoded = encode(tokenizers[family], tmp_path, [("where is it?", context)], 32, overlap)
    (passage,) = answer_spans.passages(encoded)
    count = len(passage.starts)
    assert len(passage.windows) > 1
    for first in range(count):
        for last in range(first, min(count, first + overlap)):
            assert any(answer_spans.inside(window, (first, last)) for window in passage.windows)


@pytest.mark.parametrize("family", FAMILIES)
def test_targets_lead_back_to_the_characters(tokenizers: dict[str, Any], family: str, tmp_path: Path) -> None:
    answers = ["九点开门😀", "周一休息", "可以带水", "👩‍🔬"]
    encoded = encode(tokenizers[family], tmp_path, [("几点？", CHINESE)] * len(answers), 40, 12)
    starts, ends = (encoded.lists(name) for name in ("starts", "ends"))
    sequence = 0
    for passage, answer in zip(answer_spans.passages(encoded), answers, strict=True):
        place = (CHINESE.index(answer), CHINESE.index(answer) + len(answer))
        span = passage.tokens(*place)
        assert span is not None
        assert (passage.starts[span[0]], passage.ends[span[1]]) == place
        learned = answer_spans.targets(passage, [place])
        for window, codes in zip(passage.windows, learned, strict=True):
            (start,), (end,) = (
                np.flatnonzero((codes > 0) & (codes & START > 0)),
                np.flatnonzero((codes > 0) & (codes & END > 0)),
            )
            if answer_spans.inside(window, span):
                assert starts.take([sequence])[0][start] == place[0]
                assert ends.take([sequence])[0][end] == place[1]
            else:
                assert start == end == 0
            part = encoded.lists("part").take([sequence])[0]
            possible = part == 1
            possible[0] = True
            assert ((codes != IGNORED) == possible).all()
            sequence += 1


def test_the_first_answer_that_is_whole_in_the_window_is_learned() -> None:
    places = np.arange(8)
    passage = Passage(places, places + 1, (Window(2, 0, 5, 8), Window(2, 3, 5, 8)))
    early, late = answer_spans.targets(passage, [(6, 8), (1, 3), (0, 1)])
    assert early.tolist() == [0, IGNORED, 0, START, END, 0, 0, IGNORED]
    assert late.tolist() == [0, IGNORED, 0, 0, 0, START, END, IGNORED]
    none = answer_spans.targets(passage, [])
    assert [codes[0] for codes in none] == [START | END] * 2
    across = answer_spans.targets(passage, [(1, 7)])
    assert [codes[0] for codes in across] == [START | END] * 2


def test_an_answer_without_tokens_teaches_nothing() -> None:
    passage = Passage(np.array([0, 5]), np.array([2, 9]), (Window(1, 0, 2, 4),))
    assert passage.tokens(2, 5) is None
    assert answer_spans.targets(passage, [(2, 5)])[0][0] == START | END
    assert passage.tokens(1, 6) == (0, 1)


def every_span(
    passage: Passage, outputs: list[np.ndarray], max_tokens: int, null: bool
) -> dict[tuple[int, int], float]:
    """Probability of each span of tokens, by the definition."""
    scores: dict[tuple[int, int], float] = {}
    for window, own in zip(passage.windows, outputs, strict=True):
        nothing = own[0, 0] + own[0, 1]
        for start, end in itertools.combinations_with_replacement(range(window.size), 2):
            first, last = window.first + start, window.first + end
            if end - start < max_tokens and passage.ends[last] > passage.starts[first]:
                score = own[window.place + start, 0] + own[window.place + end, 1] - nothing
                scores[first, last] = max(scores.get((first, last), -math.inf), float(score))
    if null:
        scores[NO_PLACE, NO_PLACE] = 0.0
    total = sum(map(math.exp, scores.values()))
    return {span: math.exp(score) / total for span, score in scores.items()}


def random_passage(random: np.random.Generator) -> tuple[Passage, list[np.ndarray]]:
    """A context of 1 to 14 tokens, some without characters, in one window or several."""
    count = int(random.integers(1, 15))
    widths = random.integers(0, 3, count)
    starts = np.concatenate([[0], np.cumsum(widths + 1)[:-1]])
    size = int(random.integers(1, count + 1))
    step = int(random.integers(1, size + 1))
    firsts = sorted({*range(0, count - size, step), count - size})
    windows = tuple(Window(3, first, size, size + 4) for first in firsts)
    passage = Passage(starts, starts + widths, windows)
    return passage, [random.normal(0, 2, (size + 4, 2)).astype(np.float32) for _ in windows]


@pytest.mark.parametrize("seed", range(60))
def test_candidates_are_the_best_of_all_spans(seed: int) -> None:
    random = np.random.default_rng(seed)
    passage, outputs = random_passage(random)
    most, count, null = int(random.integers(1, 8)), int(random.integers(1, 6)), bool(seed % 2)
    expected = every_span(passage, outputs, most, null)
    found = answer_spans.candidates(passage, outputs, count=count, max_tokens=most, null=null)
    nothing = found[found[:, 1] == NO_PLACE]
    spans = sorted(((p, *key) for key, p in expected.items() if key != (NO_PLACE, NO_PLACE)), reverse=True)
    by_text = [(p, passage.starts[first], passage.ends[last]) for p, first, last in spans[:count]]
    if not spans:
        assert found.tolist() == [[1.0, NO_PLACE, NO_PLACE]]
        return
    np.testing.assert_allclose(found[found[:, 1] != NO_PLACE], by_text, rtol=1e-6)
    assert len(nothing) == null
    if null:
        assert nothing[0, 0] == pytest.approx(expected[NO_PLACE, NO_PLACE])


def test_probabilities_survive_large_scores() -> None:
    passage = Passage(np.arange(3), np.arange(3) + 1, (Window(1, 0, 3, 5),))
    outputs = np.zeros((5, 2), np.float32)
    outputs[2] = 5000
    found = answer_spans.candidates(passage, [outputs], count=2, max_tokens=3, null=True)
    assert found[0].tolist() == [1.0, 1.0, 2.0]
    assert found[-1].tolist() == [0.0, NO_PLACE, NO_PLACE]
    assert answer_spans.null_share(found) == 0.0
    found = answer_spans.candidates(passage, [-outputs], count=2, max_tokens=3, null=False)
    assert np.isfinite(found).all()


def test_windows_compare_whatever_each_adds_to_its_scores() -> None:
    random = np.random.default_rng(0)
    passage = Passage(np.arange(9), np.arange(9) + 1, (Window(1, 0, 5, 7), Window(1, 4, 5, 7)))
    outputs = [random.normal(size=(7, 2)) for _ in range(2)]
    shifted = [outputs[0] + [3.0, -1.0], outputs[1] - 7.0]
    options = {"count": 4, "max_tokens": 3, "null": True}
    np.testing.assert_allclose(
        answer_spans.candidates(passage, outputs, **options), answer_spans.candidates(passage, shifted, **options)
    )


def test_a_piece_of_text_is_listed_once() -> None:
    """Four tokens of one emoji have its one character."""
    passage = Passage(np.array([0, 1, 1, 1, 1]), np.array([1, 2, 2, 2, 2]), (Window(1, 0, 5, 7),))
    outputs = np.zeros((7, 2))
    outputs[2:6] = 9
    found = answer_spans.candidates(passage, [outputs], count=5, max_tokens=5, null=False)
    assert found[:, 1:].tolist() == [[1, 2], [0, 2], [0, 1]]


def test_the_answer_comes_first() -> None:
    found = np.array([[0.5, 3, 5], [0.1, 0, 1], [0.4, NO_PLACE, NO_PLACE]])
    assert answer_spans.null_share(found) == pytest.approx(0.4 / 0.9)
    assert answer_spans.decided(found, 0.5)[:, 1].tolist() == [3, NO_PLACE, 0]
    assert answer_spans.decided(found, 0.4)[:, 1].tolist() == [NO_PLACE, 3, 0]
    without = found[:2]
    assert answer_spans.null_share(without) == 0.0
    assert answer_spans.decided(without, 0.0)[:, 1].tolist() == [3, 0]
    alone = found[2:]
    assert answer_spans.null_share(alone) == 1.0
    assert answer_spans.decided(alone, 1.0).tolist() == alone.tolist()
    likely = np.array([[0.2, 3, 5], [0.7, NO_PLACE, NO_PLACE]])
    assert answer_spans.decided(likely, 0.9)[:, 1].tolist() == [3, NO_PLACE]


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_is_the_best_there_is(seed: int) -> None:
    random = np.random.default_rng(seed)
    shares = random.choice(np.linspace(0, 1, 12), 25)
    with_answer, with_null = random.random(25).round(1), random.integers(0, 2, 25).astype(float)

    def total(threshold: float) -> float:
        return float(np.where(shares >= threshold, with_null, with_answer).sum())

    found = answer_spans.best_threshold(shares, with_answer, with_null)
    assert 0 <= found <= 1
    assert total(found) >= max(total(threshold) for threshold in np.linspace(0, 1, 400)) - 1e-9


def test_drift_is_that_of_the_same_answers() -> None:
    then = np.array([[0.5, 3, 5], [0.3, 0, 1], [0.2, NO_PLACE, NO_PLACE]])
    assert answer_spans.moved(then, then[::-1]) == 0
    assert answer_spans.moved(then, np.array([[0.46, 3, 5], [0.34, 0, 1], [0.2, -1, -1]])) == pytest.approx(0.04)
    assert answer_spans.moved(then, np.array([[0.9, 7, 9], [0.05, 8, 9]])) == pytest.approx(0.45)
