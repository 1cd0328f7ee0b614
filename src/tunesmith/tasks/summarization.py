"""A short text that says what a long one says, by an encoder-decoder or a decoder that is asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith import params
from tunesmith.generation.request import GenerationRequest
from tunesmith.params import Range, param
from tunesmith.writing.generating import Written
from tunesmith.writing.text_to_text import TextToText

if TYPE_CHECKING:
    from tunesmith.metrics import Counted


class Columns(params.Params):
    """Which of the file's columns is which."""

    text: str | None = param(None, "The long text; none: guessed from the header.")
    summary: str | None = param(None, "Its summary; none: guessed from the header.")
    references: str | None = param(None, "More right summaries, a list of texts; they count in evaluation only.")
    group: str | None = param(None, "Rows with the same value stay on the same side of a split.")


class Params(params.Params):
    """How a summary is asked for."""

    prefix: str = param("", "Text put before each text for an encoder-decoder, such as 'summarize: '.")
    instruction: str = param(
        "Summarize the following text in one sentence.",
        "What a decoder is asked; {text} stands for the text, else it follows.",
    )
    answer_tokens: int = param(
        96,
        "Tokens of max_length, at most half of them, that a decoder keeps free for the summary when a long text is cut.",
        ge=8,
    )
    report_rows: int | None = param(200, "Most test rows that are summarised for the report; none: all.", ge=1)
    base_rows: int = param(
        5, "Of these rows, how many the base model answers too, as it was, for the report to show side by side.", ge=0
    )


class Request(GenerationRequest):
    """What a caller may ask for with each request."""

    max_tokens: int | None = param(
        128, "Most tokens to generate; none: until the context is full.", ge=1, search=Range(16, 512, log=True)
    )


class Task(TextToText):
    """Summarization. With ``model.long_text windows`` each window of a long text is summarised for itself."""

    kind = "texts-summary"
    given, wanted, answer = "text", "summary", "summary"
    inputs = ("text",)
    required = (("text", "summary"),)
    options: Params

    def count(self, references: list[list[str]], found: list[Written], context: dict[str, Any]) -> Counted:
        from tunesmith import metrics

        return metrics.summary(references, [one.text for one in found], **context)
