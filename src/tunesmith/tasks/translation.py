"""A text in another language, by an encoder-decoder (T5, Marian, BART, M2M ...) or a decoder that is asked for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tunesmith import params
from tunesmith.errors import UsageError, did_you_mean
from tunesmith.params import param
from tunesmith.writing.generating import Written
from tunesmith.writing.text_to_text import Request as Request
from tunesmith.writing.text_to_text import TextParams, TextToText

if TYPE_CHECKING:
    from tunesmith.metrics import Counted
    from tunesmith.networks.generators import Generator


class Columns(params.Params):
    """Which of the file's columns is which."""

    source: str | None = param(None, "The text to translate; none: guessed from the header.")
    target: str | None = param(None, "Its translation; none: guessed from the header.")
    references: str | None = param(None, "More right translations, a list of texts; they count in evaluation only.")
    group: str | None = param(None, "Rows with the same value stay on the same side of a split.")


class Params(TextParams):
    """How a translation is asked for."""

    source_language: str | None = param(
        None, "Language of the source, as the tokenizer codes it (en, eng_Latn, en_XX); none: the model knows one pair."
    )
    target_language: str | None = param(None, "Language of the target, likewise.")
    prefix: str = param(
        "", "Text put before each source for an encoder-decoder, such as 'translate English to German: '."
    )
    instruction: str = param(
        "Translate the following text.", "What a decoder is asked; {text} stands for the source, else it follows."
    )
    report_rows: int | None = param(500, "Most test rows that are translated for the report; none: all.", ge=1)
    bleu_tokenizer: Literal["13a", "zh", "char"] | None = param(
        None, "Tokenizer of BLEU (sacrebleu's names); none: by the script of the targets."
    )


class Task(TextToText):
    """Translation."""

    kind = "texts-translation"
    given, wanted, answer = "source", "target", "translation"
    inputs = ("source",)
    required = (("source", "target"),)
    options: Params

    def prepare(self, tokenizer: Any) -> None:
        for side, language in (("src_lang", self.options.source_language), ("tgt_lang", self.options.target_language)):
            if language is None:
                continue
            if not hasattr(tokenizer, side):
                if not tokenizer.is_decoder:
                    name = "source_language" if side == "src_lang" else "target_language"
                    hint = "say it in task.prefix, as the model was trained on"
                    raise UsageError("the model's tokenizer knows no languages", where=f"task.{name}", hint=hint)
                continue
            _code(tokenizer, language)
            setattr(tokenizer, side, language)

    def question(self, text: str) -> str:
        asked = super().question(text)
        for name in ("source_language", "target_language"):
            asked = asked.replace(f"{{{name}}}", getattr(self.options, name) or "")
        return asked

    def point(self, backbone: Generator, tokenizer: Any) -> None:
        """Multilingual models begin with the language, or from it where their config names no token to begin from."""
        language = self.options.target_language
        if language is None or not hasattr(tokenizer, "tgt_lang"):
            return
        settings = backbone.model.generation_config
        if tokenizer.writes_after is None:
            settings.decoder_start_token_id = _code(tokenizer, language)
        else:
            settings.forced_bos_token_id = _code(tokenizer, language)

    def count(self, references: list[list[str]], found: list[Written], context: dict[str, Any]) -> Counted:
        from tunesmith import metrics

        return metrics.translation(
            references, [one.text for one in found], tokenizer=self.options.bleu_tokenizer, **context
        )


def _code(tokenizer: Any, language: str) -> int:
    """The token that stands for a language."""
    known = getattr(tokenizer, "lang_code_to_id", None) or {
        token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens
    }
    if language not in known:
        raise UsageError(f"the model knows no language '{language}'", hint=did_you_mean(language, list(known)))
    return int(known[language])
