"""Labels, several labels, or a number for a text or a pair of texts.

Sentiment, topic and intent (one label), tags and emotions (several), ratings and similarity (a number),
entailment and duplicates (pairs). Which of the three it is, the label column tells, unless ``kind`` says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from tunesmith import params, requested
from tunesmith.data import label_names
from tunesmith.decisions import options as decisions
from tunesmith.errors import Problem, UsageError, did_you_mean
from tunesmith.params import Choices, Range, param
from tunesmith.tasks import base
from tunesmith.tasks.base import RowError, Scored, Target, refuse_unknown, text_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from torch import Tensor

    from tunesmith.config import Model
    from tunesmith.data.examples import Examples
    from tunesmith.heads import RowLoss, TextHead
    from tunesmith.heads.divergences import Divergence
    from tunesmith.metrics import Predictions
    from tunesmith.networks.backbones import Backbone

_IDLE = (("resample", "none"), ("classify_by", "head"), ("loss", "cross-entropy"), ("class_weights", "none"))
"""Options that a regression must leave alone, with what is legal there; the first two also several labels."""


class Columns(params.Params):
    """Which of the file's columns is which."""

    text: str | None = param(None, "The text; none: guessed from the header.")
    text_pair: str | None = param(None, "A second text, for pairs.")
    label: str | None = param(None, "The label, a list of labels, or a number; none: guessed from the header.")
    group: str | None = param(None, "Rows with the same value stay on the same side of a split.")


class Params(decisions.Decided):
    """How the labels are learned, and decided."""

    kind: Literal["auto", "multi-class", "multi-label", "regression"] = param(
        "auto", "What is predicted; auto: as the label column looks."
    )
    classify_by: Literal["head", "writing"] = param(
        "head",
        "One label: by a head on the model's vectors, or by how likely an encoder-decoder such as T5 is to write each label's name.",
    )
    pairs: Literal["auto", "joint", "separate"] = param(
        "auto",
        "Two texts are read in one sequence, or apart and then compared; auto: apart for numbers on a sentence encoder.",
    )
    loss: Literal["cross-entropy", "focal"] = param(
        "cross-entropy", "Loss of labels; focal turns to the hard rows.", search=Choices(("cross-entropy", "focal"))
    )
    focal_gamma: float = param(2.0, "How strongly the focal loss turns to the hard rows.", ge=0, search=Range(0.5, 5))
    class_weights: Literal["none", "balanced"] | dict[str, Annotated[float, Field(ge=0)]] = param(
        "none",
        "Weight of each label in the loss; balanced: inverse to its count; {label: weight}, 1 where none is given.",
    )
    resample: Literal["none", "balanced"] = param(
        "none", "Draw rows so that all labels come equally often in an epoch."
    )
    tune_thresholds: bool = param(
        True, "Several labels: tune thresholds where decide_by is left to itself; false: give labels from a half on."
    )


Share = Annotated[float, Field(ge=0, le=1)]


class Request(requested.Windowed):
    """What a caller may ask for with each request."""

    threshold: Share | dict[str, Share] | None = param(
        None,
        "One label: answer 'unknown' below this probability; none: as task.abstain_accuracy has it. Several labels: give those from this probability on; none: as tuned. {label: probability}: for each label its own.",
        search=Range(0.1, 0.9),
    )
    activation: Literal["auto", "softmax", "sigmoid", "none"] = param(
        "auto",
        "Scores that are shown: probabilities as calibrated (auto), softmax or sigmoid of the model's outputs, or these as they are; labels are given by the probabilities all the same.",
    )
    top_k: int = param(1, "How many of the likeliest labels to list with their probabilities.", ge=1)
    windows: Literal["mean", "vote"] = param(
        "mean", "A long text read in windows is answered by their mean probability or by their vote."
    )


