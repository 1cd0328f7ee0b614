"""Which of the file's columns is which: as declared, else guessed by well-known names where only one fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.errors import DataError, Problem, did_you_mean

KNOWN_NAMES: Mapping[str, tuple[str, ...]] = {
    "text": (
        "text",
        "sentence",
        "review",
        "content",
        "body",
        "comment",
        "utterance",
        "message",
        "tweet",
        "document",
        "query",
        "title",
    ),
    "label": (
        "label",
        "labels",
        "class",
        "category",
        "intent",
        "sentiment",
        "emotion",
        "emotions",
        "target",
        "score",
        "stars",
        "rating",
        "y",
    ),
    "group": (),
    "score": ("score", "similarity", "label"),
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags", "labels"),
    "entities": ("entities", "spans", "label"),
    "answers": ("answers", "answer"),
    "source": ("source", "src"),
    "target": ("target", "tgt", "translation"),
    "summary": ("summary", "highlights", "abstract"),
    "messages": ("messages", "conversations", "conversation"),
}
"""Names, in lower case, by which each canonical column is guessed; a column without a row here goes by its own name."""

PAIRS = (
    ("text", "text_pair"), ("text1", "text2"), ("text_1", "text_2"), ("text_a", "text_b"), ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"), ("sentence_a", "sentence_b"), ("question1", "question2"), ("premise", "hypothesis"),
)  # fmt: skip
"""Names of two texts that belong together."""


def map_columns(
    header: Mapping[str, Any],
    declared: Mapping[str, str | None],
    required: Sequence[Sequence[str]],
    where: str | None = None,
) -> dict[str, str]:
    """Find the user's column for each canonical one.

    Args:
        header: the file's columns, each with an example value.
        declared: canonical name to the user's column; None: guess it.
        required: sets of canonical names of which one must be found whole; where none is, the nearest is asked for.
        where: the file, for the error.

    Returns:
        canonical name to the user's column, for those found.

    Raises:
        DataError: a declared column is not there, or a required one cannot be guessed; lists the columns found.

    >>> map_columns({"review": "Fine film", "stars": "5"}, {"text": None, "label": None}, [["text", "label"]])
    {'text': 'review', 'label': 'stars'}
    """
    problems = [
        _missing(name, role, header) for role, name in declared.items() if name is not None and name not in header
    ]
    mapping = {role: name for role, name in declared.items() if name is not None}
    mapping = _guess(header, declared, mapping)
    nearest = min(required, key=lambda roles: sum(role not in mapping for role in roles))
    problems += [_unknown(role, header, mapping) for role in nearest if role not in mapping]
    if problems:
        found = [Problem(f"{name}: {_example(value)}") for name, value in header.items()]
        raise DataError(
            "the columns do not fit; under the problems, the columns found with an example",
            where=where,
            problems=[*problems, *found],
        )
    return {role: mapping[role] for role in declared if role in mapping}


def _guess(header: Mapping[str, Any], declared: Mapping[str, str | None], mapping: Mapping[str, str]) -> dict[str, str]:
    """Add what can be guessed: first a pair of texts, then each column by its names."""
    guessed = dict(mapping)
    lower = {name.lower(): name for name in header}
    pairs = [pair for pair in PAIRS if all(name in lower for name in pair)]
    if declared.get("text", "") is None and declared.get("text_pair", "") is None and len(pairs) == 1:
        guessed["text"], guessed["text_pair"] = (lower[name] for name in pairs[0])
    for role, name in declared.items():
        candidates = [found for found in _candidates(role, header) if found not in guessed.values()]
        exact = [found for found in candidates if found.lower() == role]
        if name is None and role not in guessed and len(exact or candidates) == 1:
            guessed[role] = (exact or candidates)[0]
    return guessed


def _candidates(role: str, header: Mapping[str, Any]) -> list[str]:
    return [name for name in header if name.lower() in KNOWN_NAMES.get(role, (role,))]


def _missing(name: str, role: str, header: Mapping[str, Any]) -> Problem:
    return Problem(f"there is no column '{name}'", f"--columns.{role}", did_you_mean(name, list(header)))


def _unknown(role: str, header: Mapping[str, Any], mapping: Mapping[str, str]) -> Problem:
    candidates = [name for name in _candidates(role, header) if name not in mapping.values()]
    why = f"{' and '.join(map(repr, candidates))} could be it" if candidates else "no column is named like one"
    return Problem(f"which column is the {role}? {why}", None, f"say it: --columns.{role} NAME")


def _example(value: Any) -> str:
    text = " ".join(str(value).split())
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
