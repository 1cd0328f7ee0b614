"""Relations between things that a text names: a label for a marked pair, or all entities of a text with what relates them.

Two forms of rows, told apart by their columns. Of a marked pair it is said which two mentions are meant, and the relation
is its label. Of triples nothing is marked in what is asked: entities and relations are learned together over one base
model, and come back with their characters. Long texts are read in overlapping windows.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith import params, requested
from tunesmith.decisions import options as decisions
from tunesmith.errors import Problem, UsageError, did_you_mean
from tunesmith.params import Range, param
from tunesmith.tasks import base
from tunesmith.tasks.base import Scored, Target, refuse_unknown

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tunesmith.config import Model
    from tunesmith.data.examples import Examples
    from tunesmith.data.finding import Finding
    from tunesmith.heads import Head, RowLoss
    from tunesmith.heads.divergences import Divergence
    from tunesmith.metrics import Counted, Predictions
    from tunesmith.text.encode import Encoded
    from tunesmith.text.triples import Found, Names

# Entities kept of each golden row at most, so that long documents do not make large files.
_GOLDEN_ENTITIES = 30


class Columns(params.Params):
    """Which of the file's columns is which: a marked text with its label, or a text with entities and relations."""

    text: str | None = param(
        None, "The text, of a marked pair with <e1>..</e1> and <e2>..</e2> in it; none: guessed from the header."
    )
    tokens: str | None = param(
        None, "Instead of a text its words, which entities then count: a list, or such a list as JSON; none: guessed."
    )
    e1: str | None = param(None, "The first mention of a pair, where the text has no markers; none: guessed.")
    e2: str | None = param(None, "The second mention of a pair, where the text has no markers; none: guessed.")
    label: str | None = param(None, "The relation of a marked pair; none: guessed from the header.")
    entities: str | None = param(
        None,
        "Entities as [{start, end, type}] or [[start, end, type]], either as JSON, in characters of the text, or in words where there are only tokens; none: guessed from the header.",
    )
    relations: str | None = param(
        None,
        "Relations as [{head, tail, type}], also as JSON; heads and tails are numbers of entities, counted from 0; none: guessed from the header.",
    )
    group: str | None = param(
        None, "Rows with the same value stay on the same side of a split; none: rows of the same sentence."
    )


class Params(decisions.Decided):
    """How relations are learned, and those of pairs decided."""

    form: Literal["auto", "pairs", "triples"] = param(
        "auto", "What a row is: a marked pair, or a text with triples; auto: triples where there are relations."
    )
    no_relation: str | None = param(
        None, "Label of pairs that no relation holds between, which f1_relations leaves out; none: guessed (Other ...)."
    )
    relation_weight: float = param(
        1.0, "Weight of the loss of relations beside that of entities (triples).", gt=0, search=Range(0.2, 5, log=True)
    )
    negatives: int = param(100, "Most pairs without a relation that are learned from, in each text (triples).", ge=1)
    rank: int = param(32, "Numbers that a word is compared by, for each relation (triples).", ge=1)
    tune_threshold: bool = param(True, "Choose the threshold of relations on the validation rows (triples).")


class Request(requested.Windowed):
    """What a caller may ask for with each request."""

    threshold: float | None = param(
        None,
        "Triples: give relations from this probability on; none: as tuned, else 0.5. Pairs: below it answer the label that means no relation, else 'unknown'; none: as task.abstain_accuracy has it.",
        ge=0,
        le=1,
        search=Range(0.1, 0.9),
    )
    entity_threshold: float = param(
        0.0, "Leave out entities below this probability, and their relations (triples).", ge=0, le=1
    )
    patterns: Literal["seen", "any"] = param(
        "seen", "Give relations only between types of entities that training rows have them between, or any (triples)."
    )
    relations: tuple[str, ...] | None = param(None, "Give only relations of these types; none: all (triples).")
    top_k: int = param(1, "How many of the likeliest labels to list with their probabilities (pairs).", ge=1)


_OF_PAIRS, _OF_TRIPLES = ("no_relation", "top_k"), ("entity_threshold", "patterns", "relations")
_IDLE = {"pairs": ("relation_weight", "negatives", "rank", "tune_threshold", *_OF_TRIPLES), "triples": _OF_PAIRS}


