"""Parameters of tasks that read: the model computes its outputs once, and they are decided anew for each value.

Where a parameter changes what is read (``window_overlap``), the texts are read anew as well.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith import metrics, requested
from tunesmith.explaining import values
from tunesmith.explaining.declared import DECIDED
from tunesmith.explaining.found import Column, Found, Sample, said
from tunesmith.explaining.gists import gist, is_answer, numbers
from tunesmith.explaining.phrases import Said, say
from tunesmith.params import Leaf
from tunesmith.tasks.base import Scored, Target, shown_texts

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from tunesmith.predict import Model

_READ_ANEW, _OF_ANSWERED = "window_overlap", "accuracy_answered"
_MOST_LABELS, _MOST_METRICS, _MOST_SAMPLES = 6, 3, 5


@dataclass(frozen=True)
class Decided:
    """All rows as they are answered with one value.

    Args:
        answers: as callers see them.
        scores: of the chief metrics with their intervals, where the rows have labels.
        notes: what callers are told, such as parameters without effect.
    """

    answers: list[dict[str, Any]]
    scores: dict[str, tuple[float, tuple[float, float]]]
    notes: tuple[str, ...]

    @property
    def gists(self) -> list[tuple[str, ...]]:
        """What each row is answered, without scores."""
        return [gist(answer) for answer in self.answers]


def values_of(model: Model, leaf: Leaf) -> list[Any]:
    """The values of a parameter that are tried where the call names none."""
    if leaf.path == "top_k":
        return list(range(1, min(len(model.target.labels), 10) + 1))
    known = {"dimensions": [8, 16, 32, 64, 128, 256, 384], "n_best": [1, 2, 3, 5, 10], _READ_ANEW: [0, 8, 16, 32, 64]}
    if leaf.path in known:
        return known[leaf.path]
    if leaf.path == "entity_threshold":
        return [round(0.1 * step, 1) for step in range(10)]
    return values.declared(leaf)


def look(
    model: Model,
    name: str,
    leaf: Leaf,
    tried: Sequence[Any],
    held: Mapping[str, Any],
    rows: pa.Table,
    *,
    labelled: bool,
) -> Found:
    """Decide some rows with each value.

    Args:
        model: whose answers they are.
        name: of the model, as given.
        leaf: the parameter.
        tried: its values.
        held: other parameters of the request.
        rows: canonical ones.
        labelled: whether their truth is known.
    """
    with model.reading() as folder:
        read = Read(model, rows, folder, labelled)
        if leaf.path == "dimensions":
            tried = [value for value in tried if value <= read.width] or tried
        default = getattr(model.request(), leaf.path, leaf.default)
        usual = read.decided(leaf.path, default, held)
        each = [read.decided(leaf.path, value, held) for value in tried]
    found = Found(
        leaf.path,
        name,
        model.bundle.config.task_name,
        say("read anew" if leaf.path == _READ_ANEW else "read once", inputs=len(rows)),
        tuple(tried),
        default,
        held,
        tuple(_columns(usual, each)),
        (),
        max(_difference(usual, one) for one in each),
        all(one.answers == usual.answers and one.scores == usual.scores for one in each),
        tuple(_samples(shown_texts(rows, model.task.inputs), tried, usual, each)),
        {"notes": sorted({note for one in each for note in one.notes})},
    )
    return dataclasses.replace(found, sentences=tuple(_sentences(found, usual, each)))


class Read:
    """Rows whose outputs are computed once.

    Args:
        model: that reads them.
        rows: canonical ones.
        folder: for their tokens.
        labelled: whether their truth is known.
    """

    def __init__(self, model: Model, rows: pa.Table, folder: Path, labelled: bool) -> None:
        self._model, self._rows, self._folder, self._labelled = model, rows, folder, labelled
        self._known: dict[int | None, tuple[Any, Any]] = {}

    @property
    def width(self) -> int:
        """Numbers of an embedding, of a model that makes some."""
        _, outputs = self._outputs(self._model.request())
        return int(np.asarray(outputs[0]).size // (2 if self._rows["text_pair"].null_count < len(self._rows) else 1))

    def decided(self, name: str, value: Any, held: Mapping[str, Any]) -> Decided:
        """The rows with one value of a parameter."""
        model, task = self._model, self._model.task
        request = model.request(**(held if name in DECIDED else {**held, name: value}))
        target = _target(model.target, name, value)
        examples, outputs = self._outputs(request)
        scored = Scored(self._rows, examples, task.scores(outputs, examples, target, request), task.inputs)
        answers = task.answers(scored, target, request)
        notes = tuple(task.idle(scored, target, request, model.bundle.config.model))
        return Decided(answers, self._scores(scored, target, request) if self._labelled else {}, notes)

    def _outputs(self, request: Any) -> tuple[Any, Any]:
        """How the rows are read for a request, and what the network gives for them."""
        overlap = getattr(request, _READ_ANEW, None)
        if overlap not in self._known:
            model, task = self._model, self._model.task
            reading = requested.reading(model.bundle.config.model, request)
            examples = task.encode(self._rows, model.tokenizer, reading, self._folder / str(overlap))
            self._known[overlap] = (examples, model.engine.sequences(examples))
        return self._known[overlap]

    def _scores(self, scored: Scored, target: Target, request: Any) -> dict[str, tuple[float, tuple[float, float]]]:
        task = self._model.task
        predictions = task.predictions(_cut(scored, request), task.asked(target, request))
        found = metrics.score(predictions)
        names = [name for name in dict.fromkeys(predictions.chief) if name in found][:_MOST_METRICS]
        names += [name for name in (_OF_ANSWERED,) if name in found and name not in names]
        names = [name for name in names if np.isfinite(found[name])]
        return {name: (found[name], pair) for name, pair in metrics.intervals(predictions, names).items()}


def _cut(scored: Scored, request: Any) -> Scored:
    """Embeddings with as many numbers as a request wants of them, since these are what its score is made of."""
    size = getattr(request, "dimensions", None)
    return scored if size is None else dataclasses.replace(scored, scores=[row[:, :size] for row in scored.scores])


def _target(target: Target, name: str, value: Any) -> Target:
    """The target, with another temperature of its calibration where that is what is looked at."""
    if name not in DECIDED or value is None:
        return target
    return dataclasses.replace(target, decision=dataclasses.replace(target.decision, calibration=((1 / value, 0.0),)))


def _columns(usual: Decided, each: Sequence[Decided]) -> Iterator[Column]:
    total = len(usual.answers)

    def column(name: str, meaning: Said, of: Callable[[Decided], float], form: str = "share") -> Column:
        return Column(name, meaning, tuple(of(one) for one in each), of(usual), form)

    yield column("answered", say("answered"), lambda one: sum(map(is_answer, one.answers)) / total)
    if any(len(found) != 1 for one in (usual, *each) for found in one.gists):
        yield column("given", say("given"), lambda one: sum(map(len, one.gists)) / total, "number")
    yield column("changed", say("changed"), lambda one: _changed(usual, one) / total)
    for name in dict.fromkeys(name for one in (usual, *each) for name in one.scores):
        known = [one.scores.get(name) for one in each]
        numbers = tuple(one and one[0] for one in known)
        before = usual.scores[name][0] if name in usual.scores else None
        intervals = tuple(one and one[1] for one in known)
        yield Column(name, say("against labels", metric=name), numbers, before, intervals=intervals)
    scores = [_mean_score(one) for one in (usual, *each)]
    if all(score is not None for score in scores):
        yield Column("score", say("score"), tuple(scores[1:]), scores[0])
    for label in _labels(usual, each):
        yield column(f"= {label}", say("label share", label=label), partial(_share, label))


def _labels(usual: Decided, each: Sequence[Decided]) -> list[str]:
    """The commonest labels among all answers; none where answers are no labels."""
    if not all("label" in answer or "labels" in answer for answer in usual.answers):
        return []
    counts = Counter(label for one in (usual, *each) for found in one.gists for label in found)
    return [label for label, _ in counts.most_common(_MOST_LABELS)]


def _share(label: str, one: Decided) -> float:
    return sum(label in found for found in one.gists) / len(one.gists)


def _changed(usual: Decided, one: Decided) -> int:
    return sum(before != now for before, now in zip(usual.gists, one.gists, strict=True))


def _difference(usual: Decided, one: Decided) -> float:
    """The largest difference of a number in an answer; 1 where answers differ in what they hold."""
    largest = 0.0
    for before, now in zip(usual.answers, one.answers, strict=True):
        pair = list(numbers(before)), list(numbers(now))
        if len(pair[0]) != len(pair[1]) or gist(before) != gist(now):
            largest = max(largest, 1.0)
        else:
            largest = max(largest, *(abs(a - b) for a, b in zip(*pair, strict=True)), 0.0)
    return largest


def _mean_score(one: Decided) -> float | None:
    known = [answer["score"] for answer in one.answers if isinstance(answer.get("score"), float)]
    return float(np.mean(known)) if known else None


def _samples(inputs: list[str], tried: Sequence[Any], usual: Decided, each: Sequence[Decided]) -> Iterator[Sample]:
    """Answers that change, with the first value that changes them."""
    shown = 0
    for row, text in enumerate(inputs):
        changed = next((number for number, one in enumerate(each) if one.gists[row] != usual.gists[row]), None)
        if changed is None or shown == _MOST_SAMPLES:
            continue
        shown += 1
        yield Sample(None, text, _told(usual.gists[row]))
        yield Sample(tried[changed], text, _told(each[changed].gists[row]))


def _told(found: tuple[str, ...]) -> str:
    return ", ".join(found) or "nothing"


def _sentences(found: Found, usual: Decided, each: Sequence[Decided]) -> Iterator[Said]:
    total, name = len(usual.answers), found.name
    yield from (say("note", note=note) for note in found.details["notes"])
    if found.inert:
        yield say("inert decided", name=name, values=len(each), inputs=total)
        return
    changed = [_changed(usual, one) for one in each]
    most = int(np.argmax(changed))
    if not changed[most]:
        yield say("moves scores", name=name, inputs=total, largest=found.largest)
    else:
        facts = {"name": name, "value": said(found.values[most]), "changed": changed[most]}
        yield say("changes answers", **facts, inputs=total, usual=said(found.usual))
        none = [value for value, count in zip(found.values, changed, strict=True) if not count]
        if none:
            yield say("changes none", name=name, values=", ".join(map(said, none)))
    yield from _judged(found, usual, each)


def _judged(found: Found, usual: Decided, each: Sequence[Decided]) -> Iterator[Said]:
    """What the labels say: of the answers that are given, and of the chief score with its interval."""
    yield from _of_answered(found, each)
    for name, (before, interval) in list(usual.scores.items())[:1]:
        if not all(name in one.scores for one in each):
            continue
        if len({one.scores[name][0] for one in (usual, *each)}) == 1:
            withheld = any(_OF_ANSWERED in one.scores for one in each)
            yield say("stays with withheld" if withheld else "stays", metric=name, score=before)
            continue
        sign = 1 if metrics.higher_is_better(name) else -1
        best = max(range(len(each)), key=lambda number: sign * each[number].scores[name][0])
        score, (low, high) = each[best].scores[name]
        usually = {"usual": said(found.usual), "before": before, "before_low": interval[0], "before_high": interval[1]}
        facts = {"value": said(found.values[best]), "score": score, "low": low, "high": high}
        yield say("best", metric=name, **facts, **usually, values=len(each))


def _of_answered(found: Found, each: Sequence[Decided]) -> Iterator[Said]:
    """How sure answers are where the most are withheld, and where the fewest are."""
    known = [number for number, one in enumerate(each) if _OF_ANSWERED in one.scores]
    shares = {number: sum(map(is_answer, each[number].answers)) for number in known}
    for number in dict.fromkeys(
        [max(known, key=shares.__getitem__), min(known, key=shares.__getitem__)] if known else []
    ):
        right, (low, high) = each[number].scores[_OF_ANSWERED]
        facts = {"right": 100 * right, "low": 100 * low, "high": 100 * high}
        answered, total = shares[number], len(each[number].answers)
        yield say("of answered", value=said(found.values[number]), answered=answered, inputs=total, **facts)
