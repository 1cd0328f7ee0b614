"""The metrics of relations that are labels of marked pairs: "no relation" is no class, and directions are one class.

A label is right only in its own direction; a class is counted wherever either of its directions is the truth or the
answer. So scores are those of the official scorer of SemEval-2010 task 8 (Hendrickx et al. 2010), its "(9+1)-way
evaluation with directionality taken into account".
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from tunesmith.metrics.predictions import Array
from tunesmith.metrics.registry import metric, ratio
from tunesmith.metrics.sample import Sample

_DIRECTED = re.compile(r"(?P<family>.+?)\s*\((e1,\s*e2|e2,\s*e1)\)", re.DOTALL)
_OUTSIDE = frozenset(
    [
        "other",
        "no relation",
        "norelation",
        "none",
        "no",
        "unknown",
        "na",
        "n/a",
        "nil",
        "null",
        "无",
        "无关系",
        "无关",
        "其他",
        "其它",
        "未知",
        "没有关系",
    ]
)


def families(labels: tuple[str, ...], no_relation: str | None) -> tuple[str, ...]:
    """Of each label, the relation that it is a direction of; empty for the label that says that no relation holds.

    >>> families(("Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)", "Other", "Origin"), "Other")
    ('Cause-Effect', 'Cause-Effect', '', 'Origin')
    """
    return tuple("" if label == no_relation else _family(label) for label in labels)


def outside(labels: tuple[str, ...]) -> str | None:
    """The label that seems to say that no relation holds; None where none or several do.

    >>> outside(("Cause", "no_relation")), outside(("Cause", "Effect"))
    ('no_relation', None)
    """
    found = [label for label in labels if re.sub(r"[\s_-]+", " ", label.strip().casefold()) in _OUTSIDE]
    return found[0] if len(found) == 1 else None


@metric("labelled-relations")
def f1_relations(sample: Sample) -> Array:
    """Mean F1 of all relations, either direction of one together, "no relation" left out (SemEval-2010 task 8)."""
    hits, found, actual = _counts(sample)
    return _mean(sample, ratio(2 * hits, found + actual))


@metric("labelled-relations")
def precision_relations(sample: Sample) -> Array:
    """Mean precision of all relations, counted as in `f1_relations`."""
    hits, found, _ = _counts(sample)
    return _mean(sample, ratio(hits, found))


@metric("labelled-relations")
def recall_relations(sample: Sample) -> Array:
    """Mean recall of all relations, counted as in `f1_relations`."""
    hits, _, actual = _counts(sample)
    return _mean(sample, ratio(hits, actual))


@metric("labelled-relations")
def f1_relations_micro(sample: Sample) -> Array:
    """F1 of all decisions for a relation together, "no relation" left out (Zhang et al. 2017, TACRED)."""
    hits, found, actual = _counts(sample)
    return ratio(2 * hits.sum(axis=1), (found + actual).sum(axis=1))


def _family(label: str) -> str:
    directed = _DIRECTED.fullmatch(label)
    return directed["family"] if directed else label


def _membership(sample: Sample) -> NDArray[np.float64]:
    """Which label belongs to which relation, (labels, relations)."""
    names = sorted(set(sample.rows.families) - {""})
    return np.array([[own == name for name in names] for own in sample.rows.families], np.float64)


def _counts(sample: Sample) -> tuple[Array, Array, Array]:
    """Of each relation how often it was right, given and true; (draws, relations) each."""
    of = _membership(sample)
    return sample.hits @ of, sample.predicted @ of, sample.actual @ of


def _mean(sample: Sample, values: Array) -> Array:
    """Mean over the relations, but for those that only this draw happened to miss; undefined where there are none."""
    of = _membership(sample)
    met = (sample.actual + sample.predicted) @ of > 0
    counted = met | ~(sample.rows.seen @ of > 0)
    return ratio((values * counted).sum(axis=1), counted.sum(axis=1), empty=np.nan)
