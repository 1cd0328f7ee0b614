"""Named pieces of a text, such as persons and places: which words, and of what type.

Rows are words with tags in any common scheme, or a text with its entities. A text is read in words; every character of a
script without spaces, such as Chinese, is a word. Long texts are read in overlapping windows, and labels that cannot
follow one another never do. Entities come back with their characters in the text as it was given.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith import params, requested
from tunesmith.decisions import options as decisions
from tunesmith.errors import DataError, UsageError, did_you_mean
from tunesmith.params import Choices, Range, param
from tunesmith.tasks import base
from tunesmith.tasks.base import Scored, Target, no_r_drop, refuse_unknown
from tunesmith.text.tags import Aggregation

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tunesmith.config import Model
    from tunesmith.data.examples import Examples
    from tunesmith.data.finding import Finding
    from tunesmith.heads import Head, RowLoss
    from tunesmith.heads.divergences import Divergence
    from tunesmith.metrics import Counted
    from tunesmith.text.annotated import Marked
    from tunesmith.text.encode import Encoded
    from tunesmith.text.spans import Span
    from tunesmith.text.tagging import Tagged

SLOTS = 3
"""Words that a token may speak for, each with a label of its own. Few tokens of large vocabularies hold more characters."""

# Values kept of each golden row at most, so that long documents do not make large files.
_GOLDEN_WORDS = 200


class Columns(params.Params):
    """Which of the file's columns is which: tokens with tags, or a text with entities."""

    tokens: str | None = param(
        None, "Words: a list, such a list as JSON, or words with spaces between; none: guessed from the header."
    )
    tags: str | None = param(
        None, "A tag a word, in IO, IOB1, IOB2 (BIO) or BIOES (BILOU); none: guessed from the header."
    )
    text: str | None = param(None, "The text; none: guessed from the header, or the words joined.")
    entities: str | None = param(
        None,
        "Marked pieces, in characters of the text: [{start, end, type}], [[start, end, type]] or {type: {mention: [[first, last]]}}, either as JSON; none: guessed from the header.",
    )
    group: str | None = param(None, "Rows with the same value stay on the same side of a split, such as a document.")


class Params(decisions.Calibrated):
    """How entities are learned, and how sure of them answers are."""

    scheme: Literal["iob2", "iobes", "io"] = param(
        "iob2", "Labels that the model chooses among, whatever the data has.", search=Choices(("iob2", "iobes", "io"))
    )
    crf: bool = param(
        False, "Learn which labels follow one another, with a conditional random field.", search=Choices((False, True))
    )
    tune_word_threshold: bool = param(True, "Choose the request parameter word_threshold on the validation rows.")


class Request(requested.Windowed):
    """What a caller may ask for with each request."""

    threshold: float = param(0.0, "Leave out entities whose score is below this.", ge=0, le=1, search=Range(0, 0.9))
    aggregation: Aggregation = param(
        "mean",
        "How words become entities: the likeliest legal labels, with the mean (average) of their probabilities as score, or the min, max, product or first of them; simple: each word's own likeliest label, whatever stands beside it; none: no entities, the label of every word.",
    )
    word_threshold: float | None = param(
        None,
        "A word may be in an entity from this probability on; lower finds more; none: as tuned, else 0.5.",
        gt=0,
        lt=1,
        search=Range(0.05, 0.95),
    )
    types: tuple[str, ...] | None = param(None, "Give only entities of these types; none: all.")
    scheme: Literal["iob2", "iobes", "io", "iob1"] | None = param(
        None, "Scheme of the tags that answer tokens; none: that of the model."
    )


