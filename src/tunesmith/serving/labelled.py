"""Answers that are labels, in the forms of servers that list every label with its score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.serving.models import Served

_KINDS = ("multi-class", "multi-label")


def labels_of(served: Served) -> tuple[str, ...]:
    """The labels that a model chooses from; none: its answers are no labels of the whole input."""
    target = served.model.target
    found: tuple[str, ...] = target.labels if target.kind in _KINDS else ()
    return found


def every_label(served: Served) -> dict[str, Any]:
    """Request parameters that have a model list all its labels."""
    labels = labels_of(served)
    return {"top_k": len(labels)} if labels else {}


def decided(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The labels that were decided on, each with its score: one, or those that hold of several."""
    if "labels" in answer:
        pairs = zip(answer["labels"], answer["scores"], strict=True)
        return [{"label": label, "score": score} for label, score in pairs]
    return [{"label": answer["label"], "score": answer["score"]}]


def ranked(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The labels that were decided on, and after them what else is listed, the likeliest first."""
    first = decided(answer)
    named = {entry["label"] for entry in first}
    return [*first, *(entry for entry in answer.get("top", ()) if entry["label"] not in named)]


def scores(answer: Mapping[str, Any], labels: tuple[str, ...]) -> list[float]:
    """The score of every label in the order of the model's labels, out of an answer that lists them all."""
    known = {entry["label"]: entry["score"] for entry in ranked(answer)}
    return [known[label] for label in labels]
