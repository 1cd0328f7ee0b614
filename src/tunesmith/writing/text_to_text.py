"""What the tasks share that turn one text into another, such as translation.

An encoder-decoder reads the text, with a prefix where its training had one; a decoder is asked for the other text in a
conversation of one question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.generation.request import GenerationRequest, most_tokens
from tunesmith.params import param
from tunesmith.requested import Windowed
from tunesmith.tasks.base import RowError, refuse_unknown, text_of
from tunesmith.writing.generating import GeneratingTask, WritingParams

if TYPE_CHECKING:
    import pyarrow as pa

    from tunesmith.config import Model
    from tunesmith.data.written import Reading


class TextParams(WritingParams):
    """Options of every task that turns a text into another."""

    answer_tokens: int = param(
        96,
        "Tokens of max_length, at most half of them, that a decoder keeps free for its answer when a long text is cut.",
        ge=8,
    )


class Request(Windowed, GenerationRequest):
    """What a caller may ask for with each request."""

    max_tokens: int | None = most_tokens(128)


class TextToText(GeneratingTask):
    """A text becomes another. ``options`` has ``instruction``, ``prefix``, ``answer_tokens`` and the languages, if any."""

    given: ClassVar[str]
    wanted: ClassVar[str]

    def schema(self) -> pa.Schema:
        import pyarrow as pa

        listed = {"references": pa.list_(pa.string())}
        return pa.schema({self.given: pa.string(), self.wanted: pa.string(), **listed, "group": pa.string()})

    def read_row(self, row: Mapping[str, Any], *, label_separator: str | None = None) -> dict[str, Any]:
        return {
            self.given: text_of(row, self.given),
            self.wanted: text_of(row, self.wanted),
            "references": _references(row.get("references")),
            "group": None if row.get("group") is None else str(row["group"]),
        }

    def read_input(self, given: Mapping[str, Any]) -> dict[str, Any]:
        refuse_unknown(given, self.inputs)
        return {self.given: text_of(given, self.given), self.wanted: None, "references": None, "group": None}

    def references(self, rows: pa.Table) -> list[list[str]]:
        pairs = zip(rows[self.wanted].to_pylist(), rows["references"].to_pylist(), strict=True)
        return [list(dict.fromkeys([text, *(others or ())])) for text, others in pairs]

    def texts(self, rows: pa.Table) -> Iterator[str]:
        from tunesmith.data import store

        for _, piece in store.batches(rows):
            for name in (self.given, self.wanted):
                yield from piece[name].to_pylist()

    def readings(self, rows: pa.Table, tokenizer: Any, reading: Model, *, truth: bool) -> Iterator[Reading]:
        from tunesmith.data import store

        self.prepare(tokenizer)
        read = self._asked if tokenizer.is_decoder else self._encoded
        for _, piece in store.batches(rows):
            wanted = piece[self.wanted].to_pylist() if truth else [None] * len(piece)
            for text, answer in zip(piece[self.given].to_pylist(), wanted, strict=True):
                yield read(tokenizer, reading, text, answer)

    def prepare(self, tokenizer: Any) -> None:
        """Set the languages of a tokenizer that has some."""
        return

    def question(self, text: str) -> str:
        """What a decoder is asked."""
        asked: str = self.options.instruction
        return asked.replace("{text}", text) if "{text}" in asked else f"{asked}\n\n{text}"

    def _asked(self, tokenizer: Any, reading: Model, text: str, answer: str | None) -> Reading:
        """A row for a decoder: a question, and with truth its answer."""
        from tunesmith.data.written import Reading
        from tunesmith.text import dialogue

        assert reading.max_length is not None
        whole = len(dialogue.prompt_ids(tokenizer, [{"role": "user", "content": self.question(text)}]))
        around = len(dialogue.prompt_ids(tokenizer, [{"role": "user", "content": self.question("x")}]))
        most = reading.max_length - min(self.options.answer_tokens, reading.max_length // 2)
        pieces = [text]
        if whole > most:
            asked = reading.long_text or self.long_text
            how = "keep-ends" if answer is not None and asked == "windows" else asked
            pieces = dialogue.cut(tokenizer, text, most - around, how, reading.window_overlap)
        questions = [[{"role": "user", "content": self.question(piece)}] for piece in pieces]
        if answer is None:
            prompts = [dialogue.prompt_ids(tokenizer, question) for question in questions]
            left_out = max(0, whole - sum(map(len, prompts)))
            return Reading([(prompt, ()) for prompt in prompts], whole, left_out)
        learned = dialogue.learn(tokenizer, [*questions[0], {"role": "assistant", "content": answer}])
        learned = learned.until_last_label()
        kept = min(len(learned.ids), reading.max_length)
        read = len(dialogue.prompt_ids(tokenizer, questions[0]))
        total = len(learned.ids) - read + whole
        return Reading([(learned.ids[:kept], learned.labels[:kept])], total, max(0, total - kept))

    def _encoded(self, tokenizer: Any, reading: Model, text: str, answer: str | None) -> Reading:
        """A row for an encoder-decoder: the text with its prefix, and with truth what it becomes."""
        from tunesmith.data.written import Reading
        from tunesmith.text import dialogue

        assert reading.max_length is not None
        prefix = self.options.prefix
        sources = [tokenizer(prefix + text, verbose=False)["input_ids"]]
        whole = len(sources[0])
        if whole > reading.max_length:
            asked = reading.long_text or self.long_text
            how = "keep-ends" if answer is not None and asked == "windows" else asked
            room = reading.max_length - len(tokenizer(prefix)["input_ids"]) - 1
            pieces = dialogue.cut(tokenizer, text, room, how, reading.window_overlap)
            sources = [tokenizer(prefix + piece, verbose=False)["input_ids"] for piece in pieces]
        left_out = max(0, whole - sum(map(len, sources)))
        if answer is None:
            return Reading([(ids, ()) for ids in sources], whole, left_out)
        labels = tokenizer(text_target=answer, verbose=False)["input_ids"]
        over = max(0, len(labels) - reading.max_length)
        # Without the end token, which would teach to stop where the text was only cut.
        return Reading([(sources[0], labels[: reading.max_length])], whole + over, left_out + over)


def _references(value: Any) -> list[str] | None:
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise RowError("references", "is not a list of texts")
    return list(texts)
