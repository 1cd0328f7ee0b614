"""Model: the one way from texts to answers. Evaluation, studies and the server all go through it."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tunesmith import bundle as bundles
from tunesmith import params, plugins
from tunesmith.bundle import Bundle
from tunesmith.config import Config
from tunesmith.data import batch, store
from tunesmith.data.examples import Examples
from tunesmith.engines.base import Engine
from tunesmith.errors import BundleError, Problem, UsageError
from tunesmith.tasks.base import RowError, Target, Task
from tunesmith.text import encode

if TYPE_CHECKING:
    from tunesmith.metrics import Predictions

Input = str | tuple[str, ...] | list[str] | Mapping[str, Any]
"""A text, a pair of texts, or a mapping with the task's canonical columns."""

_GOLDEN_TOLERANCE = 0.02
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def load(folder: str | Path, engine: str = "pytorch") -> Model:
    """Open a saved model.

    >>> answers = load("runs/reviews").answers(["fine film"], threshold=0.6)  # doctest: +SKIP
    """
    opened = bundles.open_bundle(folder)
    return Model(opened, plugins.load("engines", engine).open(opened), opened.tokenizer())


class Model:
    """A bundle with an engine that computes it."""

    def __init__(self, bundle: Bundle, engine: Engine, tokenizer: Any) -> None:
        self.bundle, self.task, self.target = bundle, bundle.task, bundle.target
        self._engine, self._tokenizer = engine, tokenizer

    def answers(self, inputs: Sequence[Input], **request: Any) -> list[dict[str, Any]]:
        """Answer each input.

        Args:
            inputs: texts, pairs of texts, or mappings with the task's columns.
            request: the task's request parameters; those not given are the bundle's defaults.

        Returns:
            One mapping an input, as the task makes it; ``cut_tokens`` says how much of a long text was not read.

        Raises:
            UsageError: an unknown or illegal parameter, or inputs that cannot be read, all named at once.
        """
        asked = self.request(**request)
        if isinstance(inputs, str):
            raise UsageError("answers() takes a list of inputs", hint=f"write answers([{inputs[:30]!r}])")
        if not len(inputs):
            return []
        scores, examples = self._scored(self._table(inputs), asked)
        answers = self.task.answers(scores, self.target, asked)
        return [
            {**answer, "cut_tokens": int(cut)} if cut else answer
            for answer, cut in zip(answers, examples.left_out, strict=True)
        ]

    def request(self, **given: Any) -> Any:
        """Request parameters: the bundle's defaults with what is given."""
        defaults = dict(self.bundle.config.request)
        origins = {name: f"request parameter {name}" for name in given}
        return params.check(
            plugins.module("tasks", self.bundle.config.task_name).Request, {**defaults, **given}, origins
        )

    def scores(self, rows: pa.Table, request: Any = None) -> np.ndarray:
        """Probabilities or values of canonical rows, one row each."""
        return self._scored(rows, request or self.request())[0]

    def predictions(self, rows: pa.Table) -> Predictions:
        """Scores beside the truth of canonical rows with labels."""
        scores, examples = self._scored(rows, self.request())
        return in_context(self.task, self.target, scores, rows, examples.text_lengths)

    def _scored(self, rows: pa.Table, request: Any) -> tuple[np.ndarray, Examples]:
        with tempfile.TemporaryDirectory() as folder:
            examples = encode_rows(rows, self._tokenizer, self.bundle.config, Path(folder))
            how = getattr(request, "windows", "mean")
            try:
                return row_scores(self._engine, examples, self.task, self.target, how=how), examples
            except FloatingPointError as error:
                raise BundleError(str(error), where=str(self.bundle.folder), hint="its weights are broken") from None

    def replay(self) -> float:
        """Largest difference between the golden answers and what this model gives now.

        Raises:
            BundleError: they differ by more than 0.02 (of a probability, or of a regression's standard deviation),
                or the golden answers are missing.
        """
        inputs, then = self._golden()
        difference = float(np.abs(self.scores(self._table(inputs)) - then).max()) / self.target.scale[1]
        if difference > _GOLDEN_TOLERANCE:
            hint = "the weights, a library or the number format changed; retrain, or use the versions in bundle.json"
            raise BundleError(
                f"answers drifted by {difference:.3f} from those at training", where=str(self.bundle.folder), hint=hint
            )
        return difference

    def _golden(self) -> tuple[list[Input], np.ndarray]:
        """The golden inputs and their scores at training."""
        file = self.bundle.folder / "golden.jsonl"
        try:
            golden = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            return [row["input"] for row in golden], np.array([row["scores"] for row in golden])
        except OSError as error:
            raise BundleError(f"the golden answers cannot be read: {error.strerror}", where=str(file)) from None
        except (ValueError, KeyError, TypeError):
            raise BundleError("the golden answers are damaged", where=str(file)) from None

    def _row(self, given: dict[str, Any]) -> dict[str, Any]:
        """A canonical row; a model of pairs takes pairs, one of single texts takes single texts."""
        row = self.task.read_input(given)
        for name, value in row.items():
            if isinstance(value, str) and not value.isascii() and _LONE_SURROGATE.search(value):
                raise RowError(name, "holds half of a character (a lone surrogate)")
        paired = dict(self.bundle.config.columns).get("text_pair") is not None
        if paired != (row["text_pair"] is not None):
            raise RowError(
                "text_pair",
                "is missing: the model compares two texts" if paired else "is given, and the model reads one text",
            )
        return row

    def _table(self, inputs: Sequence[Input]) -> pa.Table:
        rows, problems = [], []
        for number, given in enumerate(inputs):
            try:
                rows.append(self._row(_columns(given)))
            except RowError as error:
                problems.append(Problem(f"{error.column} {error}", f"input {number}"))
        if problems:
            raise UsageError(f"{len(problems)} of {len(inputs)} inputs cannot be read", problems=problems)
        return pa.Table.from_pylist(rows, schema=self.task.schema())


