"""What keeps a model from learning an answer: windows that cut it, tokens that do not end where it does, cut questions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tunesmith.data import store
from tunesmith.data.answers import Answer
from tunesmith.data.finding import MOST_EXAMPLES, Finding, Severity
from tunesmith.text.answer_spans import Passage, inside, passages
from tunesmith.text.encode import Encoded

_MOST_SHOWN = 60
_FAULTS: dict[str, tuple[Severity, str, str | None]] = {
    "question_cut": (
        "warning",
        "the question is over half of model.max_length, and its middle is not read",
        "read more: --model.max_length",
    ),
    "answer_cut": (
        "warning",
        "no window holds a whole answer, so that its windows teach that there is none",
        "make windows longer, or let them share more: --model.max_length, --model.window_overlap",
    ),
    "answer_inside_token": (
        "note",
        "an answer starts or ends inside a token, and the model can only give whole tokens",
        None,
    ),
}


def answer_findings(split: str, rows: pa.Table, encoded: Encoded) -> Iterator[Finding]:
    """Check how the questions, contexts and answers of a split fall into tokens and windows.

    Args:
        split: its name.
        rows: canonical rows of question answering.
        encoded: the same rows as pairs of question and context, with offsets.
    """
    found: dict[str, list[tuple[int, str]]] = {code: [] for code in _FAULTS}
    for row in np.flatnonzero(encoded.left_out).tolist():
        found["question_cut"].append((row, rows["question"][row].as_py()))
    cells = (cell for chunk in rows["answers"].chunks for cell in chunk.to_pylist())
    for row, (passage, answers) in enumerate(zip(passages(encoded), cells, strict=True)):
        for code, text in _faults(passage, answers):
            found[code].append((row, text))
    for code, faults in found.items():
        if faults:
            yield _finding(code, split, rows, faults)


def _faults(passage: Passage, answers: list[Answer]) -> Iterator[tuple[str, str]]:
    """What is wrong with the answers of a row: each fault once, with the text of an answer that has it."""
    placed = [(one, passage.tokens(one["start"], one["start"] + len(one["text"]))) for one in answers]
    if placed and not any(inside(window, span) for _, span in placed if span for window in passage.windows):
        yield "answer_cut", answers[0]["text"]
    for one, span in placed:
        if span and (passage.starts[span[0]], passage.ends[span[1]]) != (one["start"], one["start"] + len(one["text"])):
            yield "answer_inside_token", one["text"]
            return


def _finding(code: str, split: str, rows: pa.Table, faults: list[tuple[int, str]]) -> Finding:
    severity, message, hint = _FAULTS[code]
    count = len(faults)
    headline = f"{count:,} {split} {'row' if count == 1 else 'rows'}: {message}"
    examples = tuple(f"{_where(rows, row)}: {_short(text)}" for row, text in faults[:MOST_EXAMPLES])
    return Finding(severity, code, headline, count, examples, hint)


def _where(rows: pa.Table, row: int) -> str:
    return store.where(rows, row) if store.SOURCE in rows.column_names else f"row {row}"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _MOST_SHOWN else f"{plain[: _MOST_SHOWN - 1]}…"
