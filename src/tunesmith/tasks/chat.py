"""Answers in a conversation of many turns, learned from the assistant's turns in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith import params
from tunesmith.errors import DataError
from tunesmith.generation.request import GenerationRequest, most_tokens
from tunesmith.params import Range, param
from tunesmith.tasks.base import Reader, RowError, Scored, Target
from tunesmith.text import conversations
from tunesmith.text.conversations import Message
from tunesmith.writing.generating import GeneratingTask, WritingParams, Written

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from tunesmith.config import Model
    from tunesmith.data.examples import Examples
    from tunesmith.data.written import Reading
    from tunesmith.metrics import Counted
    from tunesmith.networks.generators import Generator
    from tunesmith.networks.language_model import LanguageModel


class Columns(params.Params):
    """Which of the file's columns is which. A row holds its conversation in one of several forms."""

    messages: str | None = param(None, "List of {role, content} or {from, value}; none: guessed from the header.")
    system: str | None = param(None, "System message, where it stands apart.")
    instruction: str | None = param(None, "Alpaca: what is asked.")
    input: str | None = param(None, "Alpaca: what it is asked about.")
    output: str | None = param(None, "Alpaca: the answer.")
    history: str | None = param(None, "Alpaca: earlier turns, a list of [question, answer].")
    prompt: str | None = param(None, "What is asked: text, or messages.")
    completion: str | None = param(None, "The answer to the prompt.")
    chosen: str | None = param(None, "The answer preferred: text, or messages that end with it.")
    rejected: str | None = param(None, "The answer rejected, likewise.")
    group: str | None = param(None, "Rows with the same value stay on the same side of a split.")


class Params(WritingParams):
    """What is learned of a conversation."""

    loss_on: Literal["assistant", "last", "all"] = param(
        "assistant", "What is learned: the assistant's turns, its last turn, or every token."
    )
    long: Literal["split", "keep-last"] = param(
        "split",
        "A conversation over max_length: split between turns, or without its oldest turns. The system message stays.",
    )
    preferences: Literal["auto", "learn", "ignore"] = param(
        "auto",
        "Rows with chosen and rejected: learn the preference (DPO), or only the chosen answer; auto: learn it, where there are such rows.",
    )
    beta: float = param(
        0.1, "DPO: how closely the model keeps to what it was; the smaller, the further it may move.", gt=0,
        search=Range(0.01, 1.0, log=True),
    )  # fmt: skip
    system: str | None = param(None, "System message for conversations that have none; none: the template's own.")
    report_rows: int | None = param(50, "Most test rows that are answered for the report; none: all.", ge=1)


class Request(GenerationRequest):
    """What a caller may ask for with each request."""

    max_tokens: int | None = most_tokens(256)


