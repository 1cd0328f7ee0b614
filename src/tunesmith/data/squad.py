"""SQuAD's files: articles of paragraphs, each with questions about it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.data import json_document
from tunesmith.data.files import Source
from tunesmith.errors import Problem

Items = Iterator[tuple[int, "dict[str, Any] | Problem"]]


def is_squad(articles: Any) -> bool:
    """Whether a list is one of articles with paragraphs."""
    return isinstance(articles, list) and any(isinstance(row, dict) and "paragraphs" in row for row in articles)


def rows(document: Mapping[str, Any], text: str, source: Source) -> Items:
    """The questions, each with the line where it starts, or its number in a file of one line.

    Args:
        document: the file's value.
        text: what the file holds.
        source: the file.
    """
    lines = _Lines(text)
    for article, line in lines.items(document["data"], "data"):
        if problem := _lacks(article, "an article", "paragraphs"):
            yield line, Problem(problem, source.where(line))
            continue
        for paragraph, line in lines.items(article["paragraphs"], "data", "paragraphs"):
            if problem := _lacks(paragraph, "a paragraph", "qas"):
                yield line, Problem(problem, source.where(line))
                continue
            for question, line in lines.items(paragraph["qas"], "data", "paragraphs", "qas"):
                problem = _lacks(question, "a question")
                yield line, Problem(problem, source.where(line)) if problem else _row(article, paragraph, question)


class _Lines:
    """Lines of the items of a document, which are asked for in its order."""

    def __init__(self, text: str) -> None:
        found = json_document.item_lines(text)
        self._lines: defaultdict[json_document.Path, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self._lines |= {path: iter(lines) for path, lines in found.items()}

    def items(self, values: list[Any], *path: str) -> Iterator[tuple[Any, int]]:
        """Items of one of the lists at a path, each with its line, or its number among all items there."""
        for value in values:
            yield value, next(self._lines[path])


def _lacks(value: Any, called: str, name: str | None = None) -> str | None:
    """What is wrong with what should be an object, with a list of that name."""
    if not isinstance(value, dict):
        return f"{called} is a {json_document.kind(value)}, not an object"
    return None if name is None or isinstance(value.get(name), list) else f'{called} has no list "{name}"'


def _row(article: Mapping[str, Any], paragraph: Mapping[str, Any], question: Mapping[str, Any]) -> dict[str, Any]:
    answers = question.get("answers")
    if isinstance(answers, list) and all(isinstance(answer, dict) for answer in answers):
        answers = {name: [answer.get(name) for answer in answers] for name in ("text", "answer_start")}
    return {
        "id": question.get("id"),
        "title": article.get("title"),
        "context": paragraph.get("context"),
        "question": question.get("question"),
        "answers": answers,
        **{name: question[name] for name in ("is_impossible",) if name in question},
    }
