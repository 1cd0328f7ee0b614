"""What inputs say, whatever their columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tunesmith.kept.texts import Measure, text_of, words_of


def test_texts_of_all_columns_count_and_words_only_without_their_text() -> None:
    assert text_of({"question": "who?", "context": "me", "answers": ["x"]}, ["question", "context"]) == "who?\nme"
    assert text_of({"text": "a film", "tokens": ["a", "film"]}, ["text", "tokens"]) == "a film"
    assert text_of({"text": None, "tokens": ["a", "film"]}, ["text", "tokens"]) == "a film"
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    assert text_of({"messages": messages}, ["messages"]) == "hi\nho"


def test_words_are_found_in_any_script() -> None:
    assert words_of("Größe: 3½ — ÀÉ!") == ["größe", "31", "2", "àé"]
    assert words_of("我爱看电影。") == ["我", "爱", "看", "电", "影"]
    assert words_of("?!") == []


def test_tokens_are_those_of_the_bundle(model: Callable[..., Path], tmp_path: Path) -> None:
    measure = Measure.of(model("bert"))
    assert measure is not None
    assert list(measure.tokens(["the film was fine", "the 影 film", ""])) == [(4, 0), (3, 1), (0, 0)]
    assert list(measure.tokens(["the " * 3000])) == [(3000, 0)]
    assert Measure.of(tmp_path) is None
