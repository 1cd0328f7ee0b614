"""A conversation becomes tokens by the model's own chat template, with the tokens marked that are to be learned.

The ids are those of ``tokenizer.apply_chat_template``. Which of them an answer is made of, the template says where it
can (``{% generation %}``); else it is the text by which the rendered conversation grows with the answer, from where the
template would have the model begin to write to the token that ends the turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.errors import DataError, UsageError
from tunesmith.outputs import IGNORED
from tunesmith.text.sequence import LongText

LossOn = Literal["assistant", "last", "all"]
_GAP = " … "
_LEAST_TOKENS = 8


@dataclass(frozen=True)
class Learned:
    """One sequence of tokens.

    Args:
        ids: token ids.
        labels: the same ids where they are to be learned, ``heads.IGNORED`` elsewhere.
    """

    ids: list[int]
    labels: list[int]

    def until_last_label(self) -> Learned:
        """Without the tokens after the last one to be learned, on which nothing depends."""
        end = next((at for at in range(len(self.ids), 0, -1) if self.labels[at - 1] != IGNORED), 0)
        return Learned(self.ids[:end], self.labels[:end])


def render(tokenizer: Any, messages: Sequence[dict[str, str]], *, prompt: bool = False) -> str:
    """The conversation as the template writes it; with ``prompt``, up to where the assistant begins.

    Raises:
        DataError: the template refuses the conversation.
    """
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt)
    except TemplateError as error:
        raise DataError(f"the model's chat template refuses the conversation: {error}") from None
    return text


def prompt_ids(tokenizer: Any, messages: Sequence[dict[str, str]]) -> list[int]:
    """Tokens after which the assistant's next answer is to be written."""
    return _tokens(tokenizer, render(tokenizer, messages, prompt=True))


def learn(tokenizer: Any, messages: Sequence[dict[str, str]], loss_on: LossOn = "assistant") -> Learned:
    """The whole conversation.

    Raises:
        DataError: the template refuses it, or rewrites an answer so that its tokens cannot be told.
    """
    text = render(tokenizer, messages)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = list(encoded["input_ids"])
    if loss_on == "all":
        return Learned(ids, [IGNORED, *ids[1:]])
    spans = _marked(tokenizer, messages, text) or _grown(tokenizer, messages, text)
    if loss_on == "last":
        spans = spans[-1:]
    labels = [IGNORED] * len(ids)
    for at, (start, end) in enumerate(encoded["offset_mapping"]):
        if any(start < last and end > first for first, last in spans):
            labels[at] = ids[at]
    return Learned(ids, labels)


def sequences(
    tokenizer: Any,
    messages: Sequence[dict[str, str]],
    *,
    max_length: int,
    loss_on: LossOn = "assistant",
    long: Literal["split", "keep-last"] = "split",
    long_text: LongText = "keep-ends",
) -> tuple[list[Learned], int, int]:
    """A conversation as sequences of at most ``max_length`` tokens, each with its system message.

    A longer one is split between rounds (a round begins with a user's message), or loses its oldest rounds. Of a round
    that alone is too long, the longest message that is no answer is shortened; what is still over is left out at the end.

    Returns:
        the sequences, the tokens of the whole conversation, and how many tokens of it are in no sequence.
    """
    whole = learn(tokenizer, messages, loss_on)
    if len(whole.until_last_label().ids) <= max_length:
        return [whole.until_last_label()], len(whole.ids), 0
    system = [message for message in messages[:1] if message["role"] == "system"]
    groups = _groups(tokenizer, system, _rounds(messages[len(system) :]), max_length, long)
    found, left_out = [], 0
    if long == "keep-last" and groups:
        left_out = len(whole.ids) - len(_tokens(tokenizer, render(tokenizer, [*system, *groups[-1]])))
        groups = groups[-1:]
    for group in groups:
        if not any(message["role"] == "assistant" for message in group):
            continue
        own = learn(tokenizer, [*system, *group], loss_on).until_last_label()
        fitted, lost = _shortened(tokenizer, [*system, *group], own, loss_on, max_length, long_text)
        left_out += lost
        if any(label != IGNORED for label in fitted.labels):
            found.append(fitted)
    return found, len(whole.ids), left_out