class Task(GeneratingTask):
    """Chat."""

    kind = "texts-chat"
    answer = "answer"
    inputs = ("messages",)
    required = (
        ("messages",),
        ("instruction", "output"),
        ("prompt", "completion"),
        ("chosen", "rejected"),
    )
    keeps_unanswered = True
    options: Params

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        message = pa.struct({"role": pa.string(), "content": pa.string()})
        return pa.schema(
            {
                "messages": pa.list_(message),
                "reply": pa.string(),
                "text": pa.string(),
                "rejected": pa.string(),
                "group": pa.string(),
            }
        )

    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        rejected = None
        if row.get("chosen") is not None or row.get("rejected") is not None:
            found, rejected = conversations.preference(row)
        else:
            found = conversations.read(row)
        before, reply = conversations.last_answer(found)
        return self._row(before, reply, rejected, row.get("group"))

    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        for name in given:
            if name not in ("messages", "system"):
                raise RowError(name, "is not an input; inputs are messages and system")
        value = given.get("messages")
        if isinstance(value, str) and not value.lstrip().startswith("["):
            given = {**given, "messages": [{"role": "user", "content": value}]}
        found = conversations.read(given)
        conversations.check_answerable(found)
        return self._row(found, None, None, None)

    def _row(self, found: list[Message], reply: str | None, rejected: str | None, group: Any) -> dict[str, Any]:
        if self.options.system is not None and found[0]["role"] != "system":
            found = [{"role": "system", "content": self.options.system}, *found]
        return {
            "messages": found,
            "reply": reply,
            "text": conversations.as_text([*found, *_answer(reply)]),
            "rejected": rejected,
            "group": None if group is None else str(group),
        }

    def learn(self, rows: pa.Table) -> Target:
        """Pairs are learned where every row has one; the target's count is theirs."""
        pairs = len(rows) - rows["rejected"].null_count if rows is not None else 0
        asked = self.options.preferences
        if asked == "ignore" or (asked == "auto" and not pairs):
            return Target(self.kind)
        if pairs < len(rows):
            hint = "give every row both, or learn the chosen answers alone: --task.preferences ignore"
            raise DataError(f"{pairs:,} of {len(rows):,} rows have a rejected answer, the others none", hint=hint)
        return Target(self.kind, counts=(pairs,))

    def choose(self, target: Target, *, paired: bool, sentence_encoder: bool) -> dict[str, Any]:
        return {"preferences": "learn" if target.counts else "ignore"}

    def metric(self, target: Target) -> str:
        return "loss" if target.counts else super().metric(target)

    def network(  # type: ignore[override]
        self, backbone: Generator, target: Target, reading: Model, *, depth: int = 0, label_smoothing: float = 0.0
    ) -> LanguageModel:
        plain = super().network(backbone, target, reading, depth=depth, label_smoothing=label_smoothing)
        if not target.counts:
            return plain
        from tunesmith.networks.preferences import PreferenceModel

        return PreferenceModel(backbone, beta=self.options.beta, label_smoothing=label_smoothing)

    def encode(
        self, rows: pa.Table, tokenizer: Any, reading: Model, folder: Path, target: Target | None = None
    ) -> Examples:
        if target is None or not target.counts:
            return super().encode(rows, tokenizer, reading, folder, target)
        from tunesmith.networks.preferences import PreferenceExamples

        encoded = self.written(self._pairs(rows, tokenizer, reading), rows, tokenizer, reading, folder)
        return PreferenceExamples(
            encoded, tokenizer.pad_token_id, decoder=tokenizer.is_decoder, start=tokenizer.writes_after
        )

    def judge(self, reader: Reader, rows: pa.Table, request: Any, folder: Path) -> Counted:
        """Also a model of preferences is judged by its answers, and by the likelihood of the chosen ones."""
        return super().judge(replace(reader, target=replace(reader.target, counts=())), rows, request, folder)

    def validation_scores(
        self, outputs: Sequence[np.ndarray], rows: pa.Table, examples: Examples, target: Target, request: Any
    ) -> dict[str, float]:
        if not target.counts:
            return super().validation_scores(outputs, rows, examples, target, request)
        from tunesmith.networks import preferences

        return preferences.validation_scores(outputs)

    def scores(
        self, outputs: Sequence[np.ndarray], examples: Examples, target: Target, request: Any
    ) -> Sequence[np.ndarray]:
        """Of a pair its loss."""
        if not target.counts:
            return super().scores(outputs, examples, target, request)
        return [row[:1] for row in outputs]

    def _pairs(self, rows: pa.Table, tokenizer: Any, reading: Model) -> Iterator[Reading]:
        """Of each row the conversation with its chosen answer, then with its rejected one."""
        from tunesmith.data import store
        from tunesmith.data.written import Reading

        for _, piece in store.batches(rows):
            for row in piece.select(["messages", "reply", "rejected"]).to_pylist():
                two = [
                    self._one([*row["messages"], *_answer(row[name])], tokenizer, reading)
                    for name in ("reply", "rejected")
                ]
                sequences = [one.sequences[0] for one in two]
                yield Reading(sequences, sum(one.length for one in two), sum(one.left_out for one in two))

    def _one(self, found: list[Message], tokenizer: Any, reading: Model) -> Reading:
        """A conversation as one sequence, of which the last answer is learned."""
        last = Task(self.options.but(loss_on="last", long="keep-last"))
        read = last._of_decoder if tokenizer.is_decoder else last._of_encoder_decoder
        one = read(tokenizer, reading, found, True)
        if not one.sequences:
            hint = "raise model.max_length"
            raise DataError(f"no token of the answer fits in {reading.max_length} tokens", hint=hint)
        return one

    def texts(self, rows: pa.Table) -> Iterator[str]:
        from tunesmith.data import store

        for _, piece in store.batches(rows):
            yield from piece["text"].to_pylist()

    def references(self, rows: pa.Table) -> list[list[str]]:
        return [[reply] for reply in rows["reply"].to_pylist()]

    def readings(self, rows: pa.Table, tokenizer: Any, reading: Model, *, truth: bool) -> Iterator[Reading]:
        from tunesmith.data import store

        read = self._of_decoder if tokenizer.is_decoder else self._of_encoder_decoder
        for _, piece in store.batches(rows):
            for row in piece.select(["messages", "reply"]).to_pylist():
                yield read(tokenizer, reading, [*row["messages"], *(_answer(row["reply"]) if truth else ())], truth)

    def _of_decoder(self, tokenizer: Any, reading: Model, found: list[Message], truth: bool) -> Reading:
        from tunesmith.data.written import Reading
        from tunesmith.text import dialogue

        if not truth:
            ids = dialogue.prompt_ids(tokenizer, found)
            return Reading([(ids, ())], len(ids))
        assert reading.max_length is not None
        learned, length, left_out = dialogue.sequences(
            tokenizer,
            found,
            max_length=reading.max_length,
            loss_on=self.options.loss_on,
            long=self.options.long,
            long_text=reading.long_text or "keep-ends",
        )
        return Reading([(one.ids, one.labels) for one in learned], length, left_out)

    def _of_encoder_decoder(self, tokenizer: Any, reading: Model, found: list[Message], truth: bool) -> Reading:
        """The conversation so far is read, the answer written: one sequence for each answer that is learned."""
        from tunesmith.data.written import Reading
        from tunesmith.text import dialogue

        assert reading.max_length is not None
        answers = [number for number, message in enumerate(found) if message["role"] == "assistant" and number]
        ends = [len(found)] if not truth else answers[-1:] if self.options.loss_on == "last" else answers
        sequences, length, left_out = [], 0, 0
        for end in ends:
            before = conversations.as_text(found[:end])
            whole = len(tokenizer(before, verbose=False)["input_ids"])
            room = reading.max_length - len(tokenizer("")["input_ids"]) - 1
            text = before if whole <= reading.max_length else dialogue.cut(tokenizer, before, room, "keep-end")[0]
            ids = tokenizer(text, verbose=False)["input_ids"]
            labels = tokenizer(text_target=found[end]["content"], verbose=False)["input_ids"] if truth else []
            kept = labels[: reading.max_length]
            sequences.append((ids, kept))
            length += whole + len(labels)
            left_out += max(0, whole - len(ids)) + len(labels) - len(kept)
        return Reading(sequences, length, left_out)

    def context(self, scored: Scored) -> dict[str, Any]:
        asked = [conversations.as_text(found) for found in scored.rows["messages"].to_pylist()]
        return {**scored.context(), "texts": asked}

    def count(self, references: list[list[str]], found: list[Written], context: dict[str, Any]) -> Counted:
        from tunesmith import metrics

        answers = [one.text if one.parts else None for one in found]
        nll, tokens = [one.nll for one in found], [one.tokens for one in found]
        return metrics.chat(references, answers, nll=nll, tokens=tokens, **context)


def _answer(reply: str | None) -> list[Message]:
    return [] if reply is None else [{"role": "assistant", "content": reply}]
