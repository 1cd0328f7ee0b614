"""What the tasks that write have in common: their text is learned by its likelihood and answered by generation.

``Written`` is what a row gets; ``text_to_text`` has what those tasks share that turn one text into another.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from tunesmith import params, requested
from tunesmith.errors import ContextError, DataError, Problem, UsageError
from tunesmith.params import param
from tunesmith.sources import scratch
from tunesmith.tasks import base
from tunesmith.tasks.base import Reader, Scored, Target

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tunesmith.config import Model
    from tunesmith.data.examples import Examples
    from tunesmith.data.written import Reading
    from tunesmith.generation.facts import Facts
    from tunesmith.heads import Head, RowLoss
    from tunesmith.metrics import Counted
    from tunesmith.networks.generators import Generator
    from tunesmith.networks.language_model import LanguageModel
    from tunesmith.text.encode import Encoded

_LARGEST_LOSS = 700.0
_GOLDEN_TOKENS = 5
_MEASURED_LENGTHS = 256
_START_TOKENS = 2
"""Most tokens that an encoder-decoder's answer begins with: a start and a language."""


class WritingParams(params.Params):
    """Options of every task that writes; each adds ``report_rows``, the most rows that are answered for the report."""

    base_rows: int = param(
        5,
        "Of the rows answered for the report, how many the base model answers too, as it was, for the report to show side by side.",
        ge=0,
    )


