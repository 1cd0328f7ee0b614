"""Small labelled files that a tiny random model can learn, and short ways to train on them."""

from __future__ import annotations

import csv
import json
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FILLERS = [
    "the",
    "a",
    "film",
    "plot",
    "card",
    "day",
    "it",
    "was",
    "very",
    "and",
    "then",
    "with",
    "one",
    "more",
    "thing",
    "they",
    "saw",
    "here",
    "today",
]
MOODS = {"positive": ["fine", "loved", "great"], "negative": ["bad", "dull", "awful"]}
TOPICS = {
    "sport": ["goal", "team", "match"],
    "food": ["soup", "bread", "salt"],
    "money": ["bank", "coin", "debt"],
    "weather": ["rain", "wind", "snow"],
}
TEXTS = [" ".join([*FILLERS, *(word for words in (MOODS | TOPICS).values() for word in words)]), "not"]
"""Every word that occurs, for the tokenizers of tiny models."""

Row = dict[str, Any]
QUICK: dict[str, Any] = {
    "train.threads": 1,
    "train.precision": "fp32",
    "train.epochs": 3,
    "train.batch_size": 16,
    "train.learning_rate": 3e-3,
    "train.evaluate_every": "1 epochs",
    "model.pooling": "mean",
    "model.max_length": 32,
}
"""Parameters with which a tiny model learns a small file within a second or two."""


def rows(kind: str, count: int, seed: int = 0) -> list[Row]:
    """Rows of a kind, one of those in ``TASKS``."""
    maker, chance = _MAKERS[kind], random.Random(seed)
    return [maker(chance) for _ in range(count)]


def write(file: Path, kind: str, count: int = 160, seed: int = 0) -> Path:
    """Write such rows as a CSV or JSONL file, as its name says."""
    found = rows(kind, count, seed)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
        return file
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    return file


