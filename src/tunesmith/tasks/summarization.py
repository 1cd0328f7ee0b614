"""A short text that says what a long one says, by an encoder-decoder or a decoder that is asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tunesmith import params
from tunesmith.params import param
from tunesmith.writing.generating import Written
from tunesmith.writing.text_to_text import Request as Request
from tunesmith.writing.text_to_text import TextParams, TextToText

if TYPE_CHECKING:
    from tunesmith.metrics import Counted


class Columns(params.Params):
    """Which of the file's columns is which."""

    text: str | None = param(None, "The long text; none: guessed from the header.")
    summary: str | None = param(None, "Its summary; none: guessed from the header.")
    references: str | None = param(None, "More right summaries, a list of texts; they count in evaluation only.")
    group: str | None = param(None, "Rows with the same value stay on the same side of a split.")


class Params(TextParams):
    """How a summary is asked for."""

    prefix: str = param("", "Text put before each text for an encoder-decoder, such as 'summarize: '.")
    instruction: str = param(
        "Summarize the following text in one sentence.",
        "What a decoder is asked; {text} stands for the text, else it follows.",
    )
    report_rows: int | None = param(200, "Most test rows that are summarised for the report; none: all.", ge=1)


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
