"""A log beside what a bundle remembers of its training: whether what is asked, or answered, has changed.

| check | what is compared | with | how |
|---|---|---|---|
| labels | labels of the answers | answers to the validation rows | index of population stability, chi-square |
| numbers | numbers answered | the same | Kolmogorov and Smirnov |
| length | tokens of the inputs | training rows | Kolmogorov and Smirnov |
| vocabulary | in how many rows each common word stands | training rows | Jensen-Shannon distance, chi-square |
| unseen words | share of words that are not common ones | validation rows | Kolmogorov and Smirnov |
| confidence | probabilities that answers give themselves | answers to the validation rows | Kolmogorov and Smirnov |
| calibration | how many answers were right, where feedback says so | their probabilities | a test of the mean |

Chances are corrected for the number of checks (Holm). A check says that something drifted where chance would hardly do it
and the difference is large enough to matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from tunesmith.errors import BundleError
from tunesmith.kept import statistics
from tunesmith.kept.origin import Origin
from tunesmith.kept.prediction import Prediction
from tunesmith.kept.statistics import Difference
from tunesmith.kept.texts import Measure, words_of
from tunesmith.kept.training import FILE, Sample, Summary, label_counts, unlisted
from tunesmith.text.cells import RowError

Verdict = Literal["drifted", "no sign of drift", "too few rows to say"]

_ANY = 10**9
"""Rows that are never too few."""
_EXCLUSIVE = ("multi-class", "answers")
_TESTED_WORDS = 300
_MATTERS = {
    "labels": 0.1,
    "numbers": 0.1,
    "length": 0.1,
    "vocabulary": 0.1,
    "unseen words": 0.1,
    "confidence": 0.1,
    "calibration": 0.05,
}
"""The least effect of each check that matters."""


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Args:
        name: what.
        verdict: what came of it.
        said: the same in a sentence.
        rows: of the log.
        reference: rows that they are compared with.
        measure: what ``effect`` is.
        effect: how large the difference is; None: nothing was computed.
        p: the chance of it, corrected for the number of checks.
    """

    name: str
    verdict: Verdict
    said: str
    rows: int
    reference: int
    measure: str
    effect: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Asked:
    """What the inputs and answers of a log say, one entry a row.

    Args:
        predictions: that could be read.
        texts: of their inputs.
        unread: how many inputs could not be read.
    """

    predictions: Sequence[Prediction]
    texts: Sequence[str]
    unread: int = 0


@dataclass(frozen=True)
class _Found:
    """A check before it is corrected for the others."""

    name: str
    measure: str
    rows: int
    reference: int
    compare: Callable[[], Difference]
    tell: Callable[[Difference], str]
    whose: str = field(default="validation rows")


def read(origin: Origin, predictions: Iterable[Prediction]) -> Asked:
    """The rows of a log, as far as their inputs can be read."""
    kept, texts, unread = [], [], 0
    for one in predictions:
        try:
            origin.form.labels(one.answer)
            texts.append(origin.text(one.input))
            kept.append(one)
        except (RowError, KeyError, TypeError):  # a route gave another form to the answer than its task
            unread += 1
    return Asked(kept, texts, unread)


def checks(origin: Origin, asked: Asked, folder: Path) -> list[Check]:
    """Everything that is looked at, in the order of the table above.

    Args:
        origin: the bundle that answered.
        asked: rows of a log.
        folder: the bundle, for its tokenizer.

    Raises:
        BundleError: the bundle does not remember its training rows.
    """
    summary = origin.training
    if summary is None:
        hint = "bundles made by this version do: train again, with `tunesmith train config.yaml`"
        raise BundleError(
            f"the bundle has no {FILE}: it does not remember its training rows", where=str(folder), hint=hint
        )
    found = [*_answers(origin, summary, asked), *_inputs(summary, asked, folder), *_sureness(origin, summary, asked)]
    return _judged(found)


def _answers(origin: Origin, summary: Summary, asked: Asked) -> list[_Found]:
    form, answers = origin.form, [one.answer for one in asked.predictions]
    now, reference = label_counts(form, answers), summary.answered
    if summary.numbers.rows:
        numbers = [value for value in map(form.number, answers) if value is not None]
        return [_sampled("numbers", summary.numbers, numbers, "answers", "{:.3g}")]
    if not (summary.answers or now):
        return []
    exclusive = origin.target.kind in _EXCLUSIVE

    def compare() -> Difference:
        if exclusive:
            return statistics.mix(summary.answers, now)
        found = statistics.presence(summary.answers, reference, now, len(answers))
        return replace(found, effect=statistics.mix(summary.answers, now).effect)

    def tell(found: Difference) -> str:
        if not found.part or found.part not in {**summary.answers, **now}:
            return "the shares of the labels"
        shares = (now.get(found.part, 0) / len(answers), summary.answers.get(found.part, 0) / reference)
        return "'{}' is given to {:.1%} of the rows, and was to {:.1%}".format(found.part, *shares)

    return [_Found("labels", "PSI", len(answers), reference, compare, tell)]


