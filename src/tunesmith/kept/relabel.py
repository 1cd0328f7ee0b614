"""A log as rows to be labelled and learned from: which are worth it, in the form that training reads."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunesmith import predict
from tunesmith.bundle import write_text
from tunesmith.errors import UsageError
from tunesmith.kept.origin import Origin
from tunesmith.kept.prediction import Prediction, Wanted
from tunesmith.kept.store import Log
from tunesmith.kept.texts import words_of
from tunesmith.text.cells import RowError

Pick = Literal["uncertain", "random", "disagreed", "feedback", "drifted"]

_BY, _SUGGESTED, _CONFIDENCE, _REQUEST = "labelled_by", "suggested", "confidence", "request"


@dataclass(frozen=True)
class Candidate:
    """An input with what was answered to it, and what was said of that.

    Args:
        given: the input by its columns.
        text: what it says.
        prediction: the one that counts: the latest that something was said of, else the latest.
        truth: the answer that should have been given; None: nobody said.
        is_disputed: whether feedback, or another version of the model, says something else than the answer, or it was rated bad.
    """

    given: Mapping[str, Any]
    text: str
    prediction: Prediction
    truth: Mapping[str, Any] | None
    is_disputed: bool


@dataclass(frozen=True)
class Made:
    """What was written.

    Args:
        rows: how many.
        judged: of them, those that are labelled by feedback.
        open: those without a label yet.
        of: different inputs of the log.
        picked: how the rows were chosen.
        command: what trains on them.
    """

    rows: int
    judged: int
    open: int
    of: int
    picked: Pick
    command: str


def write(log: Log, origin: Origin, wanted: Wanted, out: Path, *, pick: Pick | None, count: int, seed: int) -> Made:
    """Write rows of a log into a file that training reads.

    Args:
        log: that has them.
        origin: the bundle whose columns and labels are meant.
        wanted: which rows.
        out: CSV or JSONL, as its name ends.
        pick: how the rows are chosen; None: uncertain ones, or by chance where answers do not say how sure they are.
        count: most rows.
        seed: of chance.

    Raises:
        UsageError: there are no rows, they cannot be chosen so, or the file cannot hold them.
    """
    if out.suffix not in (".csv", ".jsonl"):
        raise UsageError("the file is neither .csv nor .jsonl", where=str(out))
    if out.exists():
        raise UsageError("there is such a file already", where=str(out), hint="choose another name, or move it away")
    found = candidates(origin, log.predictions(wanted))
    chosen, picked = _picked(origin, found, pick, random.Random(seed))
    kept = chosen[:count]
    rows = [_row(origin, one) for one in kept]
    label = _label_column(origin)
    text = _csv(rows, label, out) if out.suffix == ".csv" else "".join(f"{_json(row)}\n" for row in rows)
    write_text(out, text)
    judged = sum(one.truth is not None for one in kept)
    unlabelled = sum(row.get(label, "") is None for row in rows)
    return Made(len(rows), judged, unlabelled, len(found), picked, _command(origin, rows, out))


def candidates(origin: Origin, predictions: Iterable[Prediction]) -> list[Candidate]:
    """Every input once, the latest first; what is no input or no answer of the task is passed over."""
    groups: dict[str, list[Prediction]] = {}
    for one in predictions:
        try:
            given = predict.by_column(one.input, origin.task.inputs)
            origin.form.row(given, one.answer)
            origin.task.read_input(given)
        except (RowError, KeyError, TypeError, ValueError):
            continue
        groups.setdefault(_plain(given), []).append(one)
    return [_candidate(origin, group) for group in groups.values()]


def _candidate(origin: Origin, group: Sequence[Prediction]) -> Candidate:
    judged = [one for one in group if one.feedback is not None and one.feedback.truth is not None]
    chief = judged[0] if judged else group[0]
    truth = chief.feedback.truth if judged and chief.feedback is not None else None
    others = [truth] if truth is not None else [one.answer for one in group[1:]]
    disliked = any(one.feedback is not None and (one.feedback.rating or 0) < 0 for one in group)
    disputed = disliked or any(not origin.form.same(chief.answer, other) for other in others)
    given = predict.by_column(chief.input, origin.task.inputs)
    return Candidate(given, origin.text(chief.input), chief, truth, disputed)


def _picked(
    origin: Origin, found: Sequence[Candidate], pick: Pick | None, chance: random.Random
) -> tuple[list[Candidate], Pick]:
    """Candidates in the order in which they are wanted, and how that was found."""
    if not found:
        raise UsageError("the log has no such rows", hint="see --model and --since")
    chosen: Pick = pick or ("uncertain" if any(one.prediction.score is not None for one in found) else "random")
    ways: Mapping[Pick, Callable[[], list[Candidate]]] = {
        "uncertain": lambda: _uncertain(found),
        "random": lambda: chance.sample(found, len(found)),
        "disagreed": lambda: [one for one in found if one.is_disputed],
        "feedback": lambda: [one for one in found if one.truth is not None],
        "drifted": lambda: _strange(origin, found),
    }
    rows = ways[chosen]()
    if not rows:
        known = {"disagreed": "no answer is disputed", "feedback": "nobody told a right answer"}
        raise UsageError(
            known.get(chosen, "answers do not say how sure they are"), where="--pick", hint="--pick random"
        )
    return rows, chosen


def _uncertain(found: Sequence[Candidate]) -> list[Candidate]:
    """The least sure first; last those that are not said to be sure or not, such as texts in which nothing was found."""
    if all(one.prediction.score is None for one in found):
        return []
    return sorted(found, key=lambda one: (one.prediction.score is None, one.prediction.score))


def _strange(origin: Origin, found: Sequence[Candidate]) -> list[Candidate]:
    """Those first whose words are the least expected: the mean surprise of their words, in bits, given in how many rows of the
    training each stands.
    """
    training = origin.training
    if training is None:
        raise UsageError("the bundle does not remember its training rows", where="--pick", hint="--pick random")

    def surprise(word: str) -> float:
        return -math.log2((training.words.get(word, 0) + 0.5) / (training.rows + 1))

    def mean(one: Candidate) -> float:
        words = words_of(one.text)
        return sum(map(surprise, words)) / len(words) if words else 0.0

    return sorted(found, key=mean, reverse=True)


def _row(origin: Origin, one: Candidate) -> dict[str, Any]:
    """A row of training by the names of the training data, and beside it what helps to label it."""
    form, answer = origin.form, one.prediction.answer
    row = form.row(dict(one.given), answer if one.truth is None else {**_unsaid(answer), **one.truth})
    if origin.label_separator and isinstance(row.get("label"), list):
        row["label"] = origin.label_separator.join(row["label"])
    if origin.columns.get("is_impossible") and "answers" in row:
        row["is_impossible"] = not row["answers"]
    named = {origin.columns.get(name) or name: value for name, value in row.items()}
    return {
        **named,
        _BY: "model" if one.truth is None else "feedback",
        _SUGGESTED: _suggested(form.row({}, answer)),
        _CONFIDENCE: one.prediction.score,
        _REQUEST: f"{one.prediction.request}#{one.prediction.number}",
    }


def _unsaid(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer says beside its labels: the text that characters count in."""
    return {name: value for name, value in answer.items() if name == "text"}


