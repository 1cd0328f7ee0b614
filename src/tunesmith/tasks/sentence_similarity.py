"""How alike two texts mean the same, and embeddings of texts for search, grouping and comparing.

A bi-encoder makes an embedding of each text, so that texts can be compared that were never seen together. A cross-encoder
reads both texts at once: it judges pairs better and has no embeddings. Pairs come with a score (any range, or 0 and 1), or
without: then all pairs are alike, every other text of a step is a wrong answer, and hard negatives make it harder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tunesmith import params, requested
from tunesmith.errors import DataError, Problem, UsageError
from tunesmith.params import Range, param
from tunesmith.tasks import base
from tunesmith.tasks.base import RowError, Scored, Target, no_r_drop, number_of, refuse_unknown, text_of
from tunesmith.text.cells import is_missing

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pyarrow as pa

    from tunesmith.config import Model
    from tunesmith.data.check import Finding
    from tunesmith.data.examples import Examples
    from tunesmith.heads import Head, RowLoss
    from tunesmith.heads.divergences import Divergence
    from tunesmith.metrics import Counted, Predictions


class Columns(params.Params):
    """Which of the file's columns is which."""

    text: str | None = param(None, "The first text; none: guessed from the header.")
    text_pair: str | None = param(None, "The second text; none: guessed from the header.")
    score: str | None = param(
        None, "How alike the two are: a number, or 0 and 1; none: guessed, and where there is none all pairs are alike."
    )
    negative: str | None = param(
        None, "A text that looks like a second text and is not alike, or a list of them (hard negatives)."
    )
    group: str | None = param(None, "Rows with the same value stay on the same side of a split.")


class Params(params.Params):
    """How likeness is learned."""

    form: Literal["bi-encoder", "cross-encoder"] = param(
        "bi-encoder", "An embedding of each text, or one judgement of both texts read together."
    )
    loss: Literal["auto", "cosine", "ranking", "in-batch", "cross-entropy"] = param(
        "auto",
        "The cosine is the score, cosines stand in the order of the scores, or a text finds its pair among all others of the step; a cross-encoder has cross-entropy; auto: by form and scores.",
    )
    temperature: float = param(
        0.05,
        "Difference of cosines that is clear to the losses ranking and in-batch.",
        gt=0,
        le=1,
        search=Range(0.01, 0.2, log=True),
    )
    dimensions: int | None = param(None, "Numbers of an embedding; none: as many as the base model's.", ge=2)
    matryoshka: tuple[Annotated[int, Field(ge=2)], ...] = param(
        (), "Sizes at which the first numbers of an embedding alone should do as well (Kusupati et al. 2022)."
    )
    lowest_score: float | None = param(
        None, "Score of pairs that are not alike at all; none: 0, or the lowest of the training rows outside 0 to 1."
    )
    highest_score: float | None = param(
        None, "Score of pairs that mean the same; none: 1, or the highest of the training rows outside 0 to 1."
    )


class Request(params.Params):
    """What a caller may ask for with each request."""

    dimensions: int | None = param(
        None, "Use only the first numbers of each embedding, for the cosine too; none: all of them.", ge=2
    )
    normalize: bool = param(True, "Give embeddings of length 1.")
    embeddings: bool = param(False, "Give the embeddings of a pair beside its score.")


