"""Written texts score as sacrebleu and rouge-score say, all rows together and in every resample."""

from __future__ import annotations

import random

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from tunesmith import metrics
from tunesmith.errors import UsageError
from tunesmith.metrics import Counted
from tunesmith.metrics.registry import METRICS
from tunesmith.metrics.sample import sampled
from tunesmith.metrics.words import words

ENGLISH = ["the", "cat", "sat", "on", "It's", "mat.", "dog,", "U.S.", "3.5", "and", "ran", "(far)", "café"]
CHINESE = ["我", "们", "在", "北京", "，", "2024", "年", "NBA", "。", "学习"]


def some_text(source: random.Random, pieces: list[str], least: int = 0) -> str:
    between = " " if pieces is ENGLISH else ""
    return between.join(source.choices(pieces, k=source.randint(least, 12)))


def near(source: random.Random, text: str, pieces: list[str]) -> str:
    """A text that shares much with another."""
    return text if source.random() < 0.3 else text[: source.randint(0, len(text))] + " " + some_text(source, pieces)


def corpus(seed: int, pieces: list[str], rows: int = 6) -> tuple[list[list[str]], list[str]]:
    source = random.Random(seed)
    first = [some_text(source, pieces, least=1) for _ in range(rows)]
    more = source.randint(0, 2) if seed % 2 else 0
    references = [[text, *(near(source, text, pieces) for _ in range(source.randint(0, more)))] for text in first]
    return references, [near(source, text, pieces) for text in first]


def translated(references, answers, **more) -> Counted:
    return metrics.translation(references, answers, texts=["s"] * len(answers), lengths=[1] * len(answers), **more)


def summarised(references, answers, texts=None) -> Counted:
    return metrics.summary(references, answers, texts=texts or ["s"] * len(answers), lengths=[1] * len(answers))


def streams(references):
    return [[row[n] if n < len(row) else None for row in references] for n in range(max(map(len, references)))]


@pytest.mark.parametrize(("pieces", "tokenizer"), [(ENGLISH, "13a"), (CHINESE, "zh")])
def test_translations_score_as_sacrebleu_says_in_500_cases(pieces, tokenizer):
    for seed in range(500):
        references, answers = corpus(seed, pieces)
        bleu, chrf = BLEU(tokenize=tokenizer), CHRF()
        expected = bleu.corpus_score(answers, streams(references))
        made = translated(references, answers)
        scores = metrics.score(made)
        assert scores["bleu"] == pytest.approx(expected.score, abs=1e-9), seed
        assert scores["chrf"] == pytest.approx(chrf.corpus_score(answers, streams(references)).score, abs=1e-9), seed
        assert scores.get("length_ratio", 0) == pytest.approx(expected.ratio)
        assert made.notes == (f"BLEU: {bleu.get_signature()}", f"chrF: {chrf.get_signature()}")


def test_texts_without_a_letter_say_nothing_of_the_language():
    assert "tok:zh" in translated([["。"], ["3.5%"], ["我们"]], ["", "", ""]).notes[0]
    assert "tok:13a" in translated([["3.5%"], ["——"]], ["", ""]).notes[0]


def test_the_tokenizer_can_be_chosen():
    references, answers = corpus(3, CHINESE)
    made = translated(references, answers, tokenizer="char")
    assert "tok:char" in made.notes[0]
    expected = BLEU(tokenize="char").corpus_score(answers, streams(references)).score
    assert metrics.score(made)["bleu"] == pytest.approx(expected)
    assert "tok:char" in translated([["これはペンです"]], ["ペン"]).notes[0]


@pytest.mark.parametrize("make", [translated, summarised])
def test_a_bootstrap_draw_is_the_score_of_the_resampled_rows(make):
    references, answers = corpus(11, ENGLISH, rows=50)
    drawn = np.random.default_rng(0).integers(0, 50, 50)
    weights = np.bincount(drawn, minlength=50)[None].astype(float)
    whole = make(references, answers)
    again = metrics.score(make([references[row] for row in drawn], [answers[row] for row in drawn]))
    assert len(again) >= 3
    for name, value in again.items():
        assert METRICS[whole.kind, name].formula(sampled(whole, weights))[0] == pytest.approx(value, abs=1e-9), name
    assert metrics.score(whole.take(drawn)) == pytest.approx(again)


def test_summaries_score_as_rouge_score_says_in_500_cases():
    names = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(names)
    for seed in range(500):
        references, answers = corpus(seed, ENGLISH, rows=3)
        found = metrics.score(summarised(references, answers))
        for name in names:
            rows = [scorer.score_multi(r, a)[name].fmeasure for r, a in zip(references, answers, strict=True)]
            assert found[name] == pytest.approx(np.mean(rows), abs=1e-12), (seed, name)