class Task(base.Task):
    """Token classification."""

    inputs = ("text", "tokens")
    any_input_will_do = True
    required = (("tokens", "tags"), ("text", "entities"), ("tokens", "entities"))
    long_text = "windows"
    options: Params

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        span = pa.struct({"start": pa.int64(), "end": pa.int64(), "type": pa.string()})
        words = pa.list_(pa.string())
        return pa.schema(
            {"text": pa.string(), "tokens": words, "tags": words, "entities": pa.list_(span), "group": pa.string()}
        )

    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        from tunesmith.text import annotated

        return _canonical(annotated.read(row), row.get("group"))

    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        from tunesmith.text import annotated

        refuse_unknown(given, self.inputs)
        text, words = annotated.read_text(given)
        return _canonical(annotated.unmarked(text, words), None)

    def learn(self, rows: pa.Table) -> Target:
        counts = Counter(span.type for row in _spans(rows) for span in row)
        if not counts:
            hint = "say which column holds them: --columns.entities NAME, or --columns.tokens NAME --columns.tags NAME"
            raise DataError("no training row has an entity", hint=hint)
        labels = tuple(sorted(counts))
        decisions.check(self.options, "entities", labels)
        return Target("entities", labels, tuple(counts[label] for label in labels))

    def encode(
        self, rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None = None
    ) -> Examples:
        from tunesmith.data.examples import encode_texts
        from tunesmith.data.word_examples import WordExamples
        from tunesmith.text.token_words import words_of

        long_text = reading.long_text or self.long_text
        encoded = encode_texts(rows, tokenizer, reading, folder, long_text=long_text, offsets=True)
        words = [words_of(*row) for row in zip(_cells(rows, "text"), _cells(rows, "tokens"), strict=True)]
        if target is None:
            return WordExamples(encoded, tokenizer.pad_token_id, words, slots=SLOTS)
        known = [[span for span in row if span.type in target.labels] for row in _spans(rows)]
        learned = (known, self._names(target), self.options.scheme)
        return WordExamples(encoded, tokenizer.pad_token_id, words, *learned, slots=SLOTS)

    def strata(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        return [sorted({span.type for span in row}) for row in _spans(rows)]

    def labelled(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        texts = zip(_cells(rows, "text"), _spans(rows), strict=True)
        return [[f"{text[start:end]} [{name}]" for start, end, name in row] for text, row in texts]

    def metric(self, target: Target) -> str:
        return "f1_micro"

    def head(self, width: int, target: Target, *, pooling: str, dropout: float) -> Head:
        from tunesmith.heads.tokens import ChainHead, TokenHead

        made = ChainHead if self.options.crf else TokenHead
        return made(width, len(self._names(target)), dropout=dropout, slots=SLOTS)

    def loss(self, target: Target, *, label_smoothing: float = 0.0) -> RowLoss:
        from tunesmith.heads.tokens import chain_likelihood, token_cross_entropy

        if not self.options.crf:
            return token_cross_entropy(label_smoothing=label_smoothing)
        if label_smoothing:
            hint = "legal here: 0"
            raise UsageError("a CRF has no label smoothing", where="train.label_smoothing", hint=hint)
        return chain_likelihood(len(self._names(target)))

    def divergence(self, target: Target) -> Divergence:
        from tunesmith.heads import divergences

        if self.options.crf:
            raise no_r_drop("a CRF", ", or task.crf false")
        return divergences.token_labels

    def scores(
        self, outputs: Sequence[np.ndarray], examples: Examples, target: Target, request: Request
    ) -> Sequence[np.ndarray]:
        """The labels chosen for each row's words beside the probabilities of all, packed (see ``tagging.Tagged``)."""
        from tunesmith.data.word_examples import WordExamples
        from tunesmith.decisions import answers
        from tunesmith.text import tagging, token_words

        assert isinstance(examples, WordExamples)
        self._check_types(target, request)
        names, rules = self._names(target), token_words.rules(self._names(target), self.options.scheme)
        as_given = examples.probabilities(outputs, len(names), chain=self.options.crf)
        read = [answers.calibrated(row, target) for row in as_given]
        places = [units.places for units in examples.units]
        ways: dict[str, Any] = {
            "threshold": request.threshold,
            "aggregation": request.aggregation,
            "types": request.types,
        }
        alone = request.aggregation in ("simple", "none")
        chosen = tagging.choose(places, read, None if alone else rules, _word_threshold(target, request))
        return [text.kept(names, **ways).packed() for text in chosen]

    def predictions(self, scored: Scored, target: Target) -> Counted:
        """Answers that another process gave, as a caller sees them, beside the truth."""
        from tunesmith import metrics
        from tunesmith.text import tagging

        names, texts, gold = self._names(target), list(_tagged(scored)), list(_spans(scored.rows))
        found = [text.spans(names) for text in texts]
        context = dataclasses.replace(scored, inputs=("text",)).context()
        made = metrics.entities(gold, found, target.labels, **context)
        return dataclasses.replace(made, trust=tagging.trust(texts, gold, names, target.decision.calibration))

    def answers(self, scored: Scored, target: Target, request: Request) -> list[dict[str, Any]]:
        names, rows = self._names(target), scored.rows
        given = zip(_cells(rows, "text"), _cells(rows, "tokens"), _tagged(scored), strict=True)
        if request.aggregation == "none":
            return [
                {"words": tagged.words(text, names)} | ({"text": text} if words else {})
                for text, words, tagged in given
            ]
        scheme = request.scheme or self.options.scheme
        return [
            _answer(text, words, tagged.scored(names, request.aggregation), scheme) for text, words, tagged in given
        ]

    def heard(self, answers: Sequence[Mapping[str, Any]], scored: Scored, target: Target) -> Counted:
        from tunesmith import metrics
        from tunesmith.text.spans import Span

        if any("entities" not in one for one in answers):
            raise UsageError("words by themselves cannot be held against entities", where="aggregation")
        found = [[Span(one["start"], one["end"], one["type"]) for one in answer["entities"]] for answer in answers]
        context = dataclasses.replace(scored, inputs=("text",)).context()
        return metrics.entities(list(_spans(scored.rows)), found, target.labels, **context)

    def idle(self, scored: Scored, target: Target, request: Request, reading: Model) -> Iterator[str]:
        untagged = scored.rows["tokens"].null_count == len(scored.rows) or request.aggregation == "none"
        reasons = [(untagged, ("scheme",), "tags are given where words were, grouped into entities")]
        yield from requested.idle(request, [*reasons, requested.no_windows(reading)])

    def golden(self, reader: base.Reader, rows: pa.Table, request: Any, folder: Path) -> list[Any]:
        scores = self.read(reader, rows, request, folder).scores
        return [row[:_GOLDEN_WORDS].round(6).tolist() for row in scores]

    def drift(self, then: Sequence[Any], now: Sequence[Any], target: Target) -> float:
        from tunesmith.text.tagging import moved

        return max(moved(before, after) for before, after in zip(then, now, strict=True))

    def choose(self, target: Target, *, paired: bool, sentence_encoder: bool) -> dict[str, Any]:
        return decisions.chosen(self.options, target.kind)

    def tune(self, scored: Scored, target: Target) -> Target:
        from tunesmith.decisions import tuning
        from tunesmith.text import tagging, token_words

        names, rules = self._names(target), token_words.rules(self._names(target), self.options.scheme)
        texts, gold = list(_tagged(scored)), list(_spans(scored.rows))
        how = decisions.chosen(self.options, target.kind)["calibrate"]
        known = [[span for span in row if span.type in target.labels] for row in gold]
        target = tuning.calibrated(target, how, *tagging.words(texts, known, names, self.options.scheme))
        if not self.options.tune_word_threshold:
            return target
        texts = [text.calibrated(target.decision.calibration) for text in texts]
        return dataclasses.replace(target, thresholds=(tagging.best_threshold(texts, gold, names, rules),))

    def findings(self, rows: pa.Table, target: Target) -> Iterable[Finding]:
        from tunesmith.data.word_checks import type_findings

        return type_findings(target.labels, target.counts)

    def split_findings(self, split: str, rows: pa.Table, target: Target) -> Iterable[Finding]:
        from tunesmith.data.word_checks import row_findings

        return row_findings(split, rows, target.labels)

    def token_findings(self, split: str, rows: pa.Table, encoded: Encoded) -> Iterable[Finding]:
        from tunesmith.data.word_checks import token_findings

        return token_findings(split, rows, encoded, SLOTS)

    def _names(self, target: Target) -> tuple[str, ...]:
        """The labels that the model chooses among."""
        from tunesmith.text import tags

        return tuple(tags.labels(target.labels, self.options.scheme))

    def _check_types(self, target: Target, request: Request) -> None:
        for name in request.types or ():
            if name not in target.labels:
                hint = did_you_mean(name, target.labels)
                raise UsageError(f"the model knows no type '{name}'", where="request parameter types", hint=hint)


def _canonical(marked: Marked, group: Any) -> dict[str, Any]:
    return {
        "text": marked.text,
        "tokens": marked.words,
        "tags": marked.tags,
        "entities": [span._asdict() for span in marked.spans],
        "group": None if group is None else str(group),
    }


def _cells(rows: pa.Table, column: str) -> Iterator[Any]:
    return (cell for chunk in rows[column].chunks for cell in chunk.to_pylist())


def _spans(rows: pa.Table) -> Iterator[list[Span]]:
    from tunesmith.text.spans import Span

    return ([Span(**span) for span in cell] for cell in _cells(rows, "entities"))


def _tagged(scored: Scored) -> Iterator[Tagged]:
    from tunesmith.text.tagging import Tagged

    return map(Tagged.unpacked, scored.scores)


def _word_threshold(target: Target, request: Request) -> float:
    from tunesmith.text.tagging import EVEN

    if request.word_threshold is not None:
        return request.word_threshold
    return target.thresholds[0] if target.thresholds else EVEN


def _answer(text: str, words: Sequence[str] | None, found: Sequence[tuple[Span, float]], scheme: Any) -> dict[str, Any]:
    """Entities as a caller sees them; where words were given also their tags, and the text in which characters count."""
    from tunesmith.text import spans, tags
    from tunesmith.text.token_words import words_of

    entities = [
        {"start": span.start, "end": span.end, "type": span.type, "text": text[span.start : span.end], "score": score}
        for span, score in found
    ]
    if words is None:
        return {"entities": entities}
    cut = spans.cut_words(words_of(text, words), [span for span, _ in found])
    return {"entities": entities, "tags": tags.write(cut, len(words), scheme), "text": text}
