"""Entities and relations: what a model found in a text against what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.metrics.counted import Counted, columns
from tunesmith.metrics.kinds import KINDS, Kind
from tunesmith.text.spans import Span

Triple = tuple[Span, str, Span]
"""Head, type of the relation, tail."""

Near = Mapping[str, Callable[[Any, Any], bool]]
"""Kinds of error, the nearest miss first: is what was found this near to what is there?"""


def entities(
    gold: Sequence[Iterable[Span]],
    found: Sequence[Iterable[Span]],
    labels: Sequence[str],
    *,
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str] = (),
) -> Counted:
    """Named entities of each text; the same spans give the same scores as seqeval.

    Args:
        gold: the entities that are there, row by row; characters of the row's text.
        found: those that the model found.
        labels: names of the types; types that only these rows have are added.
        texts: the texts.
        lengths: tokens of each text.
        sources: where each row came from.

    Raises:
        ValueError: the rows do not fit together.
    """
    there, given = [set(row) for row in gold], [set(row) for row in found]
    types = _types(labels, (span.type for row in (*there, *given) for span in row))
    counts = []
    for right, answer in zip(there, given, strict=True):
        count = _matches("boundary", {span[:2] for span in right}, {span[:2] for span in answer})
        count += _matches_by_type(right, answer, lambda span: span.type)
        counts.append(count + _errors(right, answer, _NEAR_SPANS, lambda span: span.type))
    return _counted("entities", counts, types, there, given, _entity, texts, lengths, sources)


def triples(
    gold: Sequence[Iterable[Triple]],
    found: Sequence[Iterable[Triple]],
    labels: Sequence[str],
    *,
    gold_entities: Sequence[Iterable[Span]],
    found_entities: Sequence[Iterable[Span]],
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str] = (),
) -> Counted:
    """Relations between entities of each text, as (head, type, tail).

    Args:
        gold: the triples that are there, row by row; characters of the row's text.
        found: those that the model found.
        labels: names of the types of relations; types that only these rows have are added.
        gold_entities: the entities that are there.
        found_entities: those that the model found.
        texts: the texts.
        lengths: tokens of each text.
        sources: where each row came from.

    Raises:
        ValueError: the rows do not fit together.
    """
    there, given = [set(row) for row in gold], [set(row) for row in found]
    types = _types(labels, (triple[1] for row in (*there, *given) for triple in row))
    counts = []
    for right, answer, spans, answer_spans in zip(there, given, gold_entities, found_entities, strict=True):
        count = _matches("boundary", set(map(_untyped, right)), set(map(_untyped, answer)))
        count += _matches("entity", set(spans), set(answer_spans))
        count += _matches_by_type(right, answer, lambda triple: triple[1])
        counts.append(count + _errors(right, answer, _NEAR_TRIPLES, lambda triple: triple[1]))
    return _counted("triples", counts, types, there, given, _triple, texts, lengths, sources)


def _types(labels: Sequence[str], seen: Iterable[str]) -> tuple[str, ...]:
    """The labels, and after them what only these rows hold."""
    return (*labels, *sorted(set(seen) - set(labels)))


def _matches(name: str, right: set[Any], answer: set[Any]) -> Counter[str]:
    return Counter({f"{name}_hits": len(right & answer), f"{name}_gold": len(right), f"{name}_found": len(answer)})


def _matches_by_type(right: set[Any], answer: set[Any], type_of: Callable[[Any], str]) -> Counter[str]:
    sets = {"hits": right & answer, "gold": right, "found": answer}
    return Counter(f"{name}: {type_of(item)}" for name, items in sets.items() for item in items)


def _errors(right: set[Any], answer: set[Any], near: Near, type_of: Callable[[Any], str]) -> Counter[str]:
    """Every wrong item once: paired with the nearest miss, or missed, or invented. Near misses go by the true type."""
    missed, invented = sorted(right - answer), sorted(answer - right)
    errors: Counter[str] = Counter()
    for name, is_near in near.items():
        for item in list(missed):
            match = next((other for other in invented if is_near(item, other)), None)
            if match is not None:
                missed.remove(item)
                invented.remove(match)
                errors[f"{name}: {type_of(item)}"] += 1
    errors.update(f"missed: {type_of(item)}" for item in missed)
    errors.update(f"invented: {type_of(item)}" for item in invented)
    return errors


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _untyped(triple: Triple) -> tuple[tuple[int, int], str, tuple[int, int]]:
    head, name, tail = triple
    return head[:2], name, tail[:2]


_NEAR_SPANS: Near = {
    "wrong type": lambda right, answer: right[:2] == answer[:2],
    "wrong boundaries": lambda right, answer: right.type == answer.type and _overlap(right, answer),
}

_NEAR_TRIPLES: Near = {
    "wrong entity type": lambda right, answer: _untyped(right) == _untyped(answer),
    "wrong relation": lambda right, answer: (right[0][:2], right[2][:2]) == (answer[0][:2], answer[2][:2]),
    "wrong boundaries": lambda right, answer: (
        right[1] == answer[1] and _overlap(right[0], answer[0]) and _overlap(right[2], answer[2])
    ),
}


def _counted(
    kind: Kind,
    counts: Sequence[Counter[str]],
    labels: tuple[str, ...],
    gold: Sequence[set[Any]],
    found: Sequence[set[Any]],
    shown: Callable[[str, Any], str],
    texts: Sequence[str],
    lengths: Any,
    sources: Sequence[str],
) -> Counted:
    places = {name: number for number, name in enumerate(columns(kind, labels))}
    statistics = np.zeros((len(counts), len(places)))
    for row, count in enumerate(counts):
        for name, value in count.items():
            statistics[row, places[name]] = value
    wrong = [places[f"{name}: {label}"] for name in KINDS[kind].mistakes for label in labels]

    def words(rows: Sequence[set[Any]]) -> list[str]:
        return [" · ".join(shown(text, item) for item in sorted(row)) for text, row in zip(texts, rows, strict=True)]

    return Counted(
        kind=kind,
        statistics=statistics,
        targets=words(gold),
        predicted=words(found),
        texts=texts,
        lengths=lengths,
        errors=statistics[:, wrong].sum(axis=1),
        sources=sources,
        labels=labels,
    )


def _entity(text: str, span: Span) -> str:
    return f"{text[span.start : span.end]} [{span.type}]"


def _triple(text: str, triple: Triple) -> str:
    head, name, tail = triple
    return f"{_entity(text, head)} →{name}→ {_entity(text, tail)}"