def test_chinese_is_compared_by_character():
    found = metrics.score(summarised([["我们在北京"]], ["我在北京"]))
    assert found["rouge1"] == pytest.approx(8 / 9)
    assert found["rouge2"] == pytest.approx(2 * 2 / 7)
    assert found["rougeL"] == pytest.approx(8 / 9)
    assert found["length_ratio"] == pytest.approx(4 / 5)


def test_novel_bigrams_are_those_that_the_source_lacks():
    made = summarised([["a b"]], ["one two three four"], texts=["zero One two, four three"])
    assert metrics.score(made)["novel_bigrams"] == pytest.approx(2 / 3)


def test_worst_answers_are_the_least_like_their_references():
    made = summarised([["a b c"], ["a b c"]], ["a b c", "x"])
    assert made.errors.tolist() == [0, 1]
    made = translated([["a cat sat"], ["a cat sat"]], ["a cat sat", "zzz"])
    assert made.errors.tolist() == pytest.approx([0, 1])


def talked(answers, nll=(2.0, 4.0), tokens=(2, 4)) -> Counted:
    references = [["good morning"], ["good night"]]
    return metrics.chat(references, answers, nll=nll, tokens=tokens, texts=["u", "v"], lengths=[3, 4])


def test_chat_without_answers_has_its_perplexity_only():
    made = talked([None, None], nll=(1.0, 8.0), tokens=(1, 2))
    assert metrics.score(made) == {"perplexity": pytest.approx(np.exp(3))}
    assert made.errors.tolist() == [1, 4]


def test_chat_compares_the_rows_that_were_answered():
    made = talked(["good evening", None])
    scores = metrics.score(made)
    assert scores["rougeL"] == pytest.approx(0.5)
    assert scores["chrf"] == pytest.approx(CHRF().corpus_score(["good evening"], [["good morning"]]).score)
    assert scores["distinct_1"] == 1
    assert made.errors.tolist() == pytest.approx([0.5, 0])
    assert "1 of 2 rows were answered" in made.notes


def test_distinct_counts_different_words_of_all_answers():
    scores = metrics.score(talked(["yes yes yes", "yes no"]))
    assert scores["distinct_1"] == pytest.approx(2 / 5)
    assert scores["distinct_2"] == pytest.approx(2 / 3)


def test_scores_that_only_describe_have_no_interval_and_no_test():
    made = talked(["good evening", "good"])
    assert set(metrics.intervals(made, resamples=20)) == {"perplexity", "chrf", "rougeL"}
    with pytest.raises(UsageError, match="nothing to test"):
        metrics.paired_test(made, made, "distinct_1")


def test_a_better_translator_is_told_from_a_worse_one():
    references, answers = corpus(5, ENGLISH, rows=80)
    worse, better = translated(references, answers), translated(references, [row[0] for row in references])
    result = metrics.paired_test(worse, better, "bleu", resamples=200)
    assert result.b == pytest.approx(100)
    assert result.p_value < 0.01
    assert result.interval[0] > 0


def test_rows_without_reference_are_refused():
    with pytest.raises(ValueError, match="need one each"):
        translated([["a"], []], ["a", "b"])


def test_ranking():
    made = metrics.ranking([1, 2, 20, 6], ["r"] * 4, ["p"] * 4, texts=["q"] * 4, lengths=[1] * 4)
    assert metrics.score(made) == pytest.approx(
        {"mrr": (1 + 1 / 2 + 1 / 20 + 1 / 6) / 4, "recall_at_1": 0.25, "recall_at_5": 0.5, "recall_at_10": 0.75}
    )
    assert made.errors.tolist() == [0, 1, 19, 5]
    assert metrics.score_rows(made, "mrr") == pytest.approx([1, 1 / 2, 1 / 20, 1 / 6])


def test_words_of_latin_script_are_those_of_rouge_score():
    from rouge_score.tokenize import tokenize

    source = random.Random(0)
    for _ in range(300):
        text = "".join(source.choices("aZ09 .-_'\n\téßÀ$&", k=30))
        assert words(text) == tokenize(text, None)
    assert words("Привет, мир") == ["привет", "мир"]


def test_direction_of_metrics_does_not_depend_on_the_kind():
    ways: dict[str, set[bool]] = {}
    for (_, name), metric in METRICS.items():
        ways.setdefault(name, set()).add(metric.higher_is_better)
    assert all(len(way) == 1 for way in ways.values())
    assert not metrics.higher_is_better("perplexity")


def test_the_table_of_kinds_names_real_metrics():
    for kind, facts in metrics.KINDS.items():
        assert {facts.headline, facts.by_length, *facts.chief} <= set(metrics.names(kind)), kind
        assert set(facts.mistakes) <= {*facts.columns, *facts.label_columns}