def encode_rows(
    rows: pa.Table, tokenizer: Any, config: Config, folder: Path, targets: np.ndarray | None = None
) -> Examples:
    """Tokenise canonical rows as the config says, into files in a folder.

    Texts of a pair that is read separately are encoded apart.
    """
    reading = config.model
    assert reading.max_length is not None
    options: dict[str, Any] = {
        "max_length": reading.max_length,
        "long_text": reading.long_text,
        "window_overlap": reading.window_overlap,
    }
    paired = rows["text_pair"].null_count < len(rows)
    if paired and dict(config.task).get("pairs") == "separate":
        parts = [
            encode(rows, tokenizer, folder / f"{column}.arrow", column=column, **options)
            for column in ("text", "text_pair")
        ]
    else:
        parts = [encode(rows, tokenizer, folder / "text.arrow", pair="text_pair" if paired else None, **options)]
    return Examples(parts, tokenizer.pad_token_id, targets)


def row_scores(engine: Engine, examples: Examples, task: Task, target: Target, *, how: str = "mean") -> np.ndarray:
    """Scores of each row: batched by length, and the windows of a long text taken together.

    Args:
        engine: computes the outputs.
        examples: the encoded rows.
        task: turns outputs into scores.
        target: what is predicted.
        how: ``mean`` averages the windows' scores, ``vote`` counts which label each window gives.

    Raises:
        FloatingPointError: outputs are not finite numbers.
    """
    plan = batch.SortedBatches.of(examples.lengths, micro_tokens=engine.batch_tokens)
    outputs = np.concatenate([engine.outputs(examples.collate(indices)) for indices in plan.batches])[plan.inverse]
    if not np.isfinite(outputs).all():
        raise FloatingPointError("outputs of the network were not finite")
    scores = task.scores(outputs, target)
    rows = examples.rows
    if len(rows) == rows[-1] + 1:
        return scores
    if how == "vote" and target.kind != "regression":
        scores = (
            np.eye(scores.shape[1])[scores.argmax(1)] if target.kind == "multi-class" else (scores >= 0.5).astype(float)
        )
    sums = np.zeros((rows[-1] + 1, *scores.shape[1:]))
    np.add.at(sums, rows, scores)
    counts = np.bincount(rows).reshape(-1, *[1] * (scores.ndim - 1))
    averaged: np.ndarray = sums / counts
    return averaged


def in_context(task: Task, target: Target, scores: np.ndarray, rows: pa.Table, lengths: np.ndarray) -> Predictions:
    """Scores beside the truth, with the texts, their tokens and the places that they come from."""
    located = store.SOURCE in rows.column_names
    places = [store.where(rows, row) for row in range(len(rows))] if located else ()
    truth = task.targets(rows, target)
    return task.predictions(scores, truth, target, texts=_shown(rows), lengths=lengths, sources=places)


def _shown(rows: pa.Table) -> list[str]:
    """Each row's text, or both of a pair."""
    pairs = zip(rows["text"].to_pylist(), rows["text_pair"].to_pylist(), strict=True)
    return [text if other is None else f"{text} ⟷ {other}" for text, other in pairs]


def _columns(given: Input) -> dict[str, Any]:
    if isinstance(given, str):
        return {"text": given}
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, (tuple, list)) and 1 <= len(given) <= 2:
        return dict(zip(("text", "text_pair"), given, strict=False))
    raise RowError("input", "is no text, no pair of texts and no mapping with columns")