def _suggested(row: Mapping[str, Any]) -> str:
    """The model's answer for people: the only value, else all as JSON."""
    values = list(row.values())
    return _cell(values[0] if len(values) == 1 else dict(row))


def _command(origin: Origin, rows: Sequence[Mapping[str, Any]], out: Path) -> str:
    """What trains on a file, with what cannot be guessed from it."""
    there = {name for row in rows for name in row}
    named = [(f"columns.{role}", name) for role, name in origin.columns.items() if name in there and name != role]
    kinds = [("task.kind", origin.target.kind)] if "kind" in origin.options else []
    separator = [("data.label_separator", origin.label_separator)] if origin.label_separator else []
    flags = [("task", origin.task_name), *kinds, *named, *separator]
    return shlex.join(
        ["tunesmith", "train", str(out), *(part for name, value in flags for part in (f"--{name}", str(value)))]
    )


def _label_column(origin: Origin) -> str:
    name = "score" if origin.target.kind == "ranking" else "label"
    return origin.columns.get(name) or name


def _csv(rows: Sequence[Mapping[str, Any]], label: str, out: Path) -> str:
    """Rows between commas; nested values are JSON, but lists of labels, which no reader takes for such."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    if any(isinstance(row.get(label), list) for row in rows):
        raise UsageError("rows with several labels do not fit", where=str(out), hint="let its name end with .jsonl")
    written = io.StringIO()
    writer = csv.DictWriter(written, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(row.get(name)) for name in names} for row in rows)
    return written.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _plain(given: Mapping[str, Any]) -> str:
    """The same text for inputs that differ in case and spaces alone."""
    return " ".join(_json(dict(sorted(given.items()))).lower().split())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