class Task(base.Task):
    """Relation extraction."""

    inputs = ("text", "tokens", "e1", "e2")
    required = (("text", "label"), ("text", "entities", "relations"), ("tokens", "entities", "relations"))
    long_text = "windows"
    options: Params

    def schema(self) -> pa.Schema:
        from tunesmith.data.relation_rows import SCHEMA

        return SCHEMA

    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        return self._canonical(row, pairs=self._form(triples="relations" in row) == "pairs", labelled=True)

    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(given, self.inputs)
        return self._canonical(given, pairs=self.options.form == "pairs", labelled=False)

    def learn(self, rows: pa.Table) -> Target:
        if self._are_pairs(rows):
            counts = Counter(rows["label"].to_pylist())
            target = Target("multi-class", tuple(sorted(counts)), tuple(counts[label] for label in sorted(counts)))
        else:
            target = _learned(rows)
        self._check(target)
        return target

    def encode(
        self, rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None = None
    ) -> Examples:
        from tunesmith.data import relation_examples

        reading = reading.but(long_text=reading.long_text or self.long_text)
        if self._are_pairs(rows):
            labels = None if target is None else target.labels
            return relation_examples.encode_pairs(rows, tokenizer, reading, folder, labels)
        names = None if target is None else _names(target)
        return relation_examples.encode_triples(
            rows, tokenizer, reading, folder, names, most_unrelated=self.options.negatives
        )

    def strata(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        from tunesmith.data.relation_rows import truths

        if self._are_pairs(rows):
            return [[label] for label in rows["label"].to_pylist()]
        return [
            sorted({*(span.type for span in truth.entities), *(one.type for one in truth.relations)})
            for truth in truths(rows)
        ]

    def strata_are_labels(self, rows: pa.Table) -> bool:
        return self._are_pairs(rows)

    def fits_head(self, target: Target) -> bool:
        return target.kind != "triples"

    def metric(self, target: Target) -> str:
        return "f1_strict" if target.kind == "triples" else "f1_relations"

    def head(self, width: int, target: Target, *, pooling: str, dropout: float) -> Head:
        from tunesmith.heads.relations import MarkedHead, TripleHead

        if target.kind != "triples":
            return MarkedHead(width, len(target.labels), pooling=pooling, dropout=dropout)
        tags, relations = len(_names(target).tags), len(target.relations)
        return TripleHead(width, tags, relations, rank=self.options.rank, dropout=dropout)

    def loss(self, target: Target, *, label_smoothing: float = 0.0) -> RowLoss:
        from tunesmith import heads
        from tunesmith.heads.relations import triple_loss

        if target.kind != "triples":
            return heads.cross_entropy(label_smoothing=label_smoothing)
        return triple_loss(
            len(_names(target).tags),
            len(target.relations),
            relation_weight=self.options.relation_weight,
            label_smoothing=label_smoothing,
        )

    def divergence(self, target: Target) -> Divergence:
        from tunesmith.heads import divergences

        return divergences.triples if target.kind == "triples" else divergences.labels

    def scores(
        self, outputs: Sequence[np.ndarray], examples: Examples, target: Target, request: Request
    ) -> np.ndarray | Sequence[np.ndarray]:
        """Of pairs the probabilities of labels (rows, labels); of triples what each text holds, packed (see ``triples.Found``)."""
        from tunesmith.data.relation_examples import MarkedExamples, TripleExamples
        from tunesmith.decisions import answers
        from tunesmith.text import triples

        _refuse_idle("request parameter", request, "triples" if target.kind == "triples" else "pairs")
        if isinstance(examples, MarkedExamples):
            return answers.calibrated(examples.by_row(outputs), target)
        assert isinstance(examples, TripleExamples)
        _check_relations(target, request)
        names = _names(target, request.patterns)
        found = triples.find(examples.by_word(outputs, names), [text.places for text in examples.units], names)
        asked = (row.over(request.entity_threshold).only(request.relations or names.relations) for row in found)
        threshold = _threshold(target, request)
        return [dataclasses.replace(row, threshold=threshold).packed(names.types) for row in asked]

    def predictions(self, scored: Scored, target: Target) -> Predictions | Counted:
        from tunesmith import metrics
        from tunesmith.data import relation_rows

        context = dataclasses.replace(scored, inputs=("text",)).context()
        if target.kind != "triples":
            return self._pairs(scored, target, context)
        truths, found = list(relation_rows.truths(scored.rows)), list(_found(scored.scores, target))
        return metrics.triples(
            [truth.triples() for truth in truths],
            [row.triples() for row in found],
            target.relations,
            gold_entities=[truth.entities for truth in truths],
            found_entities=[row.entities for row in found],
            **context,
        )

    def asked(self, target: Target, request: Request) -> Target:
        from tunesmith.decisions import answers

        return target if target.kind == "triples" else answers.asked(target, request.threshold)

    def answers(self, scored: Scored, target: Target, request: Request) -> list[dict[str, Any]]:
        from tunesmith.decisions import answers as decided

        if target.kind != "triples":
            unsure = self._no_relation(target) or decided.UNKNOWN
            return decided.told(scored.table, self.asked(target, request), request.top_k, unsure)
        columns = (scored.rows[name].to_pylist() for name in ("text", "tokens"))
        rows = zip(*columns, _found(scored.scores, target), strict=True)
        # Characters count in the text that words were joined to, so the caller needs it.
        return [row.told(text) | ({"text": text} if words else {}) for text, words, row in rows]

    def idle(self, scored: Scored, target: Target, request: Request, reading: Model) -> Iterator[str]:
        yield from requested.idle(request, [requested.no_windows(reading)])

    def golden(self, reader: base.Reader, rows: pa.Table, request: Any, folder: Path) -> list[Any]:
        scores = self.read(reader, rows, request, folder).scores
        if reader.target.kind != "triples":
            return [row.round(6).tolist() for row in scores]
        kept = (row.first(_GOLDEN_ENTITIES) for row in _found(scores, reader.target))
        return [row.packed(reader.target.labels).round(6).tolist() for row in kept]

    def drift(self, then: Sequence[Any], now: Sequence[Any], target: Target) -> float:
        from tunesmith.text.triples import moved

        if target.kind != "triples":
            return super().drift(then, now, target)
        pairs = zip(_found(then, target), _found(now, target), strict=True)
        return max(moved(before, after) for before, after in pairs)

    def choose(self, target: Target, *, paired: bool, sentence_encoder: bool) -> dict[str, Any]:
        decided = decisions.chosen(self.options, target.kind)
        if target.kind == "triples":
            return {"form": "triples", **decided}
        return {"form": "pairs", "no_relation": self._no_relation(target), **decided}

    def tune(self, scored: Scored, target: Target) -> Target:
        from tunesmith.data.relation_rows import label_numbers, truths
        from tunesmith.decisions import tuning
        from tunesmith.text import triples

        if target.kind != "triples":
            return tuning.tuned(target, scored.table, label_numbers(scored.rows, target.labels), self.options)
        if not self.options.tune_threshold:
            return target
        gold = [truth.triples() for truth in truths(scored.rows)]
        threshold = triples.best_threshold(list(_found(scored.scores, target)), gold)
        return dataclasses.replace(target, thresholds=(threshold,))

    def findings(self, rows: pa.Table, target: Target) -> Iterator[Finding]:
        from tunesmith.data import relation_checks, word_checks

        if target.kind == "triples":
            yield from word_checks.type_findings(target.labels, target.counts)
            yield from relation_checks.relation_findings(rows)

    def split_findings(self, split: str, rows: pa.Table, target: Target) -> Iterator[Finding]:
        from tunesmith.data import relation_checks, word_checks

        if target.kind == "triples":
            yield from word_checks.entity_findings(split, rows, target.labels)
            yield from relation_checks.unknown_findings(split, rows, target.relations, target.patterns)

    def token_findings(self, split: str, rows: pa.Table, encoded: Encoded) -> Iterator[Finding]:
        from tunesmith.data import relation_checks, word_checks

        if self._are_pairs(rows):
            yield from relation_checks.mention_findings(split, rows, encoded)
        else:
            yield from word_checks.token_findings(split, rows, encoded)
            yield from relation_checks.apart_findings(split, rows, encoded)

    def _pairs(self, scored: Scored, target: Target, context: dict[str, Any]) -> Predictions:
        """Labels of pairs beside the truth; where there is a label for no relation, it is the answer that is not sure enough."""
        from tunesmith import metrics
        from tunesmith.data import relation_rows
        from tunesmith.decisions import answers

        labels, outside, chances = target.labels, self._no_relation(target), scored.table
        predicted = answers.decided(chances, target, labels.index(outside) if outside in labels else None)
        decision = dataclasses.replace(target.decision, abstain_below=0.0) if outside in labels else target.decision
        truth, families = relation_rows.label_numbers(scored.rows, labels), metrics.families(labels, outside)
        return metrics.Predictions(
            "multi-class", labels, truth, chances, predicted, families=families, decision=decision, **context
        )

    def _form(self, *, triples: bool) -> str:
        usual = "triples" if triples else "pairs"
        return usual if self.options.form == "auto" else self.options.form

    def _are_pairs(self, rows: pa.Table) -> bool:
        from tunesmith.data.relation_rows import are_pairs

        return self._form(triples=not are_pairs(rows)) == "pairs"

    def _canonical(self, row: Mapping[str, Any], *, pairs: bool, labelled: bool) -> dict[str, Any]:
        from tunesmith.data import relation_rows

        read = relation_rows.marked_row if pairs else relation_rows.triples_row
        return read(row, labelled=labelled)

    def _no_relation(self, target: Target) -> str | None:
        from tunesmith import metrics

        return self.options.no_relation or metrics.outside(target.labels)

    def _check(self, target: Target) -> None:
        """Refuse options that would have no effect, or name no label."""
        form = "triples" if target.kind == "triples" else "pairs"
        _refuse_idle("task", self.options, form)
        decisions.check(self.options, target.kind, target.labels)
        named = self.options.no_relation
        if form == "pairs" and named is not None and named not in target.labels:
            hint = did_you_mean(named, target.labels)
            raise UsageError(f"no training row has the label '{named}'", where="task.no_relation", hint=hint)


def _learned(rows: pa.Table) -> Target:
    from tunesmith.data.relation_rows import tally

    counts, patterns = tally(rows)
    types, relations = tuple(sorted(counts)), tuple(sorted({relation for _, relation, _ in patterns}))
    return Target(
        "triples", types, tuple(counts[name] for name in types), relations=relations, patterns=tuple(sorted(patterns))
    )


def _names(target: Target, patterns: str = "any") -> Names:
    from tunesmith.text.triples import Names, Pattern

    seen = tuple(Pattern(*pattern) for pattern in target.patterns)
    return Names(target.labels, target.relations, seen if patterns == "seen" else None)


def _found(scores: Iterable[Any], target: Target) -> Iterator[Found]:
    from tunesmith.text.triples import Found

    names = _names(target)
    return (Found.unpacked(row, names) for row in scores)


def _threshold(target: Target, request: Request) -> float:
    from tunesmith.text.triples import EVEN

    if request.threshold is not None:
        return request.threshold
    return target.thresholds[0] if target.thresholds else EVEN


def _refuse_idle(where: str, values: params.Params, form: str) -> None:
    """Refuse what was asked for and has no effect on this form of rows."""
    joint, changed = "." if where == "task" else " ", params.set_apart(values)
    message = f"has no effect on {'marked pairs' if form == 'pairs' else form}"
    problems = [Problem(message, f"{where}{joint}{name}", "leave it out") for name in _IDLE[form] if name in changed]
    if problems:
        raise UsageError("these parameters do not go with this form of rows", problems=problems)


def _check_relations(target: Target, request: Request) -> None:
    for name in request.relations or ():
        if name not in target.relations:
            hint = did_you_mean(name, target.relations)
            raise UsageError(f"the model knows no relation '{name}'", where="request parameter relations", hint=hint)
