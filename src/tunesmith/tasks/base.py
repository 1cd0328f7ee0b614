"""What a task is: its columns, its target, its head and loss, its answers and scores.

A task file holds declarations that load without torch (``Columns``, ``Params``, ``Request``) and a class ``Task``.
The spine calls it in this order:

    read_row    a user's row becomes a canonical one            while the data is read
    learn       the training rows tell what there is to predict  -> Target
    encode      rows become tokens, and what to learn from them  -> Examples
    head, loss  the network's last part, and how wrong it is     during training
    scores      outputs of sequences become scores of rows       in every prediction  -> Scored
    predictions scores beside the truth                          for evaluation and the report
    tune        what is decided after training                   on the validation rows
    answers     scores become what a caller sees                 under the request's parameters
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith import requested
from tunesmith.decisions.decision import UNDECIDED, Decision
from tunesmith.errors import UsageError
from tunesmith.text.cells import RowError as RowError
from tunesmith.text.cells import number_of as number_of
from tunesmith.text.cells import refuse_unknown as refuse_unknown
from tunesmith.text.cells import text_of as text_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tunesmith.config import Model
    from tunesmith.data.check import Finding
    from tunesmith.data.examples import Examples
    from tunesmith.engines.base import Engine
    from tunesmith.heads import Head, RowLoss
    from tunesmith.heads.divergences import Divergence
    from tunesmith.metrics import Counted, Predictions
    from tunesmith.networks.backbones import Backbone
    from tunesmith.networks.network import Network
    from tunesmith.text.encode import Encoded
    from tunesmith.text.sequence import LongText

    Scores = np.ndarray | Sequence[np.ndarray]


@dataclass(frozen=True)
class Target:
    """What the head predicts, learned from the training rows and saved in the bundle.

    Args:
        kind: form of the prediction (``multi-class``, ``multi-label``, ``regression``, ``entities`` ...).
        labels: names of what is predicted, in the order of the outputs; a regression has one.
        counts: training rows of each label.
        thresholds: probabilities from which answers hold, as the task uses them; empty: not tuned.
        decision: how outputs become probabilities, and when these are too low for an answer.
        scale: mean and standard deviation that a regression's outputs are scaled back with.
        relations: names of relations between labelled things.
        patterns: the relations met in training, each with what it was between: labels of its head and of its tail.
    """

    kind: str
    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    thresholds: tuple[float, ...] = ()
    scale: tuple[float, float] = (0.0, 1.0)
    relations: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str, str], ...] = ()
    decision: Decision = UNDECIDED

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the bundle."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Target:
        """From what ``to_json`` wrote."""
        plain: dict[str, Any] = {key: _hashable(value) for key, value in values.items()}
        decision = {key: _hashable(value) for key, value in values.get("decision", {}).items()}
        return cls(**plain | {"decision": Decision(**decision)})


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Reader:
    """A model that reads rows.

    Args:
        engine: computes outputs.
        tokenizer: stands in front of it.
        reading: how texts are read.
        target: what is predicted.
    """

    engine: Engine
    tokenizer: Any
    reading: Model
    target: Target


@dataclass(frozen=True)
class Scored:
    """Canonical rows with what the network gives for them.

    Args:
        rows: the rows, with their truth where it is known.
        examples: how they were read.
        scores: of each row, as the task makes them.
        inputs: the columns that a caller gives.
    """

    rows: pa.Table
    examples: Examples
    scores: Scores
    inputs: tuple[str, ...]

    @property
    def table(self) -> np.ndarray:
        """The scores in one array, where each row has as many."""
        import numpy as np

        return np.asarray(self.scores)

    def context(self) -> dict[str, Any]:
        """``texts``, ``lengths`` (tokens) and ``sources`` (``file:line``) of the rows, for predictions."""
        from tunesmith.data import store

        texts = shown_texts(self.rows, self.inputs)
        located = store.SOURCE in self.rows.column_names
        places = [store.where(self.rows, row) for row in range(len(self.rows))] if located else ()
        return {"texts": texts, "lengths": self.examples.text_lengths, "sources": places}


def no_r_drop(what: str, instead: str = "") -> UsageError:
    """The error where R-Drop is asked for and cannot be had; what would allow it may be named."""
    return UsageError(f"{what} has no R-Drop", where="train.r_drop", hint=f"legal here: 0{instead}")


def shown_texts(rows: pa.Table, inputs: Sequence[str]) -> list[str]:
    """What each row asks, as one text for people."""
    columns = [rows[name].to_pylist() for name in inputs if name in rows.column_names]
    return [" ⟷ ".join(str(part) for part in parts if part) for parts in zip(*columns, strict=True)]


class Task(ABC):
    """A kind of thing to learn. ``options`` are the ``Params`` that its file declares beside it."""

    default_base: ClassVar[str] = "all-MiniLM-L6-v2"

    inputs: ClassVar[tuple[str, ...]] = ("text",)
    """The canonical columns that a caller gives."""

    any_input_will_do: ClassVar[bool] = False
    """Whether a row may have other inputs than the rows of training, as long as it has one."""

    required: ClassVar[tuple[tuple[str, ...], ...]]
    """Sets of columns of which one must be found in labelled data."""

    can_hold_out: ClassVar[bool] = True
    """Whether rows are scored by what the network gives for them alone, so that folds of them can be."""
    averages: ClassVar[bool] = False
    """Whether the mean of several models' scores of a row is a score, so that they can answer together."""

    writes: ClassVar[bool] = False
    """Whether answers are texts that come token by token, so that they can be streamed."""

    long_text: ClassVar[LongText] = "keep-ends"
    """What becomes of a text over the model's length when the user does not say."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @classmethod
    def adapter_for(cls, base: str | None) -> str:
        """The adapter that is taken when the user names none; ``base`` is the base model as named, None: the task's own."""
        return "full"

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Arrow types of a canonical row."""

    @abstractmethod
    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        """Turn a row whose keys are already canonical into a canonical row.

        Raises:
            RowError: a value is missing or of the wrong kind.
        """

    @abstractmethod
    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Turn what a caller wants answered into a canonical row without its label.

        Raises:
            RowError: a value is missing, unknown or of the wrong kind.
        """

    def check_input(self, row: Mapping[str, Any], columns: Mapping[str, str | None]) -> None:
        """Refuse an input that is not like the rows of training, whose columns are given.

        Raises:
            RowError: what is missing or too much.
        """
        return

    @abstractmethod
    def learn(self, rows: pa.Table) -> Target:
        """Find out from the training rows what there is to predict."""

    @abstractmethod
    def encode(
        self, rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None = None
    ) -> Examples:
        """Tokenise canonical rows into files in a folder; with a target, with what is to be learned from them."""

    def values(self, rows: pa.Table) -> np.ndarray:
        """The number of each row, where the target is a regression."""
        raise NotImplementedError(f"{type(self).__module__} has no regression")

    @abstractmethod
    def strata(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        """Names of each row that a split keeps in proportion."""

    def labelled(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        """What each row is labelled, for people."""
        return self.strata(rows)

    def strata_are_labels(self, rows: pa.Table) -> bool:
        """Whether the strata of labelled rows are their labels, which the data check then looks through."""
        return False

    def fits_head(self, target: Target) -> bool:
        """Whether a warm start leaves no part of the head at random; one that does learns faster than the base model."""
        return True

    @abstractmethod
    def metric(self, target: Target) -> str:
        """The validation metric that chooses the best weights."""

    def base_folder(self, reference: str, rows: pa.Table, folder: Path) -> Path:
        """Where the base model lies; one that is made from nothing is made of the training rows, in the folder."""
        from tunesmith import sources

        return sources.resolve(reference).path

    def load_base(self, path: Path, **options: Any) -> Backbone:
        """The base model in a folder; options as for `backbones.load`."""
        from tunesmith.networks import backbones

        return backbones.load(path, **options)

    def load_tokenizer(self, path: Path, base: Path) -> Any:
        """The tokenizer in a folder; the base model may lie in another one."""
        from tunesmith.text import encode as text

        return text.load_tokenizer(path)

    def network(
        self, backbone: Backbone, target: Target, reading: Model, *, depth: int = 0, label_smoothing: float = 0.0
    ) -> Network:
        """The network that trains: the base model with a fresh head, or whatever the task wants instead."""
        from tunesmith.networks.network import Network

        head = self.head(backbone.width, target, pooling=reading.pooling, dropout=reading.dropout)
        return Network(backbone, head, depth=depth)

    @abstractmethod
    def head(self, width: int, target: Target, *, pooling: str, dropout: float) -> Head:
        """A fresh head over token vectors of this width; see ``heads``."""

    @abstractmethod
    def loss(self, target: Target, *, label_smoothing: float = 0.0) -> RowLoss:
        """A function of (outputs, targets) that returns one loss a sequence."""

    def divergence(self, target: Target) -> Divergence:
        """How far two outputs of one row are apart, for R-Drop; see ``heads.divergences``.

        Raises:
            UsageError: nothing says that of this task's outputs.
        """
        raise no_r_drop(type(self).__module__.rpartition(".")[2].replace("_", "-"))

    @abstractmethod
    def scores(self, outputs: Sequence[np.ndarray], examples: Examples, target: Target, request: Any) -> Scores:
        """Raw outputs of each sequence as scores of each row; windows of a long text are taken together."""

    @abstractmethod
    def predictions(self, scored: Scored, target: Target) -> Predictions | Counted:
        """Scores beside the truth."""

    def asked(self, target: Target, request: Any) -> Target:
        """The target as a request wants it decided; evaluation and answers go by the same."""
        return target

    @abstractmethod
    def answers(self, scored: Scored, target: Target, request: Any) -> list[dict[str, Any]]:
        """What a caller sees for each row, under the request's parameters."""

    def idle(self, scored: Scored, target: Target, request: Any, reading: Model) -> Iterator[str]:
        """Sentences about the request's parameters that have no effect on these rows, for the caller to see."""
        yield from ()

    def read(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> Scored:
        """What a model gives for canonical rows; a folder holds their tokens.

        Raises:
            FloatingPointError: outputs are not finite numbers.
        """
        examples = self.encode(rows, reader.tokenizer, requested.reading(reader.reading, request), folder)
        scores = self.scores(reader.engine.sequences(examples), examples, reader.target, request)
        return Scored(rows, examples, scores, self.inputs)

    def stream(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> Iterator[Any]:
        """Of a task that writes one row's text, ``streaming.Piece`` by piece, and at last the row as ``read`` gives it."""
        raise NotImplementedError(f"{type(self).__module__} writes nothing")

    def judge(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> Predictions | Counted:
        """What a model gives for rows beside their truth."""
        return self.predictions(self.read(reader, rows, request, folder), self.asked(reader.target, request))

    def also_untuned(self, rows: int, base: str | None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the rows that the base model answers too, for the report, and of their places among the predictions.

        Args:
            rows: how many the report is about.
            base: the base model.
        """
        import numpy as np

        return np.zeros(0, np.int64), np.zeros(0, np.int64)

    def answering_s(self, reader: Reader, rows: pa.Table, request: Any, folder: Path, *, count: int) -> float:
        """Seconds that the report's answers will take beside a pass over its rows, by what a few take now.

        Args:
            reader: the model.
            rows: some that are like the report's, with their truth.
            request: parameters of the answers.
            folder: for tokens.
            count: how many rows the report is about.
        """
        return 0.0

    def golden(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> list[Any]:
        """What is kept of a few rows, as plain values, to tell later whether the model still gives the same."""
        return [score.tolist() for score in self.read(reader, rows, request, folder).scores]

    def drift(self, then: Sequence[Any], now: Sequence[Any], target: Target) -> float:
        """How far golden values have moved: the largest difference, of a probability or in units of a regression's deviation."""
        import numpy as np

        moved = (np.abs(np.subtract(a, b, dtype=np.float64)).max(initial=0) for a, b in zip(then, now, strict=True))
        return float(max(moved)) / target.scale[1]

    def validation_scores(
        self, outputs: Sequence[np.ndarray], rows: pa.Table, examples: Examples, target: Target, request: Any
    ) -> dict[str, float]:
        """Scores of the validation rows during training, by metric name."""
        from tunesmith import metrics

        scores = self.scores(outputs, examples, target, request)
        scored = Scored(rows, examples, scores, self.inputs)
        return metrics.score(self.predictions(scored, self.asked(target, request)))

    def choose(self, target: Target, *, paired: bool, sentence_encoder: bool) -> dict[str, Any]:
        """Values for the options that were left to the data and the base model."""
        return {}

    def tune(self, scored: Scored, target: Target) -> Target:
        """Choose what is decided after training, such as thresholds, on the validation rows."""
        return target

    def resample(self, examples: Examples, target: Target, seed: int) -> np.ndarray:
        """Row numbers that an epoch visits; each once unless the task draws rare labels more often."""
        import numpy as np

        return np.arange(examples.row_count)

    def findings(self, rows: pa.Table, target: Target) -> Iterable[Finding]:
        """Checks that only this task can make."""
        return ()

    def split_findings(self, split: str, rows: pa.Table, target: Target) -> Iterable[Finding]:
        """Checks of each split's rows that only this task can make."""
        return ()

    def token_findings(self, split: str, rows: pa.Table, encoded: Encoded) -> Iterable[Finding]:
        """Checks of tokenised rows that only this task can make."""
        return ()
