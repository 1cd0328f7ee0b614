"""Ten bad rows in a file of each format: each is told with its line and what is wrong with it.

Conversations have their own forms: see ``test_bad_conversations``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import small
from tunesmith import cli


@dataclass(frozen=True)
class Form:
    """A format with rows as they should be and rows as they should not.

    Args:
        task: that reads it.
        name: of the file.
        good: rows as they stand in the file.
        bad: rows with what must be said, and on which of their lines.
        header: what stands above the rows.
        between: what stands between two rows.
        footer: what stands under them.
    """

    task: str
    name: str
    good: Sequence[str]
    bad: Sequence[tuple[str | bytes, str, int]]
    header: str = ""
    between: str = "\n"
    footer: str = "\n"

    def write(self, file: Path) -> list[int]:
        """Write the file, the bad rows after the third good one; gives the line at which each is wrong."""
        rows = [_bytes(row) for row in (*self.good[:3], *(row for row, _, _ in self.bad), *self.good[3:])]
        pieces = [_bytes(self.header) + rows[0], *rows[1:]]
        file.write_bytes(_bytes(self.between).join(pieces) + _bytes(self.footer))
        lines = [1 + _bytes(self.between).join([*pieces[: 3 + number], b""]).count(b"\n") for number in range(10)]
        return [line + below for line, (_, _, below) in zip(lines, self.bad, strict=True)]


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _table(delimiter: str, *, header: str = "text,label") -> Form:
    good = [f"{row['text']}{delimiter}{row['label']}" for row in small.rows("binary", 20)]
    bad: list[tuple[str | bytes, str, int]] = [
        ("the film,one more,positive".replace(",", delimiter), "3 fields, more than the header's 2", 0),
        ("the film", "1 fields, fewer than the header's 2", 0),
        (f'"the film{delimiter}positive', "a quote opens here", 0),
        (f'"the "fine" film"{delimiter}positive', "text follows where it closes", 0),
        (f"the \0 film{delimiter}positive", "NUL byte at character 5", 0),
        (f"le film très{delimiter}positive".encode("cp1252"), "not utf-8: byte 0xe8", 0),
        (f"{delimiter}positive", "text is blank", 0),
        (f"  {delimiter}positive", "text is blank", 0),
        (f"the film{delimiter}", "label is missing", 0),
        (f"the film{delimiter}  ", "label is missing", 0),
    ]
    name = {",": "a.csv", "\t": "a.tsv"}[delimiter]
    return Form("text-classification", name, good, bad, header=header.replace(",", delimiter) + "\n")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_FILM = {"text": "the film", "label": "positive"}
_LINES = Form(
    "text-classification",
    "a.jsonl",
    [_text(row) for row in small.rows("binary", 20)],
    [
        ('{"text": "the film", "label": }', "is not JSON: Expecting value at column 31", 0),
        ('{"text": "the film", "label": "positive"', "is not JSON: Expecting ',' delimiter", 0),
        ("['the film', 'positive']", "is not JSON", 0),
        ('["the film", "positive"]', "is a list, not an object", 0),
        ('{"text": "\\ud83d film", "label": "positive"}', "half a character", 0),
        (b'{"text": "tr\xe8s", "label": "positive"}', "not utf-8: byte 0xe8", 0),
        ('{"text": "one film", "text": "the film", "label": "positive"}', "holds 'text' twice", 0),
        (_text({"label": "positive"}), "text is missing", 0),
        (_text({**_FILM, "text": ["the", "film"]}), "text is a list, not text", 0),
        (_text({**_FILM, "label": None}), "label is missing", 0),
    ],
)


def _indented(rows: Sequence[Any]) -> list[str]:
    return [json.dumps(row, indent=2, ensure_ascii=False) for row in rows]


_LIST = Form(
    "text-classification",
    "a.json",
    _indented(small.rows("binary", 20)),
    [
        ('["the film", "positive"]', "is a list, not an object", 0),
        ('"the film"', "is a text, not an object", 0),
        ("7", "is a number, not an object", 0),
        ("null", "is a null, not an object", 0),
        (_text({"label": "positive"}), "text is missing", 0),
        *((row, said, 0) for row, said in zip(
            _indented([{**_FILM, "text": " "}, {**_FILM, "text": {"en": "the film"}}, {**_FILM, "text": ["the"]},
                       {**_FILM, "label": ""}, {**_FILM, "label": None}]),
            ["text is blank", "text is a dict, not text", "text is a list, not text", "label is missing", "label is missing"],
            strict=True)),
    ],
    header="[\n", between=",\n", footer="\n]\n",
)  # fmt: skip

_SENTENCES = Form(
    "token-classification",
    "a.conll",
    [
        "".join(f"{token}\t{tag}\n" for token, tag in zip(row["tokens"], row["tags"], strict=True))
        for row in small.rows("tagged", 20)
    ],
    [
        ("the\tO\nsoup\n", "token 'soup' has no tag", 1),
        ("the\tO\nsoup\tNN\tB-food\n", "has 3 columns, and the file's first line has 2", 1),
        ("the NN O\nsoup B-food\n", "has 3 columns, and the file's first line has 2", 0),
        ("the\tO\nsoup\t7\n", "tags hold what is no tag ('7' is no tag)", 0),
        ("the\tO\nsoup\t\n", "tags hold what is no tag ('' is no tag)", 0),
        ("the\tO\n\tB-food\n", "tokens hold a blank one (number 2)", 0),
        ("the\tO\nso\0up\tB-food\n", "NUL byte at character 3", 1),
        (b"the\tO\nso" + b"\xfb" + b"p\tB-food\n", "not utf-8: byte 0xfb", 1),
        ("the\tO\nsoup\tB-food O\nhere\tO\tO\n", "has 3 columns", 2),
        ("\t\tO\n", "has 3 columns", 0),
    ],
)

_SOUP = "they had the soup here"
_SPAN = {"start": 9, "end": 17, "type": "food"}


def _marked(*entities: Any, text: Any = _SOUP) -> str:
    return _text({"text": text, "entities": list(entities)})


_SPANS = Form(
    "token-classification",
    "a.jsonl",
    [_text(row) for row in small.rows("entities", 20)],
    [
        (_marked({**_SPAN, "end": 99}), "outside of the text (entity 1, 9 to 99 of 22 characters)", 0),
        (_marked({**_SPAN, "end": 9}), "one ends before or where it starts (entity 1, 9 to 9)", 0),
        (_marked({**_SPAN, "start": "9"}), "have no whole number as start (entity 1: '9')", 0),
        (_marked({"start": 9, "end": 17}), "have no type", 0),
        (_marked(_SPAN, {**_SPAN, "start": 13}), "overlap (9 to 17 and 13 to 17)", 0),
        (_marked({**_SPAN, "kind": "x"}), "keys that are not known (entity 1: kind)", 0),
        (_marked({**_SPAN, "text": "soup"}), "have another text than stands there", 0),
        (_marked("soup"), "hold what is neither", 0),
        (_text({"text": _SOUP, "entities": None}), "entities is missing; write []", 0),
        (_marked(_SPAN, text=" "), "text is missing, and so is tokens", 0),
    ],
)


def _clue(label: Any, text: Any = _SOUP) -> str:
    return _text({"text": text, "label": label})


def _clue_row(row: dict[str, Any]) -> str:
    """A text with its entities as CLUENER writes them: by type and mention, the last character within."""
    label: dict[str, dict[str, list[list[int]]]] = {}
    for one in row["entities"]:
        mention = row["text"][one["start"] : one["end"]]
        label.setdefault(one["type"], {}).setdefault(mention, []).append([one["start"], one["end"] - 1])
    return _clue(label, row["text"])


_CLUENER = Form(
    "token-classification",
    "train.json",
    [_clue_row(row) for row in small.rows("entities", 20)],
    [
        (_clue({"food": {"the soup": [[9, 99]]}}), "outside of the text (entity 1, 9 to 100 of 22 characters)", 0),
        (_clue({"food": {"the soup": [[9, 17]]}}), "have another text than stands there", 0),
        (_clue({"food": {"the soup": [[9, 8]]}}), "one ends before or where it starts (entity 1, 9 to 9)", 0),
        (_clue({"food": {"the soup": [9, 16]}}), "neither a list nor {type: {mention: [[first, last]]}}", 0),
        (_clue({"food": ["the soup"]}), "neither a list nor {type: {mention: [[first, last]]}}", 0),
        (_clue({"food": {"the soup": [["9", "16"]]}}), "neither a list nor {type: {mention: [[first, last]]}}", 0),
        (_clue({"food": {"the soup": [[9, 16]]}, "money": {"soup": [[13, 16]]}}), "overlap (9 to 17 and 13 to 17)", 0),
        (_clue({"": {"the soup": [[9, 16]]}}), "have no type", 0),
        (_clue(None), "entities is missing; write []", 0),
        ('{"text": "they had the soup here", "label": {"food": {"the soup": [[9, 16]}}}', "is not JSON", 0),
    ],
)


def _asked(**changed: Any) -> dict[str, Any]:
    return {"question": "the food thing", "id": "q", "answers": [{"text": "soup", "answer_start": 13}], **changed}


def _paragraph(question: Any, **changed: Any) -> dict[str, Any]:
    return {"context": _SOUP, "qas": [question], **changed}


def _article(*paragraphs: Any) -> str:
    return json.dumps({"title": "t", "paragraphs": list(paragraphs)}, indent=1)


def _good_article(row: dict[str, Any]) -> str:
    places = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
    answers = [{"text": text, "answer_start": start} for text, start in places]
    return _article({"context": row["context"], "qas": [{"question": row["question"], "answers": answers}]})


def _in_article(question: Any, said: str) -> tuple[str, str, int]:
    """In an article with one paragraph, the question starts on the seventh line."""
    text = _article(_paragraph(question))
    assert text.splitlines()[5].strip() == '"qas": ['
    return text, said, 6


_SQUAD_BAD: list[tuple[str | bytes, str, int]] = [
    _in_article(_asked(answers=[{"text": "soup", "answer_start": 9}]), "at 9 stands 'the' and not 'soup'"),
    _in_article(_asked(answers=[{"text": "bread", "answer_start": 9}]), "which is nowhere"),
    _in_article(_asked(answers=[{"answer_start": 9}]), "hold None where a text should be"),
    _in_article(_asked(answers="broth"), "answers are not in the context: 'broth'"),
    _in_article(_asked(answers=[{"text": "soup", "answer_start": 13}], is_impossible=True), "is_impossible is true"),
    _in_article(_asked(question=" "), "question is blank"),
    _in_article({"question": "the food thing"}, "answers are missing"),
    _in_article("the food thing", "a question is a text, not an object"),
    (_article({"context": _SOUP}), 'a paragraph has no list "qas"', 3),
    (_text({"title": "t", "paragraphs": _SOUP}), 'an article has no list "paragraphs"', 0),
]
_SQUAD = Form(
    "question-answering",
    "a.json",
    [_good_article(row) for row in small.rows("questions", 20)],
    _SQUAD_BAD,
    header='{"version": "1",\n"data": [\n',
    between=",\n",
    footer="\n]}\n",
)


def _chinese(question: str = "吃了什么？", day: str = "今天", **changed: Any) -> str:
    row = {"id": "TRAIN_1", "question": question, "answers": [{"text": "汤面", "answer_start": 5}], **changed}
    return _text(
        {
            "id": "T",
            "title": "饭",
            "paragraphs": [{"id": "T", "context": f"他们在这里汤面和面包{day}都吃了", "qas": [row]}],
        }
    )


_CMRC = Form(
    "question-answering",
    "train.json",
    [_chinese(day=f"{number}日") for number in range(20)],
    [
        (_chinese(answers=[{"text": "汤面", "answer_start": 4}]), "which starts at 5", 0),
        (_chinese(answers=[{"text": "汤面", "answer_start": -1}]), "at -1 stands nothing", 0),
        (_chinese(answers=[{"text": "米饭", "answer_start": 5}]), "which is nowhere", 0),
        (_chinese(answers=[{"text": "汤面", "answer_start": "5"}]), "start at '5', which is no number", 0),
        (_chinese(answers=[{"text": "汤面"}, {"text": "面"}]), "are at several places of the context", 0),
        (_chinese(answers=[{"text": "", "answer_start": 5}]), "hold a blank text", 0),
        (_chinese(answers=[{"text": 5.5, "answer_start": 5}]), "hold 5.5 where a text should be", 0),
        (_chinese(answers=None), "answers are missing", 0),
        (_chinese(""), "question is blank", 0),
        (_chinese(question=["吃"]), "question is a list, not text", 0),  # type: ignore[arg-type]
    ],
    header='{"version": "v1.0", "data": [\n',
    between=",\n",
    footer="\n]}\n",
)


def _news(label: Any, sentence: Any) -> str:
    return _text({"label": label, "label_desc": "news", "sentence": sentence, "keywords": ""})


_TNEWS = Form(
    "text-classification",
    "train.json",
    [_news(str(100 + number % 2), f"第{number}条新闻") for number in range(20)],
    [
        (_news("100", ""), "text is blank", 0),
        (_news("100", "  "), "text is blank", 0),
        (_news("100", None), "text is missing", 0),
        (_news("100", ["新闻"]), "text is a list, not text", 0),
        (_news("", "一条新闻"), "label is missing", 0),
        (_news(None, "一条新闻"), "label is missing", 0),
        (_text({"label_desc": "news", "sentence": "一条新闻"}), "label is missing", 0),
        ('{"label": "100", "sentence": "一条"新闻"}', "is not JSON", 0),
        ('{"label": "100", "sentence": "一条新闻"', "is not JSON", 0),
        ('{"label": "100", "sentence": "一条新闻"}'.encode("gb18030"), "--data.encoding gb18030", 0),
    ],
)

_PAIR = {"text": "<e1>soup</e1> for a <e2>coin</e2>", "label": "Bought(e1,e2)"}
_MARKED_PAIRS = Form(
    "relation-extraction",
    "a.jsonl",
    [_text(row) for row in small.rows("marked", 20)],
    [
        (_text({**_PAIR, "text": "soup for a coin"}), "has no <e1>..</e1> and <e2>..</e2>", 0),
        (_text({**_PAIR, "text": "<e1>soup</e1> for a coin"}), "text has no <e2>", 0),
        (_text({**_PAIR, "text": "<e1>soup for a <e2>coin</e2>"}), "text has no </e1>", 0),
        (_text({**_PAIR, "text": "<e1>soup</e1> <e1>for</e1> <e2>coin</e2>"}), "text has <e1> twice", 0),
        (_text({**_PAIR, "text": "<e1></e1> for a <e2>coin</e2>"}), "text has nothing between <e1> and </e1>", 0),
        (_text({**_PAIR, "text": None}), "text is missing", 0),
        (_text({**_PAIR, "text": " "}), "text is blank", 0),
        (_text({**_PAIR, "text": ["soup"]}), "text is a list, not text", 0),
        (_text({**_PAIR, "label": None}), "label is missing", 0),
        (_text({**_PAIR, "label": " "}), "label is blank", 0),
    ],
)

_TRIPLES_ROW = {
    "text": _SOUP,
    "entities": [{"start": 9, "end": 17, "type": "food"}, {"start": 18, "end": 22, "type": "money"}],
}


def _related(**changed: Any) -> str:
    return _text({**_TRIPLES_ROW, "relations": [{"head": 0, "tail": 1, "type": "costs", **changed}]})


_TRIPLES = Form(
    "relation-extraction",
    "a.jsonl",
    [_text(row) for row in small.rows("triples", 20)],
    [
        (_related(tail=2), "of an entity that does not exist (relation 1: tail 2", 0),
        (_related(head=-1), "of an entity that does not exist (relation 1: head -1", 0),
        (_related(head="0"), "have no whole number as head (relation 1: '0')", 0),
        (_related(tail=None), "have no whole number as tail (relation 1: None)", 0),
        (_related(head=1), "of an entity to itself (relation 1: entity 1)", 0),
        (_related(type=""), "one has no type (relation 1)", 0),
        (_text({**_TRIPLES_ROW, "relations": ["costs"]}), "hold what is no {head, tail, type} (relation 1)", 0),
        (_text({**_TRIPLES_ROW, "relations": "costs"}), "relations is not JSON", 0),
        (_text({**_TRIPLES_ROW, "relations": None}), "relations is missing; write []", 0),
        (_text({**_TRIPLES_ROW, "entities": None, "relations": []}), "entities is missing; write []", 0),
    ],
)

_ALIKE = {"text": "the soup", "text_pair": "the bread", "score": 3}
_SIMILAR = Form(
    "sentence-similarity",
    "a.jsonl",
    [_text(row) for row in small.rows("alike", 20)],
    [
        (_text({**_ALIKE, "score": None}), "score is missing", 0),
        (_text({**_ALIKE, "score": ""}), "score is missing", 0),
        (_text({**_ALIKE, "score": "three"}), "score is not a number", 0),
        ('{"text": "the soup", "text_pair": "the bread", "score": NaN}', "score is missing", 0),
        ('{"text": "the soup", "text_pair": "the bread", "score": Infinity}', "score is not a number", 0),
        (_text({**_ALIKE, "score": [3]}), "score is not a number", 0),
        (_text({**_ALIKE, "text": " "}), "text is blank", 0),
        (_text({**_ALIKE, "text": None}), "text is missing", 0),
        (_text({**_ALIKE, "text_pair": " "}), "text_pair is blank", 0),
        (_text({**_ALIKE, "text_pair": ["the bread"]}), "text_pair is a list, not text", 0),
    ],
)

_SUMMARY = {"text": "the soup and the bread", "summary": "the food thing"}
_SUMMARIES = Form(
    "summarization",
    "a.jsonl",
    [_text(row) for row in small.rows("summaries", 20)],
    [
        (_text({**_SUMMARY, "text": None}), "text is missing", 0),
        (_text({**_SUMMARY, "text": "\n"}), "text is blank", 0),
        (_text({**_SUMMARY, "text": {"en": "a"}}), "text is a dict, not text", 0),
        ('{"text": NaN, "summary": "the food thing"}', "text is missing", 0),
        (_text({**_SUMMARY, "summary": None}), "summary is missing", 0),
        (_text({**_SUMMARY, "summary": ""}), "summary is blank", 0),
        (_text({**_SUMMARY, "summary": ["a"]}), "summary is a list, not text", 0),
        (_text({**_SUMMARY, "references": 7}), "references", 0),
        (_text({**_SUMMARY, "references": [7]}), "references", 0),
        (_text({**_SUMMARY, "references": [" "]}), "references", 0),
    ],
)

FORMS = {
    "marked pairs": _MARKED_PAIRS,
    "triples": _TRIPLES,
    "similarity": _SIMILAR,
    "summaries": _SUMMARIES,
    "csv": _table(","),
    "tsv": _table("\t"),
    "jsonl": _LINES,
    "json": _LIST,
    "conll": _SENTENCES,
    "spans": _SPANS,
    "squad": _SQUAD,
    "cluener": _CLUENER,
    "cmrc": _CMRC,
    "tnews": _TNEWS,
}


def errors_of(command: list[str], capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """What ``check`` tells of each row that it refuses: where, and why."""
    assert cli.main(command) == 2
    printed = capsys.readouterr()
    assert printed.err == ""
    told = []
    for one in json.loads(printed.out)["findings"]:
        for example in one["examples"] if one["severity"] == "error" else ():
            where, _, detail = example.partition(": ")
            told.append((where, f"{one['message'].rpartition(': ')[0]} ({detail}), {one['hint']}"))
    return told


def check_told(command: list[str], bad: Sequence[tuple[str, str]], capsys: pytest.CaptureFixture[str]) -> None:
    """Every bad row is told by its place and reason, and left out where that is asked for."""
    told = errors_of(command, capsys)
    assert len(bad) == 10
    for where, said in bad:
        here = [text for place, text in told if place == where]
        missed = [] if any(said in text for text in here) else [f"{where}: {said}, and what is told is {here or told}"]
        assert not missed
    assert len(told) == 10
    assert cli.main([*command, "--data.bad_rows", "drop"]) == 0


@pytest.mark.parametrize("name", FORMS)
def test_each_bad_row_is_told(
    name: str,
    tmp_path: Path,
    model: Callable[..., Path],
    writer: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    form, file = FORMS[name], tmp_path / FORMS[name].name
    lines = form.write(file)
    base = writer("t5") if form.task == "summarization" else model("bert")
    command = ["check", str(file), "--task", form.task, "--model.base", str(base), "--json"]
    command += ["--model.window_overlap", "8"]
    check_told(command, [(f"{file}:{line}", said) for line, (_, said, _) in zip(lines, form.bad, strict=True)], capsys)


_BRAT_BAD = [
    ("T1\tfood 9 17\tsoup", "T1 is 'soup', and in the text stands 'the soup'"),
    ("T2\tfood 9 99\tthe soup", "T2 is from 9 to 99, and the text has 22 characters"),
    ("T3\tfood 17 9\tthe soup", "T3 is from 17 to 9"),
    ("T4\tfood 5 8;13 17\thad soup", "T4 is in several pieces"),
    ("T5 food 9 17 the soup", "is no line of brat"),
    ("T6\tfood nine 17\tthe soup", "is no line of brat"),
    ("T1\tfood 0 4\tthey", "T1 was on a line before"),
    ("T8\tmoney 5 12\thad the", "T8 shares characters with T0"),
    ("R1\tcosts Arg1:T0 Arg2:T77", "there is no entity T77"),
    ("R2\tcosts Arg1:T0 Arg2:T0", "relates T0 to itself"),
]


@pytest.mark.parametrize("task", ["token-classification", "relation-extraction"])
def test_each_bad_line_of_brat_is_told(
    task: str, tmp_path: Path, model: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    small.write_brat(tmp_path / "data", 20)
    bad = tmp_path / "data" / "bad.ann"
    bad.with_suffix(".txt").write_text(_SOUP)
    bad.write_text("\n".join(["T0\tfood 5 8\thad", *(line for line, _ in _BRAT_BAD)]))
    command = ["check", str(tmp_path / "data"), "--task", task, "--model.base", str(model("bert")), "--json"]
    command += ["--model.window_overlap", "8"]
    check_told(command, [(f"{bad}:{line}", said) for line, (_, said) in enumerate(_BRAT_BAD, 2)], capsys)


def test_each_bad_pair_of_lines_is_told(
    tmp_path: Path, writer: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bad: list[tuple[bytes, bytes, str, str]] = [
        (b"", b"tuocs", "source is missing", "en"),
        (b"  ", b"tuocs", "source is missing", "en"),
        (b"scout", b"", "target is missing", "en"),
        (b"scout", b"\t", "target is missing", "en"),
        (b"sc\0out", b"tuocs", "NUL byte at character 3", "en"),
        (b"scout", b"tu\0ocs", "NUL byte at character 3", "de"),
        (b"d\xe9bt", b"tbed", "not utf-8: byte 0xe9", "en"),
        (b"debt", b"tb\xe9d", "not utf-8: byte 0xe9", "de"),
        (b"", b"tb\xe9d", "not utf-8: byte 0xe9", "de"),
        (b"\xe2\x80\x83", b"tuocs", "source is missing", "en"),
    ]
    good = small.rows("translations", 20)
    for column, (name, side) in enumerate((("en", "source"), ("de", "target"))):
        rows = [row[side].encode() for row in good]
        lines = [*rows[:3], *(one[column] for one in bad), *rows[3:]]
        (tmp_path / f"a.{name}").write_bytes(b"\n".join(lines) + b"\n")
    files = {name: str(tmp_path / f"a.{name}") for name in ("en", "de")}
    files["both"] = ",".join(files.values())
    command = ["check", files["both"], "--task", "translation", "--model.base", str(writer("t5")), "--json"]
    places = [(files["both"] if "missing" in said else files[name], said) for _, _, said, name in bad]
    check_told(command, [(f"{file}:{line}", said) for line, (file, said) in enumerate(places, 4)], capsys)
