"""A diagnosis as values: everything that its projections show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1

LABEL_ERROR, AMBIGUOUS, CONFLICT, REPEAT = "label error", "ambiguous", "conflicting labels", "repeated text"


@dataclass(frozen=True)
class Row:
    """A row of the data.

    Args:
        number: among all rows that were looked at.
        file: that it is in.
        line: in this file.
        hash: of its texts; see ``data.corrections``.
        split: ``train`` or ``validation``.
        texts: the text, or the texts of a pair.
        labels: that it has.
    """

    number: int
    file: str
    line: int
    hash: str
    split: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def where(self) -> str:
        """``file:line``."""
        return f"{self.file}:{self.line}"

    @property
    def text(self) -> str:
        """The texts in one."""
        return " ⟷ ".join(self.texts)


@dataclass(frozen=True)
class Suspect:
    """A row whose labels are doubted.

    Args:
        row: the row.
        suggested: the labels that it would get.
        probability: of the suggestion; of several labels, the lowest of those that would change.
        margin: probability of the label given less that of the likeliest other one, -1 to 1; of several labels, of the
            least likely one given less that of the likeliest one not given.
    """

    row: Row
    suggested: tuple[str, ...]
    probability: float
    margin: float


@dataclass(frozen=True)
class Repeat:
    """Rows that say the same.

    Args:
        rows: two or more.
        similarity: 1 where the texts are equal but for case, spaces and Unicode form; else the cosine of the two.
        conflicting: whether their labels differ.
        suggested: the labels that are likeliest for all of them together.
    """

    rows: tuple[Row, ...]
    similarity: float
    conflicting: bool
    suggested: tuple[str, ...]


@dataclass(frozen=True)
class Slice:
    """Rows that have something in common and are answered worse than the others, more than chance makes likely.

    Args:
        by: what they have in common, a column of the file, or tokens or script of the text.
        value: what it is there.
        rows: how many they are.
        score: share of them that is answered right.
        interval: 95% interval of the score (Wilson 1927).
        rest: share of the other rows that is answered right.
        p_value: chance of so few right answers if they were like the others, corrected for the number of slices tried.
    """

    by: str
    value: str
    rows: int
    score: float
    interval: tuple[float, float]
    rest: float
    p_value: float


@dataclass(frozen=True)
class Diagnosis:
    """What was found about labelled rows.

    Args:
        task: of the data.
        kind: of its labels.
        base: the base model.
        how: where the probabilities come from, in a sentence.
        near: cosine from which texts count as nearly the same; None: only equal texts were looked for.
        rows: number of rows of each split that was looked at.
        accuracy: share of rows whose whole answer is the label given.
        label_errors: rows whose labels are likely wrong, worst first.
        ambiguous: other rows for which two labels are about equally likely, closest first.
        repeats: rows with the same text, those with different labels first.
        slices: rows that are answered worse than the others, worst first.
        slices_tried: how many slices were looked at.
        notes: what was not looked at, and why.
    """

    task: str
    kind: str
    base: str
    how: str
    near: float | None
    rows: dict[str, int]
    accuracy: float
    label_errors: tuple[Suspect, ...]
    ambiguous: tuple[Suspect, ...]
    repeats: tuple[Repeat, ...]
    slices: tuple[Slice, ...]
    slices_tried: int
    notes: tuple[str, ...] = ()

    @property
    def conflicts(self) -> tuple[Repeat, ...]:
        """Rows with the same text and different labels."""
        return tuple(one for one in self.repeats if one.conflicting)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"format": FORMAT, **asdict(self)}

    def __str__(self) -> str:
        """As the terminal shows it."""
        from tunesmith.diagnosis.telling import plain

        return plain(self)


def shown(labels: Iterable[str]) -> str:
    """Labels for people.

    >>> shown(["joy", "love"]), shown([])
    ('joy, love', '(none)')
    """
    return ", ".join(labels) or "(none)"
