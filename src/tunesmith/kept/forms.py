"""What an answer says, by the kind of its task's target (see ``tasks.base.Target``), and the row of training that it makes.

A row is a mapping by the task's own names of columns, as ``Task.read_row`` takes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from tunesmith.tasks.base import Target, Task
    from tunesmith.writing.text_to_text import TextToText

Answer = Mapping[str, Any]
Row = dict[str, Any]


class Form(ABC):
    """Answers of one kind.

    Args:
        task: whose answers they are.
        target: what it predicts.
    """

    field = "answer"
    """How feedback names the truth: ``label`` or ``answer``."""

    def __init__(self, task: Task, target: Target) -> None:
        self.task, self.target = task, target

    def labels(self, answer: Answer) -> tuple[str, ...] | None:
        """The labels that an answer gives; None: its kind gives none."""
        return None

    def number(self, answer: Answer) -> float | None:
        """The number that an answer is; None: it is none."""
        return None

    def confidence(self, answer: Answer) -> float | None:
        """How probable the answer says it is; None: it does not say."""
        return None

    @abstractmethod
    def corrected(self, given: Row, answer: Answer, truth: Any) -> Row:
        """The answer that should have been given.

        Args:
            given: the input by its columns.
            answer: that was given.
            truth: as somebody wrote it.

        Raises:
            UsageError: it is no such answer.
        """

    @abstractmethod
    def row(self, given: Row, answer: Answer) -> Row:
        """The row of training that says of an input what an answer says; without a label where it says none."""

    def same(self, one: Answer, other: Answer) -> bool:
        """Whether two answers say the same."""
        return self.row({}, one) == self.row({}, other)


class Label(Form):
    """One label of several."""

    field = "label"

    def labels(self, answer: Answer) -> tuple[str, ...]:
        return (str(answer["label"]),)

    def confidence(self, answer: Answer) -> float | None:
        return _score(answer)

    def corrected(self, given: Row, answer: Answer, truth: Any) -> Row:
        return {"label": known(truth, self.target.labels)}

    def row(self, given: Row, answer: Answer) -> Row:
        """An answer that is no label, since it was not sure, leaves the label open."""
        label = answer["label"]
        return {**given, "label": label if label in self.target.labels else None}


class Labels(Form):
    """Any number of labels."""

    field = "label"

    def labels(self, answer: Answer) -> tuple[str, ...]:
        return tuple(answer["labels"])

    def confidence(self, answer: Answer) -> float | None:
        return min(map(float, answer.get("scores", ())), default=None)

    def corrected(self, given: Row, answer: Answer, truth: Any) -> Row:
        if not isinstance(truth, list):
            raise UsageError(f"{truth!r} is no list of labels", where="label", hint='write ["one", "two"], or []')
        return {"labels": [known(one, self.target.labels) for one in truth]}

    def row(self, given: Row, answer: Answer) -> Row:
        return {**given, "label": sorted(answer["labels"])}


class Number(Form):
    """A number: a label that is one, or how alike two texts are."""

    field = "label"

    @property
    def _names(self) -> tuple[str, str]:
        """The column, and what an answer calls it."""
        is_label = any("label" in names for names in self.task.required)
        return ("label", "value") if is_label else ("score", "score")

    def number(self, answer: Answer) -> float | None:
        found = answer.get(self._names[1])
        return None if found is None else float(found)

    def corrected(self, given: Row, answer: Answer, truth: Any) -> Row:
        if isinstance(truth, bool) or not isinstance(truth, (int, float)):
            raise UsageError(f"{truth!r} is no number", where="label")
        return {self._names[1]: float(truth)}

    def row(self, given: Row, answer: Answer) -> Row:
        return {**given, self._names[0]: self.number(answer)}


class Likeness(Number):
    """How alike two texts are, where training had no scores: a row of training then says whether they are alike."""

    def row(self, given: Row, answer: Answer) -> Row:
        found = self.number(answer)
        return {**given, "score": None if found is None else float(found >= 0.5)}


class Entities(Form):
    """Marked pieces of a text."""

    def labels(self, answer: Answer) -> tuple[str, ...]:
        return tuple(entity["type"] for entity in answer.get("entities", ()))

    def confidence(self, answer: Answer) -> float | None:
        return min((float(one["score"]) for one in answer.get("entities", ()) if "score" in one), default=None)

    def corrected(self, given: Row, answer: Answer, truth: Any) -> Row:
        text = {"text": answer["text"]} if "text" in answer else {}
        return {**text, "entities": _entities(truth, self.target.labels)}

    def row(self, given: Row, answer: Answer) -> Row:
        if "tags" in answer and "tokens" in given:
            return {"tokens": given["tokens"], "tags": answer["tags"]}
        return {**_on_text(given, answer), "entities": [_place(one) for one in answer.get("entities", ())]}

    def same(self, one: Answer, other: Answer) -> bool:
        mine, others = ({tuple(_place(piece).values()) for piece in each["entities"]} for each in (one, other))
        return mine == others


class Triples(Form):
    """Entities of a text, and how they relate."""

    def labels(self, answer: Answer) -> tuple[str, ...]:
        return tuple(triple["relation"] for triple in answer.get("triples", ()))

    def confidence(self, answer: Answer) -> float | None:
        return min((float(one["score"]) for one in answer.get("triples", ()) if "score" in one), default=None)

    def corrected(self, given: Row, answer: Answer, truth: Any) -> Row:
        if not isinstance(truth, Mapping) or truth.keys() != {"entities", "relations"}:
            hint = '{"entities": [{"start", "end", "type"}], "relations": [{"head", "tail", "type"}]}'
            raise UsageError("an answer has entities and relations", where="answer", hint=hint)
        entities = _entities(truth["entities"], self.target.labels)
        triples = [_triple(one, entities, self.target.relations) for one in _listed(truth["relations"])]
        return {**({"text": answer["text"]} if "text" in answer else {}), "entities": entities, "triples": triples}

    def row(self, given: Row, answer: Answer) -> Row:
        entities = [_place(one) for one in answer.get("entities", ())]
        relations = [
            {
                "head": entities.index(_place(one["head"])),
                "tail": entities.index(_place(one["tail"])),
                "type": one["relation"],
            }
            for one in answer.get("triples", ())
        ]
        return {**_on_text(given, answer), "entities": entities, "relations": relations}

    def same(self, one: Answer, other: Answer) -> bool:
        first, second = ({_flat(triple) for triple in each["triples"]} for each in (one, other))
        return first == second


class Piece(Form):
    """The piece of a text that answers a question, or that there is none."""

    def labels(self, answer: Answer) -> tuple[str, ...]:
        return (self.target.labels[0] if answer["answer"] else self.target.labels[1],)

    def confidence(self, answer: Answer) -> float | None:
        return _score(answer)

    def corrected(self, given: Row, answer: Answer, truth: Any) -> Row:
        from tunesmith.data.answers import find

        if not isinstance(truth, (str, Mapping)):
            raise UsageError("an answer is a text of the context, or empty", where="answer")
        try:
            found = find([truth], given["context"]) if truth else []
        except ValueError as error:
            hint = 'write {"text": "...", "answer_start": 0} where it stands several times'
            raise UsageError(f"the answer {error}", where="answer", hint=hint) from None
        if not found:
            return {"answer": "", "start": None, "end": None}
        text, start = found[0]["text"], found[0]["start"]
        return {"answer": text, "start": start, "end": start + len(text)}

    def row(self, given: Row, answer: Answer) -> Row:
        found = {"text": [answer["answer"]], "answer_start": [answer["start"]]} if answer["answer"] else []
        return {**given, "answers": found}


class Text(Form):
    """A text that was written."""

    task: TextToText

    def corrected(self, given: Row, answer: Answer, truth: Any) -> Row:
        if not isinstance(truth, str) or not truth.strip():
            raise UsageError("an answer is a text", where="answer")
        return {self.task.answer: truth}

    def row(self, given: Row, answer: Answer) -> Row:
        return {**given, self.task.wanted: answer[self.task.answer]}


class Turn(Text):
    """The next turn of a conversation."""

    def row(self, given: Row, answer: Answer) -> Row:
        before = given.get("messages", [])
        before = [{"role": "user", "content": before}] if isinstance(before, str) else list(before)
        return {**given, "messages": [*before, {"role": "assistant", "content": answer[self.task.answer]}]}


_FORMS: Mapping[str, type[Form]] = {
    "multi-class": Label,
    "multi-label": Labels,
    "regression": Number,
    "ranking": Likeness,
    "entities": Entities,
    "triples": Triples,
    "answers": Piece,
    "texts-translation": Text,
    "texts-summary": Text,
    "texts-chat": Turn,
}


def form_of(task: Task, target: Target) -> Form:
    """The form of a task's answers.

    Raises:
        UsageError: nothing is known of such answers.
    """
    if target.kind not in _FORMS:
        raise UsageError(f"answers of the kind {target.kind} cannot be read back", hint=f"known: {', '.join(_FORMS)}")
    return _FORMS[target.kind](task, target)


def known(name: Any, names: Sequence[str], where: str = "label") -> str:
    """A name that is among others.

    Raises:
        UsageError: it is not.
    """
    if name not in names:
        raise UsageError(f"there is no {where} {name!r}", where=where, hint=did_you_mean(str(name), names))
    return str(name)


def _score(answer: Answer) -> float | None:
    found = answer.get("score")
    return None if found is None else float(found)


def _place(entity: Mapping[str, Any]) -> Row:
    return {"start": entity["start"], "end": entity["end"], "type": entity["type"]}


def _flat(triple: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*_place(triple["head"]).values(), triple["relation"], *_place(triple["tail"]).values())


def _on_text(given: Row, answer: Answer) -> Row:
    """The input as the text that characters of its answer count in."""
    others = {name: value for name, value in given.items() if name not in ("tokens", "tags")}
    return {**others, **({"text": answer["text"]} if "text" in answer else {})}


def _listed(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise UsageError("an answer is a list of objects", where="answer")
    return value


def _entities(truth: Any, types: Sequence[str]) -> list[Row]:
    listed = _listed(truth.get("entities") if isinstance(truth, Mapping) else truth)
    if any(not {"start", "end", "type"} <= one.keys() for one in listed):
        raise UsageError("an entity has start, end and type", where="answer")
    return [{**_place(one), "type": known(one["type"], types, "type")} for one in listed]


def _triple(relation: Mapping[str, Any], entities: Sequence[Row], names: Sequence[str]) -> Row:
    ends = [relation.get(end) for end in ("head", "tail")]
    if any(not isinstance(end, int) or not 0 <= end < len(entities) for end in ends):
        raise UsageError("head and tail of a relation are numbers of entities, counted from 0", where="answer")
    head, tail = (entities[end] for end in ends if isinstance(end, int))
    return {"head": head, "relation": known(relation.get("type"), names, "type"), "tail": tail}
