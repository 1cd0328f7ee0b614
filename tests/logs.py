"""Logs of predictions that are made up: rows of ``small``, answered by somebody who is right most of the time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import small
from tunesmith.kept.origin import Origin
from tunesmith.kept.prediction import Feedback, Prediction
from tunesmith.kept.texts import Measure, words_of
from tunesmith.kept.training import Sample, Summary, unlisted
from tunesmith.tasks.base import Target

LABELS = tuple(sorted(small.TOPICS))
Row = dict[str, Any]


def answered(rows: Sequence[Row], seed: int, *, sure: Callable[[random.Random], float] | None = None) -> list[Row]:
    """A label for each row with a score; of those given with 0.8 about eight in ten are right."""
    chance, found = random.Random(seed), []
    for row in rows:
        score = round(sure(chance) if sure else chance.betavariate(8, 2), 4)
        wrong = [label for label in LABELS if label != row["label"]]
        found.append({"label": row["label"] if chance.random() < score else chance.choice(wrong), "score": score})
    return found


def origin(folder: Path, training: int = 400, validation: int = 200, seed: int = 0) -> Origin:
    """A bundle that remembers its training on rows with four labels; ``folder`` has a tokenizer."""
    texts = [row["text"] for row in small.rows("multi-class", training, seed)]
    held_out = small.rows("multi-class", validation, seed + 1)
    counted = Counter(word for text in texts for word in set(words_of(text)))
    words = {word: count for word, count in counted.most_common() if count >= 5}
    measure = Measure.of(folder)
    assert measure is not None
    answers = answered(held_out, seed + 2)
    return Origin(
        id="bundle",
        folder=str(folder),
        task_name="text-classification",
        options={},
        columns={"text": "review", "text_pair": None, "label": "topic", "group": None},
        label_separator=None,
        target=Target("multi-class", LABELS, (1, 1, 1, 1)),
        training=Summary(
            rows=training,
            labels={},
            lengths=Sample.of(count for count, _ in measure.tokens(texts)),
            unknown_tokens=0.0,
            words=words,
            unlisted=Sample.of(unlisted(row["text"], words) for row in held_out),
            answered=validation,
            answers=dict(Counter(answer["label"] for answer in answers)),
            confidence=Sample.of(answer["score"] for answer in answers),
            numbers=Sample(0, ()),
        ),
    )


def predictions(rows: Sequence[Row], answers: Sequence[Row], *, judged: bool = False) -> list[Prediction]:
    """Such rows as a log has them, one a minute; with the true labels as feedback, if wanted."""
    return [
        prediction(
            request=f"r{number}",
            at=1_700_000_000.0 + 60 * number,
            input=row["text"],
            answer=answer,
            label=answer["label"],
            score=answer["score"],
            feedback=Feedback(0.0, {"label": row["label"]}) if judged else None,
        )
        for number, (row, answer) in enumerate(zip(rows, answers, strict=True))
    ]


def prediction(**values: Any) -> Prediction:
    """A prediction of which only some things matter."""
    usual: Row = {
        "request": "r",
        "number": 0,
        "at": 1_700_000_000.0,
        "key_name": "",
        "model": "topics",
        "version": 1,
        "bundle": "bundle",
        "engine": "pytorch",
        "task": "text-classification",
        "input": "a fine film",
        "answer": {"label": "food", "score": 0.9},
        "score": 0.9,
    }
    return Prediction(**{**usual, **values})