def cut(tokenizer: Any, text: str, tokens: int, how: LongText, overlap: int = 0) -> list[str]:
    """A text as pieces of at most so many tokens: one, or with ``windows`` as many as it takes.

    What is left out in the middle is marked by an ellipsis.

    Raises:
        UsageError: there is no room for a text at all.
    """
    if len(_tokens(tokenizer, text)) <= tokens:
        return [text]
    if tokens < _LEAST_TOKENS or (how == "windows" and overlap >= tokens):
        hint = "raise model.max_length, or lower what is kept free for the answer"
        raise UsageError(f"model.max_length leaves {max(tokens, 0)} tokens for the text", hint=hint)
    if how == "keep-start":
        return [_head(tokenizer, text, tokens)]
    if how == "keep-end":
        return [_tail(tokenizer, text, tokens)]
    if how == "windows":
        return _windows(tokenizer, text, tokens, overlap)
    room = tokens - len(_tokens(tokenizer, _GAP))
    start = _head(tokenizer, text, room // 4)
    return [start + _GAP + _tail(tokenizer, text, room - room // 4)]


def _tokens(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _marked(tokenizer: Any, messages: Sequence[dict[str, str]], text: str) -> list[tuple[int, int]]:
    """Characters of the answers as the template marks them; empty where it does not."""
    if not re.search(r"\{%-?\s*generation\b", tokenizer.chat_template or ""):
        return []
    from transformers.utils.chat_template_utils import render_jinja_template

    _, spans = render_jinja_template(
        [list(messages)],
        chat_template=tokenizer.chat_template,
        return_assistant_tokens_mask=True,
        **tokenizer.special_tokens_map,
    )
    return [(start, end) for start, end in spans[0] if end <= len(text)]


def _grown(tokenizer: Any, messages: Sequence[dict[str, str]], text: str) -> list[tuple[int, int]]:
    """Characters of the answers, by what the rendered conversation grows by."""
    spans: list[tuple[int, int]] = []
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = render(tokenizer, messages[:number], prompt=True) if number else None
        after = text if number == len(messages) - 1 else render(tokenizer, messages[: number + 1])
        if before and text.startswith(before) and text.startswith(after) and len(after) > len(before):
            span = (len(before), len(after))
        else:
            span = _searched(tokenizer, message["content"], text, spans[-1][1] if spans else 0)
        spans.append((span[0], span[0] + len(text[slice(*span)].rstrip())))
    return spans


def _searched(tokenizer: Any, content: str, text: str, start: int) -> tuple[int, int]:
    """Characters of an answer in a template that changes earlier turns as later ones come."""
    at = text.find(content.strip(), start)
    if at < 0:
        hint = "learn the last answers only: --task.loss_on last, with one answer a row"
        raise DataError("the model's chat template rewrites an answer, so its tokens cannot be told", hint=hint)
    end = at + len(content.strip())
    closing = tokenizer.eos_token or ""
    return at, end + len(closing) if text.startswith(closing, end) else end


def _rounds(messages: Sequence[dict[str, str]]) -> list[list[dict[str, str]]]:
    rounds: list[list[dict[str, str]]] = []
    for message in messages:
        if not rounds or (message["role"] == "user" and rounds[-1][-1]["role"] != "user"):
            rounds.append([])
        rounds[-1].append(message)
    return rounds


def _groups(
    tokenizer: Any, system: list[dict[str, str]], rounds: list[list[dict[str, str]]], max_length: int, long: str
) -> list[list[dict[str, str]]]:
    """Rounds that fit in one sequence together; filled from the front, or for ``keep-last`` from the back."""
    groups: list[list[dict[str, str]]] = []
    backwards = long == "keep-last"
    for one in reversed(rounds) if backwards else rounds:
        at = 0 if backwards else -1
        joined = (one + groups[at] if backwards else groups[at] + one) if groups else one
        if groups and len(_tokens(tokenizer, render(tokenizer, [*system, *joined]))) <= max_length:
            groups[at] = joined
        elif backwards:
            if groups:
                break
            groups = [one]
        else:
            groups.append(one)
    return groups


def _shortened(
    tokenizer: Any, messages: list[dict[str, str]], own: Learned, loss_on: LossOn, max_length: int, how: LongText
) -> tuple[Learned, int]:
    """A sequence under the limit, and how many tokens it lost."""
    before = len(own.ids)
    for _ in range(3):
        over = len(own.ids) - max_length
        asked = [number for number, message in enumerate(messages) if message["role"] != "assistant"]
        if over <= 0 or not asked:
            break
        longest = max(asked, key=lambda number: len(messages[number]["content"]))
        keep = len(_tokens(tokenizer, messages[longest]["content"])) - over - 2
        if keep < _LEAST_TOKENS:
            break
        text = cut(tokenizer, messages[longest]["content"], keep, "keep-ends" if how == "windows" else how)[0]
        messages = [
            {**message, "content": text} if number == longest else message for number, message in enumerate(messages)
        ]
        own = learn(tokenizer, messages, loss_on).until_last_label()
    return Learned(own.ids[:max_length], own.labels[:max_length]), max(0, before - min(len(own.ids), max_length))


def _head(tokenizer: Any, text: str, tokens: int) -> str:
    """The longest beginning of at most so many tokens, found by halving."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_tokens(tokenizer, text[:middle])) <= tokens:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _tail(tokenizer: Any, text: str, tokens: int) -> str:
    """The longest end of at most so many tokens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high) // 2
        if len(_tokens(tokenizer, text[middle:])) <= tokens:
            high = middle
        else:
            low = middle + 1
    return text[low:]


def _windows(tokenizer: Any, text: str, tokens: int, overlap: int) -> list[str]:
    """Pieces one after another, each beginning with the last tokens of the one before."""
    pieces = [_head(tokenizer, text, tokens)]
    end = len(pieces[0])
    while end < len(text):
        start = max(end - len(_tail(tokenizer, pieces[-1], overlap)), end - len(pieces[-1]) + 1)
        piece = _head(tokenizer, text[start:], tokens)
        pieces.append(piece)
        end = max(start + len(piece), end + 1)
    return pieces
