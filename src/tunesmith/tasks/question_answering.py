"""The piece of a text that answers a question, or that there is none.

The question and its context are read together, a long context in overlapping windows, so that all of it is read. The
model marks where the answer starts and ends; the answer comes back with its characters in the context as it was given.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import params, requested
from tunesmith.errors import DataError
from tunesmith.params import Range, param
from tunesmith.tasks import base
from tunesmith.tasks.base import RowError, Scored, Target, refuse_unknown, text_of
from tunesmith.text.cells import is_missing

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tunesmith.config import Model
    from tunesmith.data.answers import Answer
    from tunesmith.data.examples import Examples
    from tunesmith.data.finding import Finding
    from tunesmith.heads import Head, RowLoss
    from tunesmith.heads.divergences import Divergence
    from tunesmith.metrics import Counted
    from tunesmith.text.encode import Encoded

ANSWER, NO_ANSWER = "answer", "no answer"

# Candidates kept of each row at least, so that later scores can be compared with them.
_KEPT = 5
_EVEN = 0.5


class Columns(params.Params):
    """Which of the file's columns is which."""

    question: str | None = param(None, "The question; none: guessed from the header.")
    context: str | None = param(None, "The text that holds the answer; none: guessed from the header.")
    answers: str | None = param(
        None,
        "The answers: {text: [...], answer_start: [...]} in characters, a list of such objects, either as JSON, or the answer's text where it occurs once; [] where the context holds none; none: guessed from the header.",
    )
    is_impossible: str | None = param(None, "Whether the context holds no answer; none: where a row has no answers.")
    group: str | None = param(
        None, "Rows with the same value stay on the same side of a split, such as a title; none: rows of one context."
    )


class Params(params.Params):
    """How answers are learned."""

    tune_null_threshold: bool = param(
        True,
        "Choose on the validation rows how likely 'no answer' must be; where training rows have none, it is not given.",
    )


class Request(requested.Windowed):
    """What a caller may ask for with each request."""

    n_best: int = param(1, "How many of the likeliest answers to list.", ge=1, le=100)
    max_answer_length: int = param(50, "Most tokens of an answer.", ge=1, le=1000, search=Range(10, 100))
    allow_no_answer: bool | None = param(
        None, "Whether 'no answer' may be the answer; none: where it was in the training rows."
    )
    null_threshold: float | None = param(
        None,
        "Answer 'no answer' where its share of the probability, beside the best answer's, is at least this; none: as tuned, else 0.5.",
        ge=0,
        le=1,
        search=Range(0.05, 0.95),
    )