def write_brat(folder: Path, count: int = 160, seed: int = 0) -> Path:
    """Write texts with entities and relations as brat does: ``1.txt`` with ``1.ann``, and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows("triples", count, seed), 1):
        (folder / f"{number}.txt").write_text(row["text"], encoding="utf-8")
        marks = [
            f"T{place}\t{one['type']} {one['start']} {one['end']}\t{row['text'][one['start'] : one['end']]}"
            for place, one in enumerate(row["entities"])
        ]
        marks += [
            f"R{place}\t{one['type']} Arg1:T{one['head']} Arg2:T{one['tail']}"
            for place, one in enumerate(row["relations"])
        ]
        (folder / f"{number}.ann").write_text("".join(f"{mark}\n" for mark in marks), encoding="utf-8")
    return folder


def options(kind: str) -> dict[str, Any]:
    """What the config must say beside the file for a kind of rows."""
    task = next(name for name, kinds in TASKS.items() if kind in kinds)
    return {"task": task, **_OPTIONS.get(kind, {})}


def suffix(kind: str) -> str:
    """How a file of these rows ends: nested values want JSONL."""
    return "csv" if all(isinstance(value, str) for value in rows(kind, 1)[0].values()) else "jsonl"


_OPTIONS: dict[str, dict[str, Any]] = {
    "multi-label": {"data.label_separator": ";"},
    "regression": {"task.kind": "regression"},
    "pairs": {"columns.text_pair": "text_pair"},
    "similarity": {"task.kind": "regression", "task.pairs": "separate", "columns.text_pair": "text_pair"},
    "questions": {"model.window_overlap": 8},
    "entities": {"model.window_overlap": 8},
    "tagged": {"model.window_overlap": 8, "task.scheme": "iobes"},
    "chain": {"model.window_overlap": 8, "task.crf": True},
    "marked": {"model.window_overlap": 8},
    "triples": {"model.window_overlap": 8},
}


def _sentence(chance: random.Random, *words: str) -> str:
    """The words among fillers, in any order; lengths differ."""
    drawn = [*words, *chance.choices(FILLERS, k=chance.randint(2, 9))]
    chance.shuffle(drawn)
    return " ".join(drawn)


def _binary(chance: random.Random) -> Row:
    label = chance.choice(list(MOODS))
    return {"text": _sentence(chance, chance.choice(MOODS[label])), "label": label}


def _multi_class(chance: random.Random) -> Row:
    label = chance.choice(list(TOPICS))
    return {"text": _sentence(chance, chance.choice(TOPICS[label])), "label": label}


def _multi_label(chance: random.Random) -> Row:
    labels = sorted(chance.sample(list(TOPICS), k=chance.choice([1, 1, 2])))
    return {"text": _sentence(chance, *(chance.choice(TOPICS[label]) for label in labels)), "label": ";".join(labels)}


def _regression(chance: random.Random) -> Row:
    good, bad = chance.randint(0, 3), chance.randint(0, 3)
    words = [*chance.choices(MOODS["positive"], k=good), *chance.choices(MOODS["negative"], k=bad)]
    return {"text": _sentence(chance, *words), "label": f"{good - bad + chance.uniform(-0.2, 0.2):.3f}"}


def _pairs(chance: random.Random) -> Row:
    denied = chance.random() < 0.5
    word = chance.choice(TOPICS["food"])
    second = _sentence(chance, word, *(["not", "not"] if denied else []))
    return {"text": _sentence(chance, word), "text_pair": second, "label": "denied" if denied else "said"}


def _similarity(chance: random.Random) -> Row:
    first, second = chance.choices(list(TOPICS), k=2)
    value = (1.0 if first == second else 0.0) + chance.uniform(0, 0.1)
    texts = (_sentence(chance, *chance.choices(TOPICS[topic], k=4)) for topic in (first, second))
    return {"text": next(texts), "text_pair": next(texts), "label": f"{value:.3f}"}


def _alike(chance: random.Random) -> Row:
    first, second = chance.choices(list(TOPICS), k=2)
    texts = (_sentence(chance, *chance.choices(TOPICS[topic], k=4)) for topic in (first, second))
    return {"text": next(texts), "text_pair": next(texts), "score": str(5 * (first == second))}


def _positive_pairs(chance: random.Random) -> Row:
    words = chance.choices(TOPICS[chance.choice(list(TOPICS))], k=4)
    return {"text": _sentence(chance, *words), "text_pair": _sentence(chance, *words)}


def _questions(chance: random.Random) -> Row:
    """Where the only word of a topic stands; one row in five has no answer."""
    topic = chance.choice(list(TOPICS))
    answer = chance.choice(TOPICS[topic])
    context = _sentence(chance, answer) + " " + _sentence(chance)
    found = {"text": [answer], "answer_start": [context.index(answer)]}
    if chance.random() < 0.2:
        context, found = _sentence(chance) + " then", {"text": [], "answer_start": []}
    return {"question": f"the {topic} thing", "context": context, "answers": found}


def _entities(chance: random.Random) -> Row:
    """The words of food and money are entities of these types; "goal team" is one of sport."""
    words = [
        ("food", chance.choice(TOPICS["food"])),
        ("money", chance.choice(TOPICS["money"])),
        ("sport", " ".join(TOPICS["sport"][:2])),
    ]
    text, entities = "", []
    for kind, word in chance.sample(words, k=chance.choice([0, 1, 1, 2])):
        text += _sentence(chance) + " "
        entities.append({"start": len(text), "end": len(text) + len(word), "type": kind})
        text += word + " "
    return {"text": text + _sentence(chance), "entities": entities}


def _tagged(chance: random.Random) -> Row:
    row = _entities(chance)
    words = row["text"].split()
    tags = ["O"] * len(words)
    for entity in row["entities"]:
        first = len(row["text"][: entity["start"]].split())
        size = len(row["text"][entity["start"] : entity["end"]].split())
        tags[first : first + size] = [f"B-{entity['type']}", *[f"I-{entity['type']}"] * (size - 1)]
    return {"tokens": words, "tags": tags}


def _marked(chance: random.Random) -> Row:
    """What is eaten is bought with money, whichever of the two stands first; what is of one topic is unrelated."""
    topics = chance.choice([("food", "money"), ("money", "food"), ("food", "food")])
    first, second = (chance.choice(TOPICS[topic]) for topic in topics)
    label = {"money": "Bought(e1,e2)", "food": "Other"}[topics[1]] if topics[0] == "food" else "Bought(e2,e1)"
    pieces = [f"<e1>{first}</e1>", f"<e2>{second}</e2>"]
    chance.shuffle(pieces)
    return {"text": " ".join([pieces[0], _sentence(chance), pieces[1], _sentence(chance)]), "label": label}


def _triples(chance: random.Random) -> Row:
    """Food costs money, and sport earns and costs it."""
    row = _entities(chance)
    numbered = list(enumerate(entity["type"] for entity in row["entities"]))
    relations = [
        {"head": head, "tail": tail, "type": name}
        for head, kind in numbered
        for tail, other in numbered
        for name in {("food", "money"): ["costs"], ("sport", "money"): ["costs", "earns"]}.get((kind, other), [])
    ]
    return {**row, "relations": relations}


_OTHER_WORDS = {word: word[::-1] for words in TOPICS.values() for word in words}


def _translations(chance: random.Random) -> Row:
    """The words of topics, each with its letters turned round."""
    words = chance.choices(list(_OTHER_WORDS), k=chance.randint(1, 5))
    return {"source": " ".join(words), "target": " ".join(_OTHER_WORDS[word] for word in words)}


def _summaries(chance: random.Random) -> Row:
    topic = chance.choice(list(TOPICS))
    text = _sentence(chance, *chance.choices(TOPICS[topic], k=4))
    return {"text": text, "summary": f"the {topic} thing", "references": [f"a {topic} thing"]}


def _conversations(chance: random.Random) -> Row:
    """One to three rounds of a question with a word of a topic, and an answer that names the topic."""
    messages = []
    for topic in chance.choices(list(TOPICS), k=chance.randint(1, 3)):
        messages.append({"role": "user", "content": _sentence(chance, chance.choice(TOPICS[topic]))})
        messages.append({"role": "assistant", "content": f"the {topic} thing"})
    return {"messages": messages}


def _preferences(chance: random.Random) -> Row:
    first, second = chance.sample(list(TOPICS), k=2)
    asked = _sentence(chance, chance.choice(TOPICS[first]))
    return {"prompt": asked, "chosen": f"the {first} thing", "rejected": f"the {second} thing"}


_MAKERS: dict[str, Callable[[random.Random], Row]] = {
    "binary": _binary,
    "multi-class": _multi_class,
    "multi-label": _multi_label,
    "regression": _regression,
    "pairs": _pairs,
    "similarity": _similarity,
    "alike": _alike,
    "positive-pairs": _positive_pairs,
    "questions": _questions,
    "entities": _entities,
    "tagged": _tagged,
    "chain": _tagged,
    "marked": _marked,
    "triples": _triples,
    "translations": _translations,
    "summaries": _summaries,
    "conversations": _conversations,
    "preferences": _preferences,
}
TASKS: dict[str, tuple[str, ...]] = {
    "text-classification": ("binary", "multi-class", "multi-label", "regression", "pairs", "similarity"),
    "sentence-similarity": ("alike", "positive-pairs"),
    "question-answering": ("questions",),
    "token-classification": ("entities", "tagged", "chain"),
    "relation-extraction": ("marked", "triples"),
    "translation": ("translations",),
    "summarization": ("summaries",),
    "chat": ("conversations", "preferences"),
}
"""The kinds of rows that each task is tried on."""

KINDS = TASKS["text-classification"]
WRITTEN = ("translations", "summaries", "conversations", "preferences")
"""The kinds whose answers are texts, for models that write (see ``tiny_generators``)."""


def log_of(folder: Path, event: str | None = None) -> Iterator[dict[str, Any]]:
    """Entries of a run's log, without the seconds, which differ from run to run."""
    from tunesmith.train import journal

    for entry in journal.read(folder / "log.jsonl"):
        if event in (None, entry["event"]):
            yield {name: value for name, value in entry.items() if name != "seconds"}


def weights_of(folder: Path) -> dict[str, bytes]:
    """Contents of all weight files of a bundle."""
    files = sorted(file for file in folder.rglob("*.safetensors") if ".work" not in file.parts)
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@contextmanager
def small_disk(most_bytes: int) -> Iterator[None]:
    """Inside, the system refuses to write any file beyond a size, as it does when the disk is full.

    The limit holds for the whole process, what pytest prints into a file too: it must end before the test does.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