class Task(base.Task):
    """Sentence similarity."""

    inputs = ("text", "text_pair")
    required = (("text", "text_pair"),)
    options: Params

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema(
            {
                "text": pa.string(),
                "text_pair": pa.string(),
                "score": pa.float64(),
                "negative": pa.list_(pa.string()),
                "group": pa.string(),
            }
        )

    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        return {
            "text": text_of(row, "text"),
            "text_pair": text_of(row, "text_pair"),
            "score": number_of(row, "score") if "score" in row else None,
            "negative": _negatives(row.get("negative")),
            "group": None if row.get("group") is None else str(row["group"]),
        }

    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(given, self.inputs)
        paired = "text_pair" in given
        return {
            "text": text_of(given, "text"),
            "text_pair": text_of(given, "text_pair") if paired else None,
            "score": None,
            "negative": [],
            "group": None,
        }

    def check_input(self, row: Mapping[str, Any], columns: Mapping[str, str | None]) -> None:
        if self._reads_both and row["text_pair"] is None:
            raise RowError("text_pair", "is missing: a cross-encoder reads two texts")

    def learn(self, rows: pa.Table) -> Target:
        import pyarrow.compute as pc

        ends = pc.min_max(rows["score"]).as_py()
        if ends["max"] == 0:
            raise DataError("every score is 0: no pair is alike", hint="see --columns.score")
        scored = ends["min"] is not None and ends["min"] < ends["max"]
        binary = not scored or set(pc.unique(rows["score"]).to_pylist()) <= {0.0, 1.0}
        self._check(scored=scored, binary=binary)
        if not scored:
            return Target("ranking", ("score",))
        low, high = self._range(ends["min"], ends["max"])
        return Target("regression", ("score",), scale=(low, high - low))

    def encode(
        self, rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None = None
    ) -> Examples:
        from tunesmith.data import pair_examples

        if self._reads_both:
            return _joined(rows, tokenizer, reading, folder, target)
        if reading.long_text == "windows":
            hint = "legal here: keep-ends, keep-start, keep-end"
            raise UsageError("an embedding is made of one sequence", where="model.long_text", hint=hint)
        hard = target is not None and self._loss(target) == "in-batch"
        alike = None if target is None else _alike(rows, target)
        return pair_examples.encode(rows, tokenizer, reading, folder, alike, negatives=hard)

    def values(self, rows: pa.Table) -> np.ndarray:
        if missing := rows["score"].null_count:
            raise DataError(f"{missing:,} rows have no score, and the training rows have", hint="see --columns.score")
        values: np.ndarray = rows["score"].to_numpy()
        return values

    def strata(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        return [[] for _ in range(len(rows))]

    def metric(self, target: Target) -> str:
        return "spearman" if target.kind == "regression" else "mrr"

    def head(self, width: int, target: Target, *, pooling: str, dropout: float) -> Head:
        from tunesmith.heads import TextHead
        from tunesmith.heads.embeddings import EmbeddingHead

        if self._reads_both:
            return TextHead(width, 1, pooling=pooling, dropout=dropout)
        largest = self.options.dimensions or width
        if self.options.matryoshka and max(self.options.matryoshka) >= largest:
            hint = f"legal: 2 to {largest - 1}"
            raise UsageError(f"embeddings have {largest} numbers", where="task.matryoshka", hint=hint)
        return EmbeddingHead(width, self.options.dimensions, pooling=pooling, dropout=dropout)

    def loss(self, target: Target, *, label_smoothing: float = 0.0) -> RowLoss:
        from tunesmith import heads
        from tunesmith.heads import embeddings as embedding_heads

        if label_smoothing:
            raise UsageError("similarity has no label smoothing", where="train.label_smoothing", hint="legal here: 0")
        if self._reads_both:
            return heads.binary()
        name = self._loss(target)
        if name == "cosine":
            loss = embedding_heads.cosine()
        else:
            make = embedding_heads.ranking if name == "ranking" else embedding_heads.in_batch
            loss = make(self.options.temperature)
        return embedding_heads.matryoshka(loss, self.options.matryoshka) if self.options.matryoshka else loss

    def divergence(self, target: Target) -> Divergence:
        from tunesmith.heads import divergences

        if self._reads_both:
            return divergences.marks
        if self._loss(target) != "cosine":  # it compares rows with one another, so no row has outputs of its own
            raise no_r_drop(f"the loss {self._loss(target)}", ", or task.loss cosine where pairs have scores")
        return divergences.cosines

    def scores(
        self, outputs: Sequence[np.ndarray], examples: Examples, target: Target, request: Any
    ) -> np.ndarray | Sequence[np.ndarray]:
        """Embeddings of each row's one or two texts, (1 or 2, D); of a cross-encoder, the score."""
        import numpy as np
        from scipy.special import expit

        if not self._reads_both:
            parts = len(examples.encoded)
            return [output.reshape(parts, -1)[:2] for output in outputs]
        alike = expit(np.stack(outputs)[:, 0].astype(np.float64))
        sums = np.bincount(examples.rows, alike, examples.row_count)
        scores: np.ndarray = target.scale[0] + target.scale[1] * sums / np.bincount(examples.rows)
        return scores

    def drift(self, then: Sequence[Any], now: Sequence[Any], target: Target) -> float:
        if self._reads_both:
            return super().drift(then, now, target)
        import numpy as np

        from tunesmith.embeddings import directions

        moved = directions(np.asarray(then, np.float64)) - directions(np.asarray(now, np.float64))
        return float(np.linalg.norm(moved, axis=2).max(initial=0))

    def predictions(self, scored: Scored, target: Target) -> Predictions | Counted:
        import numpy as np

        from tunesmith import embeddings, metrics

        if target.kind == "regression":
            truth, values = self.values(scored.rows), self._values(scored, target)
            return metrics.Predictions("regression", target.labels, truth, values, values, **scored.context())
        texts, seconds = (scored.rows[name].to_pylist() for name in self.inputs)
        ranks, nearest = embeddings.ranks(np.asarray(scored.scores, np.float64), texts, seconds)
        found = [seconds[row] for row in nearest.tolist()]
        return metrics.ranking(ranks.tolist(), seconds, found, **{**scored.context(), "texts": texts})

    def tune(self, scored: Scored, target: Target) -> Target:
        """A bi-encoder's cosines lie on another scale than the scores: the line from one to the other."""
        import numpy as np

        if self._reads_both or target.kind != "regression":
            return target
        cosines, truth = _cosines(scored), self.values(scored.rows)
        if len(truth) < 2 or np.ptp(cosines) < 1e-6:
            return target
        slope, start = np.polyfit(cosines, truth, 1).tolist()
        return dataclasses.replace(target, scale=(start, slope)) if slope > 0 else target

    def answers(self, scored: Scored, target: Target, request: Request) -> list[dict[str, Any]]:
        if self._reads_both:
            requested.refuse(request, "a cross-encoder has no embeddings")
            return [{"score": float(score)} for score in scored.scores]
        size = scored.scores[0].shape[1]
        if request.dimensions and request.dimensions > size:
            where, hint = "request parameter dimensions", f"legal: 2 to {size}"
            raise UsageError(f"embeddings have {size} numbers", where=where, hint=hint)
        pairs = zip(scored.scores, scored.rows["text_pair"].is_valid().to_pylist(), strict=True)
        return [_answer(row[:, : request.dimensions], target, request, paired=paired) for row, paired in pairs]

    def idle(self, scored: Scored, target: Target, request: Request, reading: Model) -> Iterator[str]:
        singles = scored.rows["text_pair"].null_count
        reasons = [
            (not singles and not request.embeddings, ("normalize",), "no embeddings are given"),
            (singles == len(scored.rows), ("embeddings",), "the embedding of a single text is given anyway"),
        ]
        yield from requested.idle(request, reasons)

    def choose(self, target: Target, *, paired: bool, sentence_encoder: bool) -> dict[str, Any]:
        return {"loss": self._loss(target)}

    def findings(self, rows: pa.Table, target: Target) -> Iterator[Finding]:
        from tunesmith.data.check import Finding

        negatives, seconds = rows["negative"].to_pylist(), rows["text_pair"].to_pylist()
        held = sum(map(bool, negatives))
        if held and self._loss(target) != "in-batch":
            message = f"the hard negatives of {held:,} rows are not used"
            hint = "the loss in-batch uses them: --task.loss"
            yield Finding("warning", "unused_negatives", message, held, hint=hint)
        same = sum(second in texts for second, texts in zip(seconds, negatives, strict=True))
        if same:
            message = f"{same:,} training rows name their second text as a hard negative too; it is not taken for one"
            yield Finding("warning", "negative_is_pair", message, same)

    @property
    def _reads_both(self) -> bool:
        return self.options.form == "cross-encoder"

    def _loss(self, target: Target) -> str:
        if self.options.loss != "auto":
            return self.options.loss
        if self._reads_both:
            return "cross-entropy"
        return "ranking" if target.kind == "regression" else "in-batch"  # ranking does better on STS-B than cosine

    def _values(self, scored: Scored, target: Target) -> np.ndarray:
        """Each pair's score as the model sees it, on the scale of the rows."""
        import numpy as np

        if self._reads_both:
            return np.asarray(scored.scores, np.float64)
        return target.scale[0] + target.scale[1] * _cosines(scored)

    def _range(self, lowest: float, highest: float) -> tuple[float, float]:
        """Scores of pairs that are not alike at all, and of those that mean the same."""
        inside = lowest >= 0 and highest <= 1
        low = (0.0 if inside else lowest) if self.options.lowest_score is None else self.options.lowest_score
        high = (1.0 if inside else highest) if self.options.highest_score is None else self.options.highest_score
        problems = [
            Problem(f"{limit:g}, but scores of the training rows go from {lowest:g} to {highest:g}", f"task.{name}")
            for name, limit, outside in (("lowest_score", low, low > lowest), ("highest_score", high, high < highest))
            if outside
        ]
        if problems:
            raise UsageError("the task's options do not fit the data", problems=problems)
        return low, high

    def _check(self, *, scored: bool, binary: bool) -> None:
        """Refuse options that cannot work with these rows, or would have no effect."""
        options, problems = self.options, []
        forms = ("cross-entropy",) if self._reads_both else ("cosine", "ranking") if scored else ()
        legal = forms if self._reads_both or not binary else (*forms, "in-batch")
        if self._reads_both and not scored:
            problems.append(Problem("a cross-encoder learns from scores that differ", "task.form", "legal: bi-encoder"))
        if options.loss not in ("auto", *legal):
            told = f"'{options.loss}' does not go with these rows and this form"
            problems.append(Problem(told, "task.loss", f"legal here: {', '.join(legal)}"))
        idle = [*(("dimensions", "matryoshka") if self._reads_both else ())]
        idle += [] if scored else ["lowest_score", "highest_score"]
        for name in idle:
            if getattr(options, name) != type(options).model_fields[name].default:
                problems.append(Problem("has no effect with these rows and this form", f"task.{name}", "leave it out"))
        if problems:
            raise UsageError("the task's options do not fit the data", problems=problems)


def _negatives(value: Any) -> list[str]:
    """Hard negatives, each once; a row may have none."""
    if is_missing(value):
        return []
    texts = value if isinstance(value, (list, tuple)) else [value]
    return list(dict.fromkeys(text_of({"negative": text}, "negative") for text in texts))


def _joined(rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None) -> Examples:
    """Both texts of a row in one sequence; it learns how alike they are, float32 (rows, 1)."""
    from tunesmith.data.examples import Examples, encode_texts

    encoded = encode_texts(rows, tokenizer, reading, folder, pair="text_pair")
    targets = None if target is None else _alike(rows, target).astype("float32")[:, None]
    return Examples([encoded], tokenizer.pad_token_id, targets)


def _alike(rows: pa.Table, target: Target) -> np.ndarray:
    """How alike each pair is, from 0 to 1; (rows,)."""
    import numpy as np

    if target.kind == "ranking":
        return np.ones(len(rows))
    low, width = target.scale
    alike: np.ndarray = np.clip((rows["score"].to_numpy() - low) / width, 0, 1)
    return alike


def _cosines(scored: Scored) -> np.ndarray:
    """Cosine of each pair, (rows,)."""
    import numpy as np

    from tunesmith.embeddings import cosines

    return cosines(np.asarray(scored.scores, np.float64))


def _answer(embeddings: np.ndarray, target: Target, request: Request, *, paired: bool) -> dict[str, Any]:
    """A pair's score, a single text's embedding, or both."""
    from tunesmith.embeddings import cosines, directions

    embeddings = embeddings.astype("float64")
    given = (directions(embeddings) if request.normalize else embeddings).tolist()
    if not paired:
        return {"embedding": given[0]}
    cosine = float(cosines(embeddings[None])[0])
    scaled = {"score": target.scale[0] + target.scale[1] * cosine, "cosine": cosine}
    answer: dict[str, Any] = scaled if target.kind == "regression" else {"score": cosine}
    return answer | ({"embedding": given[0], "embedding_pair": given[1]} if request.embeddings else {})
