"""Tables of predictions: scikit-learn's and seqeval's reports, scores by label, confusions, kinds of error."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from tunesmith.metrics.counted import Counted
from tunesmith.metrics.kinds import KINDS
from tunesmith.metrics.predictions import Array, Predictions
from tunesmith.metrics.sample import Totals, sampled
from tunesmith.metrics.scores import score


def classification_report(predictions: Predictions | Counted, digits: int = 4) -> str:
    """scikit-learn's text for labels, seqeval's for entities, the like for relations; for others a table of scores.

    Args:
        predictions: of any kind.
        digits: decimals.
    """
    if isinstance(predictions, Counted):
        has_labels = bool(KINDS[predictions.kind].label_columns)
        return _span_report(predictions, digits) if has_labels else _table_of_scores(predictions, digits)
    if predictions.kind == "regression":
        return _table_of_scores(predictions, digits)
    return _label_report(predictions, digits)


def _label_report(predictions: Predictions, digits: int) -> str:
    from sklearn.metrics import classification_report as sklearn_report

    with warnings.catch_warnings():  # a label without rows scores 0, which the table shows by its support of 0
        warnings.simplefilter("ignore")
        text: str = sklearn_report(
            predictions.targets,
            predictions.predicted,
            labels=np.arange(len(predictions.labels)),
            target_names=list(predictions.labels),
            digits=digits,
            zero_division=0,
        )
    return text


def _span_report(predictions: Counted, digits: int) -> str:
    """Precision, recall and F1 of each type that is there or was found, as seqeval lays them out."""
    totals = sampled(predictions, np.ones((1, len(predictions))))
    assert isinstance(totals, Totals)
    hits, found, gold = totals.hits[0], totals.predicted[0], totals.actual[0]
    seen = sorted(np.flatnonzero(totals.counted[0]), key=lambda label: predictions.labels[label])
    rows = {predictions.labels[label]: (hits[label], found[label], gold[label]) for label in seen}
    width = max([len("weighted avg"), digits, *map(len, rows)])

    def line(name: str, values: Array, support: float) -> str:
        cells = " ".join(f"{value:>9.{digits}f}" for value in values)
        return f"{name:>{width}}  {cells} {int(support):>9}"

    each = np.array([_precision_recall_f1(*row) for row in rows.values()]).reshape(-1, 3)
    support = np.array([row[2] for row in rows.values()])
    together = _precision_recall_f1(hits.sum(), found.sum(), gold.sum())
    macro = each.mean(axis=0) if len(each) else np.zeros(3)
    weighted = np.average(each, axis=0, weights=support) if support.any() else np.zeros(3)
    averages = {"micro avg": together, "macro avg": macro, "weighted avg": weighted}
    others = {
        name: [totals.sum(f"{column}_{what}")[0] for what in ("hits", "found", "gold")]
        for name, column in (("boundaries", "boundary"), ("entities", "entity"))
        if predictions.kind == "triples"
    }
    lines = [f"{'':>{width}}  " + " ".join(f"{name:>9}" for name in ("precision", "recall", "f1-score", "support")), ""]
    lines += [line(name, values, count) for name, values, count in zip(rows, each, support, strict=True)]
    lines += ["", *(line(name, values, gold.sum()) for name, values in averages.items()), ""]
    if others:
        lines += [line(name, _precision_recall_f1(*counts), counts[2]) for name, counts in others.items()] + [""]
    return "\n".join(lines)


def _precision_recall_f1(hits: float, found: float, gold: float) -> Array:
    precision, recall = hits / max(found, 1), hits / max(gold, 1)
    both = precision + recall
    return np.array([precision, recall, 2 * precision * recall / both if both else 0.0])


def _table_of_scores(predictions: Predictions | Counted, digits: int) -> str:
    values = score(predictions)
    width = max(map(len, [*values, "support"]))
    rows = [f"{name:>{width}}  {value:>9.{digits}f}" for name, value in values.items()]
    head, foot = f"{'':>{width}}  {'value':>9}", f"{'support':>{width}}  {len(predictions):>9}"
    return "\n".join([head, "", *rows, "", foot, ""])


@dataclass(frozen=True)
class LabelScore:
    """Scores of one label; ``support`` rows (or entities, relations) have it, ``predicted`` were given it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    threshold: float | None = None


def label_table(predictions: Predictions | Counted, thresholds: np.ndarray | None = None) -> tuple[LabelScore, ...]:
    """Scores of every label in the order of the labels; empty where the kind has none.

    Args:
        predictions: of any kind.
        thresholds: ``(labels,)`` probabilities from which a label was given, for multi-label.
    """
    if predictions.kind == "regression" or not predictions.labels:
        return ()
    sample = sampled(predictions, np.ones((1, len(predictions))))
    rows = zip(predictions.labels, sample.hits[0], sample.predicted[0], sample.actual[0], strict=True)
    return tuple(
        LabelScore(
            label=label,
            precision=float(hits / max(predicted, 1)),
            recall=float(hits / max(actual, 1)),
            f1=float(2 * hits / max(predicted + actual, 1)),
            support=int(actual),
            predicted=int(predicted),
            threshold=None if thresholds is None else float(thresholds[number]),
        )
        for number, (label, hits, predicted, actual) in enumerate(rows)
    )


@dataclass(frozen=True)
class Confusion:
    """How many rows of label ``target`` were called ``predicted``, and their share of the target's rows."""

    target: str
    predicted: str
    rows: int
    share: float


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """``(labels, labels)`` counts of multi-class predictions, targets down, predictions across."""
    count = len(predictions.labels)
    cells = np.bincount(predictions.targets * count + predictions.predicted, minlength=count * count)
    return np.asarray(cells.reshape(count, count))


def confusions(predictions: Predictions | Counted, most: int = 20) -> tuple[Confusion, ...]:
    """The most frequent confusions of multi-class predictions, most frequent first; empty for other kinds."""
    if isinstance(predictions, Counted) or predictions.kind != "multi-class":
        return ()
    matrix = confusion_matrix(predictions)
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(cell) // len(matrix), int(cell) % len(matrix)) for cell in order if wrong.flat[cell]]
    labels, support = predictions.labels, matrix.sum(axis=1)
    return tuple(Confusion(labels[t], labels[p], int(wrong[t, p]), float(wrong[t, p] / support[t])) for t, p in pairs)


def mistakes(predictions: Predictions | Counted) -> dict[str, int]:
    """How often each kind of error was made; empty where errors are of one kind.

    An entity that was found with another type has a ``wrong type``; one that was found with the right type and a span
    that overlaps has ``wrong boundaries``; all else that is there was ``missed``, all else that was found ``invented``.
    """
    if not isinstance(predictions, Counted):
        return {}
    return {name: int(predictions.column(name).sum()) for name in KINDS[predictions.kind].mistakes}