class GeneratingTask(base.Task):
    """A task whose answers are texts."""

    default_base: ClassVar[str] = "SmolLM2-135M-Instruct"
    can_hold_out = False
    writes = True
    kind: ClassVar[str]
    """Of the predictions: ``texts-translation``, ``texts-summary`` or ``texts-chat``."""

    answer: ClassVar[str]
    """What the text written is called in an answer."""

    @classmethod
    def adapter_for(cls, base: str | None) -> str:
        """LoRA for decoders; every weight of an encoder-decoder, which is small, and of a model made from nothing."""
        return "full" if scratch.is_scratch(base) or _has_encoder(base) else "lora"

    def base_folder(self, reference: str, rows: pa.Table, folder: Path) -> Path:
        """A model from nothing has a tokenizer of the rows' texts."""
        if not scratch.is_scratch(reference):
            return super().base_folder(reference, rows, folder)
        return scratch.build(reference, self.texts(rows), folder)

    @abstractmethod
    def texts(self, rows: pa.Table) -> Iterator[str]:
        """Everything in some rows that is read or written."""

    @abstractmethod
    def readings(self, rows: pa.Table, tokenizer: Any, reading: Model, *, truth: bool) -> Iterator[Reading]:
        """Each row as tokens, with the text to be written or, without truth, up to where it begins."""

    @abstractmethod
    def references(self, rows: pa.Table) -> list[list[str]]:
        """Texts of which one would have been right, of each row."""

    def learn(self, rows: pa.Table) -> Target:
        return Target(self.kind)

    def strata(self, rows: pa.Table) -> Sequence[Sequence[str]]:
        return [[] for _ in range(len(rows))]

    def metric(self, target: Target) -> str:
        return "perplexity"

    def encode(
        self, rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None = None
    ) -> Examples:
        """Tokens; ``tokenizer`` is one that ``load_tokenizer`` gave."""
        from tunesmith.data.written import WrittenExamples

        readings = self.readings(rows, tokenizer, reading, truth=target is not None)
        encoded = self.written(readings, rows, tokenizer, reading, folder)
        return WrittenExamples(
            encoded, tokenizer.pad_token_id, decoder=tokenizer.is_decoder, start=tokenizer.writes_after
        )

    def written(
        self, readings: Iterator[Reading], rows: pa.Table, tokenizer: Any, reading: Model, folder: Path
    ) -> Encoded:
        """The readings of some rows in a file."""
        from tunesmith.data import written

        assert reading.max_length is not None
        return written.write(
            _located(readings, rows),
            folder / "written.arrow",
            max_length=reading.max_length,
            unknown_id=tokenizer.unk_token_id if tokenizer.unk_token_id != tokenizer.eos_token_id else None,
        )

    def load_base(self, path: Path, **options: Any) -> Generator:
        """The decoder or encoder-decoder in a folder."""
        from tunesmith.networks import generators

        return generators.load(path, **options)

    def load_tokenizer(self, path: Path, base: Path) -> Any:
        """The tokenizer in a folder, with what it must know of the base model."""
        from tunesmith.networks import generators

        return generators.load_tokenizer(path, base)

    def network(  # type: ignore[override]
        self, backbone: Generator, target: Target, reading: Model, *, depth: int = 0, label_smoothing: float = 0.0
    ) -> LanguageModel:
        """The network that trains; the model has its head within.

        Raises:
            UsageError: the adapter leaves nothing to train.
        """
        from tunesmith.networks.language_model import LanguageModel

        if depth == backbone.depth:
            hint = "take adapter.name full, lora or freeze, with fewer train_layers than there are"
            raise UsageError("a model that writes has no head of its own to train alone", hint=hint)
        return LanguageModel(backbone, label_smoothing=label_smoothing)

    def head(self, width: int, target: Target, *, pooling: str, dropout: float) -> Head:
        raise NotImplementedError("a model that writes has its head within; see network()")

    def loss(self, target: Target, *, label_smoothing: float = 0.0) -> RowLoss:
        """The summed loss of each sequence; smoothing is the network's, which alone sees the vocabulary."""
        return lambda outputs, targets: outputs[:, 0]

    def validation_scores(
        self, outputs: Sequence[np.ndarray], rows: pa.Table, examples: Examples, target: Target, request: Any
    ) -> dict[str, float]:
        """``loss`` (nats a token) and ``perplexity`` of the true texts; lower is better."""
        import numpy as np

        total, tokens = np.sum(np.asarray(outputs, np.float64), axis=0)
        loss = float(total / max(tokens, 1.0))
        return {"loss": loss, "perplexity": float(np.exp(min(loss, _LARGEST_LOSS)))}

    def scores(
        self, outputs: Sequence[np.ndarray], examples: Examples, target: Target, request: Any
    ) -> Sequence[np.ndarray]:
        """Loss a token of each row's text, (1,); it says how likely the model finds the truth, not what it would write."""
        import numpy as np

        sums = np.zeros((examples.row_count, 2))
        np.add.at(sums, examples.rows, np.asarray(outputs, np.float64).reshape(-1, 2))
        return list((sums[:, 0] / np.maximum(sums[:, 1], 1.0))[:, None])

    def point(self, backbone: Generator, tokenizer: Any) -> None:
        """Set what the model must know before it writes, such as the language; also where a bundle is opened."""
        return

    def read(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> Scored:
        """The rows with what the model writes for them, ``Written``."""
        examples: Any = self.encode(rows, reader.tokenizer, requested.reading(reader.reading, request), folder)
        return self.told(rows, examples, self._generate(reader, examples.prompts(), request, examples.rows.tolist()))

    def told(self, rows: pa.Table, examples: Any, found: Sequence[Sequence[Any]]) -> Scored:
        """The rows with what was written for each of their prompts."""
        parts: list[list[tuple[Any, ...]]] = [[] for _ in range(len(rows))]
        for row, choices in zip(examples.rows.tolist(), found, strict=True):
            parts[row].append(tuple(choices))
        written: list[Any] = [Written(tuple(own)) for own in parts]
        return Scored(rows, examples, written, self.inputs)

    def judge(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> Counted:
        """What the model writes beside the truth, for ``report_rows`` of the rows, and how likely it finds the truth."""
        import numpy as np

        some = self.answered(len(rows))
        chosen = np.arange(len(rows)) if self.keeps_unanswered else some
        rows, places = rows.take(chosen), np.flatnonzero(np.isin(chosen, some))
        examples = self.encode(rows, reader.tokenizer, reader.reading, folder / "truth", reader.target)
        sums = np.zeros((len(rows), 2))
        np.add.at(sums, examples.rows, np.asarray(reader.engine.sequences(examples), np.float64))
        answered = self.read(reader, rows.take(places), request, folder).scores
        parts = {int(place): one.parts for place, one in zip(places, answered, strict=True)}
        written: list[Any] = [
            Written(parts.get(row, ()), float(nll), int(tokens)) for row, (nll, tokens) in enumerate(sums)
        ]
        return self.predictions(Scored(rows, examples, written, self.inputs), reader.target)

    def answered(self, rows: int) -> np.ndarray:
        """Numbers of the rows for which something is written, evenly spread."""
        import numpy as np

        return np.linspace(0, rows - 1, min(rows, self.options.report_rows or rows)).astype(int)

    def also_untuned(self, rows: int, base: str | None) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        some = self.answered(rows)
        few = 0 if scratch.is_scratch(base) else min(len(some), self.options.base_rows)
        places = np.linspace(0, len(some) - 1, few).astype(int)
        return some[places], some[places] if self.keeps_unanswered else places

    def answering_s(self, reader: Reader, rows: pa.Table, request: Any, folder: Path, *, count: int) -> float:
        """By the time to each token, and the length of the true texts; the base model may go on to ``max_tokens``."""
        import numpy as np

        from tunesmith.generation.request import GenerationRequest
        from tunesmith.writing import pace

        few = rows.slice(0, pace.ROWS)
        prompts = cast(Any, self.encode(few, reader.tokenizer, reader.reading, folder)).prompts()
        asked = GenerationRequest(num_beams=request.num_beams, ignore_eos=True, seed=0)
        measured = pace.measure(
            lambda tokens: self._generate(reader, prompts, asked.model_copy(update={"max_tokens": tokens})), len(few)
        )
        truth = reader.tokenizer([texts[0] for texts in self.references(rows.slice(0, _MEASURED_LENGTHS))])
        usual = 1 + float(np.mean([len(ids) for ids in truth["input_ids"]]))
        most = float(request.max_tokens or 2 * usual)
        base_model = min(self.options.base_rows, len(self.answered(count)))
        own = measured.seconds(len(self.answered(count)), min(usual, most) * max(1, request.n))
        return own + measured.seconds(base_model, most)

    def golden(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> list[Any]:
        """Probabilities of the likeliest first tokens of each row's answer."""
        import math

        from tunesmith.generation.request import GenerationRequest

        examples: Any = self.encode(rows, reader.tokenizer, reader.reading, folder)
        first = dict(zip(examples.rows[::-1].tolist(), examples.prompts()[::-1], strict=True))
        asked = GenerationRequest(max_tokens=1, logprobs=True, top_logprobs=_GOLDEN_TOKENS, ignore_eos=True, seed=0)
        found = self._generate(reader, [first[row] for row in range(len(rows))], asked)
        return [[math.exp(logprob) for _, logprob in choices[0].logprobs[0].top] for choices in found]

    def _generate(
        self, reader: Reader, prompts: list[list[int]], request: Any, rows: Sequence[int] = ()
    ) -> list[list[Any]]:
        engine: Any = reader.engine
        asked = self.asked_of(reader, prompts, request, rows)
        found: list[list[Any]] = engine.generate(prompts, asked, reader.tokenizer)
        return found

    def asked_of(self, reader: Reader, prompts: list[list[int]], request: Any, rows: Sequence[int] = ()) -> list[Any]:
        """What is asked for each prompt, of a model that is told what it must know; the rows of prompts are named in errors."""
        engine: Any = reader.engine
        if engine.network is not None:
            self.point(engine.network.backbone, reader.tokenizer)
        facts = engine.facts
        _check_room(prompts, rows or range(len(prompts)), facts, request)
        used = [_START_TOKENS if facts.has_encoder else len(prompt) for prompt in prompts]
        return [_within(request, tokens, facts.context) for tokens in used]

    def predictions(self, scored: Scored, target: Target) -> Counted:
        """``scored.scores`` are ``Written``."""
        given: Any = scored.scores
        return self.count(self.references(scored.rows), given, self.context(scored))

    @abstractmethod
    def count(self, references: list[list[str]], found: list[Written], context: dict[str, Any]) -> Counted:
        """What was written beside what would have been right."""

    keeps_unanswered: ClassVar[bool] = False
    """Whether test rows count for which nothing is written, by the likelihood of their truth alone."""

    def context(self, scored: Scored) -> dict[str, Any]:
        """``texts``, ``lengths`` and ``sources`` of the rows."""
        return scored.context()

    def answers(self, scored: Scored, target: Target, request: Any) -> list[dict[str, Any]]:
        """``scored.scores`` are ``Written``."""
        from tunesmith.writing import shown

        given: Any = scored.scores
        return [shown.answer(one, self.answer, request) for one in given]

    def stream(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> Iterator[Any]:
        """A row's text as it is written (see ``streaming.pieces``), and at last the row as ``read`` gives it.

        Raises:
            UsageError: the engine gives whole answers only.
        """
        from tunesmith.engines.base import engine_name
        from tunesmith.writing import streaming

        engine: Any = reader.engine
        name = engine_name(type(engine))
        if engine.network is None:
            raise UsageError(f"the engine {name} does not stream answers", hint="take the engine pytorch")
        examples: Any = self.encode(rows, reader.tokenizer, requested.reading(reader.reading, request), folder)
        prompts = examples.prompts()
        each = self.asked_of(reader, prompts, request)
        model = engine.network.eval().backbone.model
        parts = yield from streaming.pieces(model, reader.tokenizer, prompts, each, name)
        yield self.told(rows, examples, parts)

    def idle(self, scored: Scored, target: Target, request: Any, reading: Model) -> Iterator[str]:
        """What generation itself tells stands in each answer."""
        yield from requested.idle(request, [requested.no_windows(reading)])


@dataclass(frozen=True)
class Written:
    """What was written for a row.

    Args:
        parts: of each window of a long row the ``generation.Generated`` choices, best first; none where nothing was asked.
        nll: negative log-likelihood of the true text in nats, summed over its tokens.
        tokens: of the true text.
    """

    parts: tuple[tuple[Any, ...], ...]
    nll: float = 0.0
    tokens: int = 0

    @property
    def text(self) -> str:
        """The best text."""
        return self.choice(0)

    def choice(self, number: int) -> str:
        """A text, from what was written for the windows."""
        return "\n".join(choices[number].text.strip() for choices in self.parts)


def _has_encoder(base: str | None) -> bool:
    """Whether a folder on this machine holds an encoder-decoder, by what its config says."""
    try:
        described = json.loads((Path(base or "") / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(isinstance(described, dict) and described.get("is_encoder_decoder"))


def _within(request: Any, used: int, context: int | None) -> Any:
    """A request for as many tokens as the context leaves room for, where it asks for more than that.

    The limit is the most that is wanted, so fewer keep to it; an answer that it cuts tells so. Where the prompt may be
    cut instead, the limit stays.
    """
    room = None if context is None or request.truncate_prompt != "no" else context - used
    if room is None or request.max_tokens is None or not 1 <= room < request.max_tokens:
        return request
    return request.model_copy(update={"max_tokens": room, "min_tokens": min(request.min_tokens, room)})


def _check_room(prompts: Sequence[Sequence[int]], rows: Sequence[int], facts: Facts, request: Any) -> None:
    """Refuse prompts that leave no room for a token of the answer, unless they may be cut.

    Raises:
        ContextError: with the tokens of each.
    """
    context = facts.context
    if context is None or request.truncate_prompt != "no":
        return
    most = context - 1 if not facts.has_encoder and request.max_tokens != 0 else context
    long = [(row, len(prompt)) for row, prompt in zip(rows, prompts, strict=True) if len(prompt) > most]
    if long:
        problems = [
            Problem(f"has {size} tokens, and the model's context {context}", f"input {row}") for row, size in long
        ]
        hint = "shorten them, or set truncate_prompt to start or end"
        raise ContextError(
            f"{len(long)} of {len(prompts)} prompts leave no room for an answer", problems=problems, hint=hint
        )


def _located(readings: Iterator[Reading], rows: pa.Table) -> Iterator[Reading]:
    """The readings; a row that the template refuses is named by its place."""
    from tunesmith.data import store

    for row in range(len(rows)):
        try:
            yield next(readings)
        except DataError as error:
            where = store.where(rows, row) if store.SOURCE in rows.column_names else f"row {row}"
            raise DataError(error.headline.message, where=where, hint=error.headline.hint) from None