class Task(base.Task):
    """Text classification and regression."""

    averages = True

    inputs = ("text", "text_pair")
    required = (("text", "label"),)
    options: Params

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema(
            {"text": pa.string(), "text_pair": pa.string(), "label": pa.list_(pa.string()), "group": pa.string()}
        )

    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        return {
            **_texts(row),
            "label": self._label(row.get("label"), label_separator),
            "group": None if row.get("group") is None else str(row["group"]),
        }

    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(given, self.inputs)
        return {**_texts(given), "label": [], "group": None}

    def check_input(self, row: Mapping[str, Any], columns: Mapping[str, str | None]) -> None:
        paired = columns.get("text_pair") is not None
        if paired != (row["text_pair"] is not None):
            raise RowError(
                "text_pair",
                "is missing: the model compares two texts" if paired else "is given, and the model reads one text",
            )

    def learn(self, rows: pa.Table) -> Target:
        cells = rows["label"]
        counts = Counter(label for chunk in cells.chunks for label in chunk.flatten().to_pylist())
        kind = self.options.kind if self.options.kind != "auto" else label_names.kind_of(cells, counts)
        if kind == "regression":
            import numpy as np

            self._check(kind, ())
            values = np.array([float(label) for label, count in counts.items() for _ in range(count)])
            return Target(kind, ("value",), scale=(float(values.mean()), float(values.std()) or 1.0))
        labels = sorted(counts, key=label_names.natural)
        self._check(kind, labels)
        return Target(kind, tuple(labels), tuple(counts[label] for label in labels))

    def encode(
        self, rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None = None
    ) -> Examples:
        from tunesmith.data.examples import Examples, encode_texts

        paired = rows["text_pair"].null_count < len(rows)
        apart = paired and self.options.pairs == "separate"
        texts = [("text",), ("text_pair",)] if apart else [("text", "text_pair") if paired else ("text",)]
        parts = [encode_texts(rows, tokenizer, reading, folder, *columns) for columns in texts]
        return Examples(parts, tokenizer.pad_token_id, None if target is None else self.targets(rows, target))

    def values(self, rows: pa.Table) -> np.ndarray:
        import numpy as np

        return np.array([float(cell[0]) for cell in rows["label"].to_pylist()], dtype=np.float64)

    def targets(self, rows: pa.Table, target: Target) -> np.ndarray:
        """Label numbers (rows,), marks of each label (rows, labels), or values (rows,)."""
        import numpy as np

        if target.kind == "regression":
            return self.values(rows)
        number = {label: index for index, label in enumerate(target.labels)}
        if target.kind == "multi-class":
            return np.array([number[cell[0]] for cell in rows["label"].to_pylist()], dtype=np.int64)
        grid = np.zeros((len(rows), len(target.labels)), dtype=np.int64)
        for row, cell in enumerate(rows["label"].to_pylist()):
            grid[row, [number[label] for label in cell]] = 1
        return grid

    def strata(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        cells: list[list[str]] = rows["label"].to_pylist()
        return cells

    def strata_are_labels(self, rows: pa.Table) -> bool:
        return True

    def metric(self, target: Target) -> str:
        return {"multi-class": "f1_macro", "multi-label": "average_precision_macro", "regression": "spearman"}[
            target.kind
        ]

    def head(self, width: int, target: Target, *, pooling: str, dropout: float) -> TextHead:
        from tunesmith.heads import TextHead

        return TextHead(
            width, len(target.labels), pooling=pooling, dropout=dropout, pair=self.options.pairs == "separate"
        )

    def load_base(self, path: Path, **options: Any) -> Backbone:
        if self.options.classify_by == "head":
            return super().load_base(path, **options)
        from tunesmith.networks import generators

        return generators.load(path, **options)

    def network(
        self, backbone: Backbone, target: Target, reading: Model, *, depth: int = 0, label_smoothing: float = 0.0
    ) -> Any:
        if self.options.classify_by == "head":
            return super().network(backbone, target, reading, depth=depth, label_smoothing=label_smoothing)
        from tunesmith.networks.label_model import LabelModel

        writer: Any = backbone
        return LabelModel.of(writer, target.labels, depth=depth)

    def loss(self, target: Target, *, label_smoothing: float = 0.0) -> RowLoss:
        from tunesmith import heads

        gamma = self.options.focal_gamma if self.options.loss == "focal" else 0.0
        if label_smoothing and (target.kind == "regression" or (gamma and target.kind == "multi-class")):
            what = "a regression" if target.kind == "regression" else "the focal loss of one label"
            raise UsageError(f"{what} has no label smoothing", where="train.label_smoothing", hint="legal here: 0")
        if target.kind == "regression":
            return _scaled(heads.squared(), target)
        weights = self._weights(target)
        if target.kind == "multi-label":
            return heads.binary(weights, gamma=gamma, label_smoothing=label_smoothing)
        if self.options.loss == "focal":
            return heads.focal(weights, gamma=gamma)
        return heads.cross_entropy(weights, label_smoothing=label_smoothing)

    def divergence(self, target: Target) -> Divergence:
        from tunesmith.heads import divergences

        kinds = {"multi-class": divergences.labels, "multi-label": divergences.marks, "regression": divergences.values}
        return kinds[target.kind]

    def scores(self, outputs: Sequence[np.ndarray], examples: Examples, target: Target, request: Request) -> np.ndarray:
        """Values (N,), or probabilities (N, O); beside them what is shown instead, where that is asked for (N, 2O)."""
        from tunesmith.decisions import chances

        return chances.of_rows(outputs, examples.rows, target, request.activation, votes=request.windows == "vote")

    def predictions(self, scored: Scored, target: Target) -> Predictions:
        from tunesmith.decisions import answers
        from tunesmith.metrics import Predictions

        scores = _probable(scored, target)
        predicted = scores if target.kind == "regression" else answers.decided(scores, target)
        kind: Any = target.kind
        truth = self.targets(scored.rows, target)
        return Predictions(kind, target.labels, truth, scores, predicted, decision=target.decision, **scored.context())

    def asked(self, target: Target, request: Request) -> Target:
        from tunesmith.decisions import answers

        return answers.asked(target, request.threshold)

    def answers(self, scored: Scored, target: Target, request: Request) -> list[dict[str, Any]]:
        if target.kind == "regression":
            return [{"value": float(score)} for score in scored.scores]
        from tunesmith.decisions import answers

        target, chances = self.asked(target, request), _probable(scored, target)
        shown = scored.table[:, len(target.labels) :] if request.activation != "auto" else None
        if target.kind == "multi-class":
            return answers.told(chances, target, request.top_k, shown=shown)
        return answers.told_many(chances, target, request.top_k, shown)

    def idle(self, scored: Scored, target: Target, request: Request, reading: Model) -> Iterator[str]:
        number = target.kind == "regression"
        reasons = [
            (number, ("threshold", "activation", "top_k", "windows"), "the answer is a number"),
            requested.no_windows(reading, "windows"),
        ]
        yield from requested.idle(request, reasons)
        if not number and request.top_k > len(target.labels):
            yield f"top_k is {request.top_k}, but there are only {len(target.labels)} labels"

    def choose(self, target: Target, *, paired: bool, sentence_encoder: bool) -> dict[str, Any]:
        apart = paired and sentence_encoder and target.kind == "regression"
        pairs = self.options.pairs if self.options.pairs != "auto" else "separate" if apart else "joint"
        return {"kind": target.kind, "pairs": pairs, **decisions.chosen(self._options(target.kind), target.kind)}

    def tune(self, scored: Scored, target: Target) -> Target:
        from tunesmith.decisions import chances, tuning

        if target.kind == "regression":
            return target
        options, found = self._options(target.kind), _probable(scored, target)
        if chances.are_votes(found, scored.examples.rows):
            options = options.but(calibrate="none")
        return tuning.tuned(target, found, self.targets(scored.rows, target), options)

    def resample(self, examples: Examples, target: Target, seed: int) -> np.ndarray:
        import numpy as np

        if self.options.resample == "none" or target.kind != "multi-class":
            return super().resample(examples, target, seed)
        targets = np.asarray(examples.targets)
        counts = np.bincount(targets, minlength=len(target.labels))
        chances = 1.0 / counts[targets]
        return np.random.default_rng(seed).choice(len(targets), size=len(targets), p=chances / chances.sum())

    def _label(self, cell: Any, separator: str | None) -> list[str]:
        """One cell as label names: none or several only where that may be."""
        single = self.options.kind in ("multi-class", "regression")
        many = self.options.kind == "multi-label" or separator is not None or isinstance(cell, (list, tuple))
        names = label_names.names_of(cell, separator)
        if not names and (single or not many):
            raise RowError("label", "is missing")
        if single and len(names) > 1:
            raise RowError("label", f"holds several labels, and task.kind is {self.options.kind}")
        if self.options.kind == "regression" and label_names.number_of(names[0]) is None:
            raise RowError("label", "is not a number, and task.kind is regression")
        return names

    def _check(self, kind: str, labels: Sequence[str]) -> None:
        """Refuse options that would have no effect on this kind of target."""
        weights, problems = self.options.class_weights, []
        idle = {"multi-class": (), "multi-label": _IDLE[:2], "regression": _IDLE}[kind]
        for name, default in idle:
            if getattr(self.options, name) != default:
                message = f"{getattr(self.options, name)!r} has no effect on a {kind} target"
                problems.append(Problem(message, f"task.{name}", f"legal here: {default}"))
        for name in weights if isinstance(weights, dict) and kind != "regression" else ():
            if name not in labels:
                problems.append(Problem(f"no label '{name}'", "task.class_weights", did_you_mean(name, labels)))
        problems += decisions.problems(self.options, kind, labels)
        if kind == "multi-label" and not self.options.tune_thresholds and self.options.decide_by.startswith("f1"):
            message = f"has no effect with task.decide_by {self.options.decide_by}"
            problems.append(Problem(message, "task.tune_thresholds", "legal there: true"))
        if problems:
            raise UsageError("the task's options do not fit the data", problems=problems)

    def _options(self, kind: str) -> Params:
        """The options, thresholds being tuned or not as the older of the two parameters has it where the newer is open."""
        untuned = kind == "multi-label" and not self.options.tune_thresholds and not self.options.costs
        if untuned and self.options.decide_by == "auto":
            return self.options.but(decide_by="probability")
        return self.options

    def _weights(self, target: Target) -> Tensor | None:
        import torch

        if self.options.class_weights == "none":
            return None
        if self.options.class_weights == "balanced":
            counts = torch.tensor(target.counts, dtype=torch.float32)
            return counts.sum() / (len(counts) * counts.clamp_min(1))
        return torch.tensor([self.options.class_weights.get(label, 1.0) for label in target.labels])


def _texts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": text_of(row, "text"), "text_pair": text_of(row, "text_pair") if "text_pair" in row else None}


def _scaled(loss: RowLoss, target: Target) -> RowLoss:
    mean, deviation = target.scale
    return lambda outputs, targets: loss(outputs, ((targets - mean) / deviation).float())


def _probable(scored: Scored, target: Target) -> np.ndarray:
    """The probabilities (N, O) among the scores, or the values (N,)."""
    return scored.table if target.kind == "regression" else scored.table[:, : len(target.labels)]
