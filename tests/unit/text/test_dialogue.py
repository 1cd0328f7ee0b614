"""What of a conversation is learned: token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tiny_generators
from tunesmith.errors import DataError, UsageError
from tunesmith.heads import IGNORED
from tunesmith.networks import generators
from tunesmith.text import dialogue

TALK = [
    {"role": "user", "content": "where is my card"},
    {"role": "assistant", "content": "it has not arrived"},
    {"role": "user", "content": "and now?"},
    {"role": "assistant", "content": "now it is fine"},
]
SYSTEM = {"role": "system", "content": "the weather system"}
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '</s>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MARKING = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}A:{% generation %}{{ m['content'] + eos_token }}"
    "{% endgeneration %}{% else %}U:{{ m['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
)
FORGETFUL = (  # as templates that leave earlier thoughts out: an answer ends otherwise when it is not the last
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{% if m['role'] == 'assistant' %}{{ eos_token }}"
    "{% if loop.last %} ~{% endif %}{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_generators.write(tmp_path_factory.mktemp("llama"), "llama")


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    return generators.load_tokenizer(folder)


def learned(tokenizer: Any, one: dialogue.Learned) -> list[str]:
    """The stretches that are learned, as text."""
    stretches: list[list[int]] = []
    inside = False
    for token, label in zip(one.ids, one.labels, strict=True):
        assert label in (token, IGNORED)
        if label != IGNORED and not inside:
            stretches.append([])
        inside = label != IGNORED
        if inside:
            stretches[-1].append(token)
    return [tokenizer.decode(stretch) for stretch in stretches]


@pytest.mark.parametrize("template", [None, CHATML, MARKING, FORGETFUL, generators.PLAIN_TEMPLATE])
def test_answers_are_learned_with_their_end(tokenizer: Any, template: str | None) -> None:
    tokenizer.chat_template = template or tokenizer.chat_template
    one = dialogue.learn(tokenizer, TALK)
    assert one.ids == tokenizer.apply_chat_template(TALK, tokenize=True)["input_ids"]
    assert [text.strip() for text in learned(tokenizer, one)][:1] == ["it has not arrived</s>"]
    assert learned(tokenizer, one)[1].strip().removesuffix(" ~") == "now it is fine</s>"
    last = dialogue.learn(tokenizer, TALK, "last")
    assert [text.strip().removesuffix(" ~") for text in learned(tokenizer, last)] == ["now it is fine</s>"]


def test_marks_are_believed_where_the_template_has_them(tokenizer: Any) -> None:
    tokenizer.chat_template = MARKING
    theirs = tokenizer.apply_chat_template(TALK, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    ours = dialogue.learn(tokenizer, TALK)
    assert [int(label != IGNORED) for label in ours.labels] == theirs["assistant_masks"]


def test_every_token_can_be_learned(tokenizer: Any) -> None:
    one = dialogue.learn(tokenizer, TALK, "all")
    assert one.labels == [IGNORED, *one.ids[1:]]


def test_the_prompt_is_what_precedes_the_answer(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML
    prompt = dialogue.prompt_ids(tokenizer, TALK[:3])
    one = dialogue.learn(tokenizer, TALK, "last")
    assert one.ids[: len(prompt)] == prompt
    assert one.labels[len(prompt) - 1] == IGNORED
    assert one.labels[len(prompt)] == one.ids[len(prompt)]


def test_what_follows_the_last_answer_is_not_read(tokenizer: Any) -> None:
    more = [*TALK, {"role": "user", "content": "thanks"}]
    assert (
        dialogue.sequences(tokenizer, more, max_length=200)[0] == dialogue.sequences(tokenizer, TALK, max_length=200)[0]
    )


def test_a_long_conversation_is_split_and_every_answer_learned_once(tokenizer: Any) -> None:
    talk = [SYSTEM, *TALK * 4]
    found, length, left_out = dialogue.sequences(tokenizer, talk, max_length=60)
    assert len(found) > 1
    assert left_out == 0
    assert length == len(dialogue.learn(tokenizer, talk).ids)
    assert all(len(one.ids) <= 60 for one in found)
    assert all(tokenizer.decode(one.ids).startswith("<|system|>the weather system") for one in found)
    answers = [text for one in found for text in learned(tokenizer, one)]
    assert answers == ["it has not arrived</s>", "now it is fine</s>"] * 4


def test_or_loses_its_oldest_turns(tokenizer: Any) -> None:
    talk = [SYSTEM, *TALK * 4]
    (one,), length, left_out = dialogue.sequences(tokenizer, talk, max_length=60, long="keep-last")
    text = tokenizer.decode(one.ids)
    assert text.startswith("<|system|>the weather system")
    assert text.endswith("now it is fine</s>")
    assert length - left_out == len(one.ids) <= 60


def test_a_long_question_is_shortened_before_its_answer(tokenizer: Any) -> None:
    talk = [{"role": "user", "content": "the first words " + "rain " * 200 + "the last words"}, TALK[1]]
    (one,), length, left_out = dialogue.sequences(tokenizer, talk, max_length=60)
    assert learned(tokenizer, one) == ["it has not arrived</s>"]
    assert 40 < len(one.ids) <= 60
    assert length - left_out == len(one.ids)
    text = tokenizer.decode(one.ids)
    assert "the first" in text
    assert "the last words" in text


def test_a_long_answer_is_cut_without_its_end(tokenizer: Any) -> None:
    talk = [TALK[0], {"role": "assistant", "content": "rain " * 200}]
    (one,), length, left_out = dialogue.sequences(tokenizer, talk, max_length=60)
    assert len(one.ids) == 60
    assert tokenizer.eos_token_id not in one.labels
    assert length - left_out == 60


@pytest.mark.parametrize("how", ["keep-ends", "keep-start", "keep-end", "windows"])
def test_cuts_keep_within_their_tokens(tokenizer: Any, how: Any) -> None:
    text = " ".join(f"word{number} rain" for number in range(60))
    pieces = dialogue.cut(tokenizer, text, 30, how, 8)
    assert all(len(tokenizer(piece, add_special_tokens=False)["input_ids"]) <= 31 for piece in pieces)
    assert pieces[0].startswith("word0") == (how != "keep-end")
    assert pieces[-1].endswith("word59 rain") == (how != "keep-start")
    assert (len(pieces) > 1) == (how == "windows")
    if how == "windows":
        joined = pieces[0]
        for piece in pieces[1:]:
            overlap = max(size for size in range(len(piece)) if joined.endswith(piece[:size]))
            assert overlap > 0
            joined += piece[overlap:]
        assert joined == text
    assert dialogue.cut(tokenizer, "rain", 30, how) == ["rain"]


def test_no_room_is_an_error(tokenizer: Any) -> None:
    with pytest.raises(UsageError, match="leaves 3 tokens"):
        dialogue.cut(tokenizer, "rain " * 50, 3, "keep-ends")


def test_a_template_that_refuses_is_named(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(DataError, match="roles must alternate"):
        dialogue.learn(tokenizer, TALK)


def test_a_template_that_rewrites_answers_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ loop.length ~ m['content'] | upper }}{% endfor %}"
    with pytest.raises(DataError, match="rewrites an answer"):
        dialogue.learn(tokenizer, TALK)
