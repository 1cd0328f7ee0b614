"""A diagnosis in a folder: doctor.json, doctor.html and corrections.csv, which people fill in and training reads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tunesmith.bundle import write_text
from tunesmith.diagnosis.mislabelled import NEARLY_EQUAL
from tunesmith.diagnosis.model import AMBIGUOUS, CONFLICT, LABEL_ERROR, REPEAT, Diagnosis, Row, Suspect
from tunesmith.diagnosis.telling import html
from tunesmith.errors import UsageError

CORRECTIONS, VALUES, PAGE = "corrections.csv", "doctor.json", "doctor.html"
COLUMNS = (
    *("file", "line", "hash", "split", "action", "label"),
    *("reason", "given", "suggested", "probability", "margin", "text", "text_pair"),
)

_LIKELIER_THAN_ALL_OTHERS = 0.5


def claim(folder: Path) -> Path:
    """Make the folder; one that holds something is never written over: corrections may have been filled in there.

    Raises:
        UsageError: it is not empty, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            hint = "choose another --out, or move it away"
            raise UsageError("the folder is not empty", where=str(folder), hint=hint)
    except OSError as error:
        hint = "choose another --out"
        raise UsageError(f"the folder cannot be written: {error.strerror}", where=str(folder), hint=hint) from None
    return folder


def write(found: Diagnosis, folder: Path, *, accept: bool = False) -> None:
    """Write all files; with ``accept``, each label error is corrected as ``accepted`` says, else every row is kept."""
    write_text(folder / VALUES, json.dumps(found.to_json(), ensure_ascii=False, indent=1) + "\n")
    write_text(folder / PAGE, html(found))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(found, accept))
    write_text(folder / CORRECTIONS, text.getvalue())


def accepted(suspect: Suspect) -> str:
    """What becomes of a label error that nobody looked at.

    The label suggested is taken only where it is likelier than all others together. Where the given one is clearly wrong and
    no other is that likely, the row is left out: a wrong suggestion does more harm than a row less, since it repeats what
    the model confuses.
    """
    if -suspect.margin <= NEARLY_EQUAL:
        return "keep"
    return "relabel" if suspect.probability > _LIKELIER_THAN_ALL_OTHERS else "drop"


def _rows(found: Diagnosis, accept: bool) -> Iterator[dict[str, Any]]:
    """A row for each row that is doubted, those with likely label errors first."""
    reasons: dict[int, list[str]] = {}
    suspects: dict[int, Suspect] = {}
    rows: dict[int, Row] = {}
    suggested: dict[int, tuple[str, ...]] = {}
    for reason, several in ((LABEL_ERROR, found.label_errors), (AMBIGUOUS, found.ambiguous)):
        for suspect in several:
            reasons.setdefault(suspect.row.number, []).append(reason)
            rows[suspect.row.number] = suspect.row
            suspects[suspect.row.number], suggested[suspect.row.number] = suspect, suspect.suggested
    for one in found.repeats:
        for row in one.rows if one.conflicting else one.rows[1:]:
            reason = CONFLICT if one.conflicting else REPEAT
            if reason not in reasons.setdefault(row.number, []):
                reasons[row.number].append(reason)
            rows[row.number] = row
            suggested.setdefault(row.number, one.suggested)
    actions = {one.row.number: accepted(one) for one in found.label_errors} if accept else {}
    for number, row in rows.items():
        suspect_of, action = suspects.get(number), actions.get(number, "keep")
        yield {
            "file": row.file,
            "line": row.line,
            "hash": row.hash,
            "split": row.split,
            "action": action,
            "label": _cell(found, suggested[number]) if action == "relabel" else "",
            "reason": "; ".join(reasons[number]),
            "given": _cell(found, row.labels),
            "suggested": _cell(found, suggested[number]),
            "probability": f"{suspect_of.probability:.4f}" if suspect_of else "",
            "margin": f"{suspect_of.margin:.4f}" if suspect_of else "",
            "text": row.texts[0],
            "text_pair": " ⟷ ".join(row.texts[1:]),
        }


def _cell(found: Diagnosis, labels: tuple[str, ...]) -> str:
    """Labels as the cell of a table: a JSON list where there may be several."""
    return json.dumps(list(labels), ensure_ascii=False) if found.kind == "multi-label" else labels[0]