def _inputs(summary: Summary, asked: Asked, folder: Path) -> list[_Found]:
    found = []
    measure = Measure.of(folder)
    if summary.lengths is not None and measure is not None:
        lengths = [float(count) for count, _ in measure.tokens(asked.texts)]
        found.append(_sampled("length", summary.lengths, lengths, "tokens of a text", "{:.0f}", "training rows"))
    if summary.words:
        found.append(_vocabulary(summary, asked))
        shares = [share for share in (unlisted(text, summary.words) for text in asked.texts) if share is not None]
        found.append(
            _sampled(
                "unseen words", summary.unlisted, shares, "share of words that are not common ones", "{:.1%}", mean=True
            )
        )
    return found


def _vocabulary(summary: Summary, asked: Asked) -> _Found:
    common = dict(list(summary.words.items())[:_TESTED_WORDS])
    counted = Counter(word for text in asked.texts for word in set(words_of(text)) if word in common)
    rows = len(asked.texts)

    def tell(found: Difference) -> str:
        if not found.part:
            return "the common words"
        shares = (counted[found.part] / rows, common[found.part] / summary.rows)
        return "'{}' stands in {:.1%} of the texts, and did in {:.1%}".format(found.part, *shares)

    def compare() -> Difference:
        return statistics.presence(common, summary.rows, counted, rows)

    return _Found("vocabulary", "Jensen-Shannon distance", rows, summary.rows, compare, tell, "training rows")


def _sureness(origin: Origin, summary: Summary, asked: Asked) -> list[_Found]:
    scores = [one.score for one in asked.predictions if one.score is not None]
    if not (summary.confidence.rows or scores):
        return []
    found = [_sampled("confidence", summary.confidence, scores, "confidence", "{:.2f}", mean=True)]
    judged = [
        (one.score, origin.form.same(one.answer, one.feedback.truth))
        for one in asked.predictions
        if one.score is not None and one.feedback is not None and one.feedback.truth is not None
    ]
    if origin.target.kind == "multi-class" and judged:
        found.append(_calibration(judged))
    return found


def _calibration(judged: Sequence[tuple[float, bool]]) -> _Found:
    """How many answers were right, beside how many should have been by their probabilities, which are taken at their word."""
    scores, right = np.array([score for score, _ in judged]), np.array([is_right for _, is_right in judged])
    spread = float(np.sqrt((scores * (1 - scores)).mean()))

    def compare() -> Difference:
        return statistics.rate(float(scores.mean()), spread, float(right.mean()), len(judged))

    def tell(_: Difference) -> str:
        return f"{right.mean():.1%} of {len(judged)} answers were right, and their confidence is {scores.mean():.1%}"

    return _Found("calibration", "right less expected", len(judged), len(judged), compare, tell, "rows with feedback")


def _sampled(
    name: str,
    then: Sample,
    now: Sequence[float],
    what: str,
    form: str,
    whose: str = "validation rows",
    *,
    mean: bool = False,
) -> _Found:
    """Numbers of rows beside those that were kept."""
    middle = np.mean if mean else np.median

    def tell(_: Difference) -> str:
        values = (form.format(middle(list(side))) for side in (now, then.values))
        return "the {} {} is {}, and was {}".format("mean" if mean else "median", what, *values)

    return _Found(name, "KS distance", len(now), then.rows, lambda: statistics.ks(then, now), tell, whose)


def _judged(found: Sequence[_Found]) -> list[Check]:
    """Verdicts, with chances that are corrected for the number of checks."""
    can = [one for one in found if min(one.rows, one.reference) >= statistics.FEWEST]
    differences = [one.compare() for one in can]
    corrected = statistics.holm([one.p for one in differences])
    known = {one.name: (both, p) for one, both, p in zip(can, differences, corrected, strict=True)}
    return [_check(one, *known.get(one.name, (None, None)), count=len(found)) for one in found]


def _check(one: _Found, difference: Difference | None, p: float | None, *, count: int) -> Check:
    verdict, said = _verdict(one, difference, p, count)
    effect = None if difference is None else difference.effect
    return Check(one.name, verdict, said, one.rows, one.reference, one.measure, effect, p)


def _verdict(one: _Found, difference: Difference | None, p: float | None, count: int) -> tuple[Verdict, str]:
    """What came of a check, and that in words."""
    needed = statistics.needed(_ANY if one.name == "calibration" else one.reference, count)
    if difference is None or p is None:
        return "too few rows to say", _lack(one, needed, count)
    told = f"{one.tell(difference)} ({one.measure} {difference.effect:.3f}, p {p:.2g})"
    sure, matters = p < statistics.SURE, abs(difference.effect) >= _MATTERS[one.name]
    if sure and matters:
        return "drifted", told
    if needed is None or one.rows < needed:
        return "too few rows to say", _lack(one, needed, count)
    return "no sign of drift", told + ("; surely a difference, but a slight one" if sure else "")


def _lack(one: _Found, needed: int | None, count: int) -> str:
    if needed is None:
        least = statistics.needed(_ANY, count)
        return f"the bundle remembers {one.reference} {one.whose}, and more than {least} are needed"
    return f"{one.rows} rows, and {needed} are needed beside {one.reference:,} {one.whose}"
