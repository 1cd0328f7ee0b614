"""What a bundle remembers of its training rows, in ``training.json``: enough to tell later whether what is asked has changed.

It holds no text. Words are kept that stand in several rows, so that what only one person wrote is not among them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith import bundle as bundles
from tunesmith.errors import BundleError, TrainingError
from tunesmith.kept.forms import Form, form_of
from tunesmith.kept.texts import Measure, text_of, words_of

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.tasks.base import Scored, Target, Task

FILE = "training.json"
_FORMAT = 1
_MOST_ROWS = 20_000
_MOST_WORDS = 2_000
_FEWEST_ROWS = 5
"""Rows that a word must stand in to be kept."""
_MOST_VALUES = 1_001
_BATCH = 1_024


@dataclass(frozen=True)
class Sample:
    """Values of rows, in order; of many rows as many of their quantiles, evenly spaced.

    Args:
        rows: how many rows they are of.
        values: at most 1,001.
    """

    rows: int
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float | None], digits: int = 4) -> Sample:
        """The values that are there.

        >>> Sample.of([0.5, None, 0.25])
        Sample(rows=2, values=(0.25, 0.5))
        """
        found = sorted(round(float(value), digits) for value in values if value is not None)
        if len(found) <= _MOST_VALUES:
            return cls(len(found), tuple(found))
        last = len(found) - 1
        return cls(len(found), tuple(found[round(n * last / (_MOST_VALUES - 1))] for n in range(_MOST_VALUES)))


@dataclass(frozen=True)
class Summary:
    """What training rows were like, and what the trained model answered to the validation rows.

    Args:
        rows: training rows that words and lengths were counted in.
        labels: how many training rows have each label.
        lengths: of inputs in tokens; None: the tokenizer cannot be read alone.
        unknown_tokens: share of tokens that the tokenizer does not know.
        words: in how many rows each of the commonest words stands.
        unlisted: of each validation row, the share of its words that are not among these.
        answered: validation rows.
        answers: how many of them were given each label; empty: answers have no labels.
        confidence: of the answers to them, as they say it.
        numbers: that were answered, where answers are numbers.
    """

    rows: int
    labels: Mapping[str, int]
    lengths: Sample | None
    unknown_tokens: float
    words: Mapping[str, int]
    unlisted: Sample
    answered: int
    answers: Mapping[str, int]
    confidence: Sample
    numbers: Sample

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"format": _FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Summary:
        """From what ``to_json`` gave.

        Raises:
            BundleError: it is of a newer version, or damaged.
        """
        if not isinstance(values, Mapping) or values.get("format", 0) > _FORMAT:
            raise BundleError(f"{FILE} is of a newer version", hint="upgrade tunesmith")
        try:
            plain = {name: value for name, value in values.items() if name != "format"}
            for name in ("lengths", "unlisted", "confidence", "numbers"):
                one = plain[name]
                plain[name] = None if one is None else Sample(int(one["rows"]), tuple(map(float, one["values"])))
            return cls(**plain)
        except (KeyError, TypeError, ValueError):
            raise BundleError(f"{FILE} is damaged") from None

    @classmethod
    def of(cls, folder: Path) -> Summary | None:
        """What a bundle remembers; None: it was made before bundles did.

        Raises:
            BundleError: the file is damaged.
        """
        try:
            return cls.from_json(json.loads((folder / FILE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise BundleError(f"{FILE} cannot be read", where=str(folder)) from None


def write(folder: Path, summary: Summary) -> None:
    """Keep a summary in a bundle.

    Raises:
        TrainingError: the folder cannot be written or is full.
    """
    try:
        bundles.write_text(folder / FILE, json.dumps(summary.to_json(), ensure_ascii=False))
    except OSError as error:
        raise TrainingError(f"{FILE} cannot be written: {error.strerror}", where=str(folder)) from None


def summarise(task: Task, target: Target, training: pa.Table, validated: Scored, request: Any, folder: Path) -> Summary:
    """What is to be remembered of a training.

    Args:
        task: with its options.
        target: as decided in the end.
        training: canonical rows.
        validated: the validation rows with what the trained network gives for them.
        request: as answers are asked for where the caller sets nothing.
        folder: the bundle, for its tokenizer.
    """
    texts = _texts(task, training)
    counted = Counter(word for text in texts for word in set(words_of(text)))
    words = {word: rows for word, rows in counted.most_common(_MOST_WORDS) if rows >= _FEWEST_ROWS}
    measure = Measure.of(folder)
    tokens = [] if measure is None else list(measure.tokens(texts))
    answers = [] if task.writes else task.answers(validated, target, request)
    form = form_of(task, target)
    return Summary(
        rows=len(texts),
        labels=_labels(task, target, training),
        lengths=None if measure is None else Sample.of(count for count, _ in tokens),
        unknown_tokens=sum(unknown for _, unknown in tokens) / max(1, sum(count for count, _ in tokens)),
        words=words,
        unlisted=Sample.of(unlisted(text, words) for text in _texts(task, validated.rows)),
        answered=len(answers),
        answers=label_counts(form, answers),
        confidence=Sample.of(map(form.confidence, answers)),
        numbers=Sample.of(map(form.number, answers)),
    )


def _labels(task: Task, target: Target, rows: pa.Table) -> dict[str, int]:
    """In how many rows each label stands; numbers and texts are none."""
    if not target.labels or target.kind in ("regression", "ranking"):
        return {}
    return dict(Counter(label for row in task.strata(rows) for label in set(row)).most_common())


def label_counts(form: Form, answers: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """In how many answers each label is given, the commonest first."""
    counted = Counter(label for answer in answers for label in set(form.labels(answer) or ()))
    return dict(counted.most_common())


def unlisted(text: str, words: Mapping[str, int]) -> float | None:
    """Share of a text's words that are not among some; None: it has no words."""
    found = words_of(text)
    return sum(word not in words for word in found) / len(found) if found else None


def _texts(task: Task, rows: pa.Table) -> list[str]:
    """What rows say; of many as many as are counted, evenly spaced."""
    if len(rows) > _MOST_ROWS:
        rows = rows.take([n * len(rows) // _MOST_ROWS for n in range(_MOST_ROWS)])
    names: Sequence[str] = [name for name in task.inputs if name in rows.column_names]
    return [text_of(row, names) for piece in rows.select(names).to_batches(_BATCH) for row in piece.to_pylist()]