class Task(base.Task):
    """Extractive question answering."""

    inputs = ("question", "context")
    required = (("question", "context", "answers"),)
    options: Params

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        answer = pa.struct({"text": pa.string(), "start": pa.int64()})
        return pa.schema(
            {"question": pa.string(), "context": pa.string(), "answers": pa.list_(answer), "group": pa.string()}
        )

    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        texts = _texts(row)
        group = row.get("group")
        same_context = hashlib.blake2b(texts["context"].encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        return {
            **texts,
            "answers": _answers(row, texts["context"]),
            "group": same_context if group is None else str(group),
        }

    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(given, self.inputs)
        return {**_texts(given), "answers": [], "group": None}

    def learn(self, rows: pa.Table) -> Target:
        answered = sum(bool(cell) for cell in _cells(rows, "answers"))
        if not answered:
            raise DataError("no training row has an answer", hint="say which column holds them: --columns.answers NAME")
        return Target("answers", (ANSWER, NO_ANSWER), (answered, len(rows) - answered))

    def encode(
        self, rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None = None
    ) -> Examples:
        from tunesmith.data.examples import TokenExamples, encode_texts
        from tunesmith.text import answer_spans

        ways: dict[str, Any] = {"long_text": "windows-of-second", "offsets": True}
        encoded = encode_texts(rows, tokenizer, reading, folder, "question", "context", **ways)
        if target is None:
            return TokenExamples([encoded], tokenizer.pad_token_id)
        contexts = zip(answer_spans.passages(encoded), _cells(rows, "answers"), strict=True)
        learned = [codes for passage, cell in contexts for codes in answer_spans.targets(passage, _places(cell))]
        return TokenExamples([encoded], tokenizer.pad_token_id, learned)

    def strata(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        return [[ANSWER] if cell else [NO_ANSWER] for cell in _cells(rows, "answers")]

    def metric(self, target: Target) -> str:
        return "f1"

    def head(self, width: int, target: Target, *, pooling: str, dropout: float) -> Head:
        from tunesmith.heads.spans import SpanHead

        return SpanHead(width, dropout=dropout)

    def loss(self, target: Target, *, label_smoothing: float = 0.0) -> RowLoss:
        from tunesmith.heads.spans import span_cross_entropy

        return span_cross_entropy(label_smoothing=label_smoothing)

    def divergence(self, target: Target) -> Divergence:
        from tunesmith.heads import divergences

        return divergences.spans

    def scores(
        self, outputs: Sequence[np.ndarray], examples: Examples, target: Target, request: Request
    ) -> Sequence[np.ndarray]:
        """Candidates of each row, (K, 3): probability, start and end character; the answer first (see ``answer_spans``)."""
        from tunesmith.text import answer_spans

        asked: dict[str, Any] = {
            "count": max(_KEPT, request.n_best),
            "max_tokens": request.max_answer_length,
            "null": _may_be_none(target, request),
        }
        sequences = iter(outputs)
        found = []
        for passage in answer_spans.passages(examples.encoded[0]):
            own = [next(sequences) for _ in passage.windows]
            found.append(
                answer_spans.decided(answer_spans.candidates(passage, own, **asked), _threshold(target, request))
            )
        return found

    def predictions(self, scored: Scored, target: Target) -> Counted:
        """Answers that another process gave, as a caller sees them, beside the truth."""
        return _judged(scored, [row[0] for row in scored.scores])

    def answers(self, scored: Scored, target: Target, request: Request) -> list[dict[str, Any]]:
        found = []
        for context, row in zip(_cells(scored.rows, "context"), scored.scores, strict=True):
            first, *others = [_said(context, candidate) for candidate in row[: request.n_best]]
            found.append({**first, "alternatives": others} if request.n_best > 1 else first)
        return found

    def heard(self, answers: Sequence[Mapping[str, Any]], scored: Scored, target: Target) -> Counted:
        return _compared(scored, [one["answer"] for one in answers])

    def idle(self, scored: Scored, target: Target, request: Request, reading: Model) -> Iterator[str]:
        never = not _may_be_none(target, request)
        reason = "'no answer' is never the answer here: allow_no_answer"
        yield from requested.idle(request, [(never, ("null_threshold",), reason)])

    def drift(self, then: Sequence[Any], now: Sequence[Any], target: Target) -> float:
        import numpy as np

        from tunesmith.text.answer_spans import moved

        return max(moved(np.asarray(before), np.asarray(after)) for before, after in zip(then, now, strict=True))

    def tune(self, scored: Scored, target: Target) -> Target:
        if not target.counts[1] or not self.options.tune_null_threshold:
            return target
        import numpy as np

        from tunesmith.text import answer_spans

        shares = np.array([answer_spans.null_share(row) for row in scored.scores])
        answered = [row[(row[:, 1] == answer_spans.NO_PLACE).argsort(kind="stable")[0]] for row in scored.scores]
        nothing = np.array([cell == [] for cell in _cells(scored.rows, "answers")], dtype=float)
        threshold = answer_spans.best_threshold(shares, _judged(scored, answered).column("f1"), nothing)
        return dataclasses.replace(target, thresholds=(threshold,))

    def findings(self, rows: pa.Table, target: Target) -> Iterable[Finding]:
        from tunesmith.data.finding import Finding

        if count := target.counts[1]:
            message = f"{count:,} of {sum(target.counts):,} training questions have no answer in their context"
            yield Finding("note", "no_answer", message, count)

    def token_findings(self, split: str, rows: pa.Table, encoded: Encoded) -> Iterable[Finding]:
        from tunesmith.text.answer_checks import answer_findings

        return answer_findings(split, rows, encoded)


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: text_of(row, name) for name in Task.inputs}


def _answers(row: Mapping[str, Any], context: str) -> list[Answer]:
    from tunesmith.data.answers import find

    impossible, cell = _truth(row.get("is_impossible")), row.get("answers")
    if is_missing(cell) and impossible is None:
        raise RowError("answers", "are missing; write [] where the context holds no answer")
    try:
        found = [] if is_missing(cell) else find(cell, context)
    except ValueError as error:
        raise RowError("answers", str(error)) from None
    if impossible is not None and impossible == bool(found):
        raise RowError(
            "answers", "are given, and is_impossible is true" if found else "are none, and is_impossible is false"
        )
    return found


def _truth(cell: Any) -> bool | None:
    if is_missing(cell):
        return None
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if (word := str(cell).strip().lower()) not in known:
        raise RowError("is_impossible", f"is {cell!r}, neither true nor false")
    return known[word]


def _cells(rows: pa.Table, column: str) -> Iterator[Any]:
    return (cell for chunk in rows[column].chunks for cell in chunk.to_pylist())


def _places(answers: Sequence[Answer]) -> list[tuple[int, int]]:
    return [(answer["start"], answer["start"] + len(answer["text"])) for answer in answers]


def _may_be_none(target: Target, request: Request) -> bool:
    return bool(target.counts[1]) if request.allow_no_answer is None else request.allow_no_answer


def _threshold(target: Target, request: Request) -> float:
    if request.null_threshold is not None:
        return request.null_threshold
    return target.thresholds[0] if target.thresholds else _EVEN


def _said(context: str, candidate: np.ndarray) -> dict[str, Any]:
    """One candidate as a caller sees it."""
    start, end = int(candidate[1]), int(candidate[2])
    none = start < 0
    return {
        "answer": "" if none else context[start:end],
        "start": None if none else start,
        "end": None if none else end,
        "score": float(candidate[0]),
    }


def _judged(scored: Scored, chosen: Sequence[np.ndarray]) -> Counted:
    """One candidate of each row beside the truth."""
    contexts = _cells(scored.rows, "context")
    return _compared(scored, [_said(one, candidate)["answer"] for one, candidate in zip(contexts, chosen, strict=True)])


def _compared(scored: Scored, found: Sequence[str]) -> Counted:
    """An answer to each row beside the truth."""
    from tunesmith import metrics

    gold = [[answer["text"] for answer in cell] for cell in _cells(scored.rows, "answers")]
    return metrics.answers(gold, found, **scored.context())
