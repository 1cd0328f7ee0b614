"""Model: the one way from texts to answers. Evaluation, studies and the server all go through it."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tunesmith import bundle as bundles
from tunesmith import engine_choice, exported, params, plugins
from tunesmith.bundle import Bundle
from tunesmith.engines.base import Engine
from tunesmith.errors import BundleError, Problem, UsageError
from tunesmith.params import Params
from tunesmith.tasks.base import Reader, RowError, Scored

if TYPE_CHECKING:
    from tunesmith.metrics import Counted, Predictions
    from tunesmith.networks.shared import Bases
    from tunesmith.tasks.base import Scores
    from tunesmith.writing.streaming import Piece

Input = str | tuple[str, ...] | list[str] | Mapping[str, Any]
"""A text, texts for the task's inputs in their order (such as a pair), or a mapping with its canonical columns."""

ENSEMBLE = "ensemble.json"
"""In a folder that holds no model but says which others answer together."""

_GOLDEN_TOLERANCE = 0.02
_INEXACT_TOLERANCE = 0.25
"""Of engines whose weights are not as they were trained: enough to tell a broken model by."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def load(folder: str | Path, engine: str | None = None, *, untuned: bool = False, bases: Bases | None = None) -> Model:
    """Open a saved model or ensemble.

    Args:
        folder: the bundle.
        engine: what computes its answers, or the address of a server that does (``http://host:8000/v1``); None: the fastest here, where ``tunesmith bench`` found it out, else PyTorch,
            else whichever finds a model of its form in the folder.
        untuned: the base model as it was before training, for comparison.
        bases: base models that are in memory for other bundles too; None: it loads its own.

    >>> answers = load("runs/reviews").answers(["fine film"], threshold=0.6)  # doctest: +SKIP
    """
    if (Path(folder) / ENSEMBLE).exists() and not untuned:
        from tunesmith import ensemble

        return ensemble.load(Path(folder), engine)
    opened = replace(bundles.open_bundle(folder), untuned=untuned, bases=bases)
    if engine is not None and engine.startswith(("http://", "https://")):
        from tunesmith.engines import remote

        return Model(opened, remote.Engine.at(engine, opened), opened.tokenizer())
    chosen = engine_choice.engine_of(opened.folder, "pytorch" if untuned and engine is None else engine)
    if chosen.place:
        exported.read(opened.folder / chosen.place)
    return Model(opened, chosen.open(opened), chosen.tokenizer(opened))


def typed(text: str, names: Sequence[str]) -> str | dict[str, Any]:
    """An input as users type it: a JSON object that holds a column of the task, such as question and context, or a text."""
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else None
    except ValueError:
        return text
    return found if isinstance(found, dict) and set(names) & found.keys() else text


def load_many(folders: Iterable[str | Path], engine: str | None = None) -> list[Model]:
    """Open several saved models; adapters of one base model have its weights in memory once."""
    from tunesmith.networks.shared import Bases

    bases = Bases()
    return [load(folder, engine, bases=bases) for folder in folders]


class Model:
    """A bundle with an engine that computes it."""

    def __init__(self, bundle: Bundle, engine: Engine, tokenizer: Any) -> None:
        self.bundle, self.task, self.target = bundle, bundle.task, bundle.target
        self.engine, self.tokenizer = engine, tokenizer
        self.reader = Reader(engine, tokenizer, bundle.config.model, bundle.target)
        self.request_class: type[Params] = plugins.module("tasks", bundle.config.task_name).Request
        self._folder = Path(tempfile.mkdtemp(prefix="tunesmith-"))
        self._readings = itertools.count()
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def answers(self, inputs: Sequence[Input], **request: Any) -> list[dict[str, Any]]:
        """Answer each input.

        Args:
            inputs: texts, pairs of texts, or mappings with the task's columns.
            request: the task's request parameters; those not given are the bundle's defaults.

        Returns:
            One mapping an input, as the task makes it; ``cut_tokens`` says how much of a long text was not read,
            ``warnings`` which parameters had no effect.

        Raises:
            UsageError: an unknown or illegal parameter, or inputs that cannot be read, all named at once.
        """
        asked = self.request(**request)
        if isinstance(inputs, str):
            raise UsageError("answers() takes a list of inputs", hint=f"write answers([{inputs[:30]!r}])")
        if not len(inputs):
            return []
        with self.reading() as folder:
            return self.told(self.read(self.rows(inputs), asked, folder), asked)

    def told(self, scored: Scored, asked: Any) -> list[dict[str, Any]]:
        """What a caller sees of each row that ``read`` gave."""
        answers = self.task.answers(scored, self.target, asked)
        idle = tuple(self.task.idle(scored, self.target, asked, self.bundle.config.model))
        cuts = scored.examples.left_out.tolist()
        return [_with_notes(answer, idle, cut) for answer, cut in zip(answers, cuts, strict=True)]

    def stream(self, given: Input, **request: Any) -> Iterator[Piece | dict[str, Any]]:
        """Answer one input piece by piece, by a task that writes.

        Args:
            given: the input.
            request: the task's request parameters.

        Returns:
            New letters as they come, each a ``Piece`` with ``choice`` and ``text``, and last the answer as ``answers``
            gives it. The texts of a choice add up to its answer. Of beams and of ``best_of`` only whole answers come.

        Raises:
            UsageError: as for ``answers``, or the task writes nothing.
        """
        if not self.task.writes:
            raise UsageError(f"{self.bundle.config.task_name} writes no text, so there is none to stream")
        asked, rows = self.request(**request), self.rows([given])
        return self._stream(rows, asked)

    def _stream(self, rows: pa.Table, asked: Any) -> Iterator[Piece | dict[str, Any]]:
        with self.reading() as folder:
            for news in self.task.stream(self.reader, rows, asked, folder):
                yield from self.told(news, asked) if isinstance(news, Scored) else [news]

    @property
    def columns(self) -> dict[str, str]:
        """The columns of a file of inputs: what the task calls each, and what it was called in the training data."""
        trained_on = dict(self.bundle.config.columns)
        any_will_do = self.task.any_input_will_do
        return {role: trained_on.get(role) or role for role in self.task.inputs if any_will_do or trained_on.get(role)}

    def request(self, **given: Any) -> Any:
        """Request parameters: the bundle's defaults with what is given."""
        defaults, given = dict(self.bundle.config.request), params.by_first_name(self.request_class, given)
        origins = {name: f"request parameter {name}" for name in given}
        return params.check(self.request_class, {**defaults, **given}, origins)

    def scores(self, rows: pa.Table, request: Any = None) -> Scores:
        """Scores of canonical rows, one entry a row."""
        with self.reading() as folder:
            return self.read(rows, request or self.request(), folder).scores

    def predictions(self, rows: pa.Table) -> Predictions | Counted:
        """Scores beside the truth of canonical rows with labels."""
        with self.reading() as folder:
            return self._judge(rows, self.request(), folder)

    def read(self, rows: pa.Table, request: Any, folder: Path) -> Scored:
        """What the model gives for canonical rows, with a folder for their tokens (see ``reading``)."""
        return self.task.read(self.reader, rows, request, folder)

    def _judge(self, rows: pa.Table, request: Any, folder: Path) -> Predictions | Counted:
        """The same beside the truth."""
        return self.task.judge(self.reader, rows, request, folder)

    @contextmanager
    def reading(self) -> Iterator[Path]:
        """A place for tokens while it lasts; few tokens need none, and nothing is made there then."""
        folder = self._folder / str(next(self._readings))
        try:
            yield folder
        except FloatingPointError as error:
            raise BundleError(str(error), where=str(self.bundle.folder), hint="its weights are broken") from None
        finally:
            if folder.exists():
                shutil.rmtree(folder)

    def replay(self) -> float:
        """Largest difference between the golden answers and what this model gives now.

        Raises:
            BundleError: they differ by more than 0.02 (of a probability, or of a regression's standard deviation), or,
                by an engine whose weights are rounded, 0.25; or the golden answers are missing.
        """
        inputs, then = self._golden()
        difference = self.task.drift(then, self.golden(inputs), self.target)
        if difference > (_GOLDEN_TOLERANCE if self.engine.exact else _INEXACT_TOLERANCE):
            hint = "the weights, a library or the number format changed; retrain, or use the versions in bundle.json"
            raise BundleError(
                f"answers drifted by {difference:.3f} from those at training", where=str(self.bundle.folder), hint=hint
            )
        return difference

    def golden(self, inputs: Sequence[Input]) -> list[Any]:
        """What is kept of some inputs' scores, to tell later whether a model still gives the same."""
        with self.reading() as folder:
            return self.task.golden(self.reader, self.rows(inputs), self.request(), folder)

    def golden_inputs(self) -> list[Input]:
        """The inputs of the golden answers."""
        return self._golden()[0]

    def _golden(self) -> tuple[list[Input], list[Any]]:
        """The golden inputs and their scores at training, or at the export."""
        file = self.bundle.folder / self.engine.place / "golden.jsonl"
        try:
            golden = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            return [row["input"] for row in golden], [row["scores"] for row in golden]
        except OSError as error:
            raise BundleError(f"the golden answers cannot be read: {error.strerror}", where=str(file)) from None
        except (ValueError, KeyError, TypeError):
            raise BundleError("the golden answers are damaged", where=str(file)) from None

    def _row(self, given: dict[str, Any]) -> dict[str, Any]:
        """A canonical row."""
        row = self.task.read_input(given)
        for name, value in row.items():
            if isinstance(value, str) and not value.isascii() and _LONE_SURROGATE.search(value):
                raise RowError(name, "holds half of a character (a lone surrogate)")
        self.task.check_input(row, dict(self.bundle.config.columns))
        return row

    def rows(self, inputs: Sequence[Input]) -> pa.Table:
        """Canonical rows.

        Raises:
            UsageError: inputs cannot be read, all named at once.
        """
        rows, problems = [], []
        for number, given in enumerate(inputs):
            try:
                rows.append(self._row(by_column(given, self.task.inputs)))
            except RowError as error:
                problems.append(Problem(f"{error.column} {error}", f"input {number}"))
        if problems:
            raise UsageError(f"{len(problems)} of {len(inputs)} inputs cannot be read", problems=problems)
        return pa.Table.from_pylist(rows, schema=self.task.schema())


def _with_notes(answer: dict[str, Any], idle: Sequence[str], cut: int) -> dict[str, Any]:
    """An answer with what is to be said of it beside."""
    warnings = [*answer.get("warnings", ()), *idle]
    return {**answer, **({"cut_tokens": cut} if cut else {}), **({"warnings": warnings} if warnings else {})}


def by_column(given: Input, names: Sequence[str]) -> dict[str, Any]:
    """An input by the names of its columns.

    Raises:
        RowError: it is neither a text, texts in the order of the columns, nor a mapping.
    """
    if isinstance(given, Mapping):
        return dict(given)
    texts = (given,) if isinstance(given, str) else given
    if isinstance(texts, (tuple, list)) and 1 <= len(texts) <= len(names):
        return dict(zip(names, texts, strict=False))
    several = f"no {len(names)} texts ({', '.join(names)}) " if len(names) > 1 else ""
    raise RowError("input", f"is no text, {several}and no mapping with columns")
