"""What is told of marked texts before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

import tiny
from tunesmith.data import word_checks
from tunesmith.tasks.token_classification import Params, Task
from tunesmith.text import encode as text


def table(*rows: dict[str, Any]) -> pa.Table:
    task = Task(Params())
    return pa.Table.from_pylist([task.read_row(row) for row in rows], schema=task.schema())


def test_rare_types_and_names_that_differ_in_case() -> None:
    found = {one.code: one for one in word_checks.type_findings(["Person", "person", "place"], [50, 3, 10])}
    assert found["rare_type"].examples == ("person: 3",)
    assert found["type_variants"].examples == ("'Person' = 'person'",)
    assert list(word_checks.type_findings(["a", "b"], [10, 99])) == []


def test_rows_that_are_in_order_have_no_findings() -> None:
    rows = table(
        {"tokens": ["Ann", "Lee"], "tags": ["B-a", "I-a"]},
        {"tokens": ["Bo"], "tags": ["O"]},
        {"text": "在上海", "entities": [[1, 3, "a"]]},
    )
    assert list(word_checks.row_findings("train", rows, ["a"])) == []


def test_a_span_that_is_not_closed_is_told_at_the_end_of_its_text() -> None:
    rows = table(
        *[{"tokens": ["Ann"], "tags": ["S-a"]}] * 5,
        {"tokens": ["Ann", "Lee"], "tags": ["B-a", "I-a"]},
    )
    [finding] = word_checks.row_findings("train", rows, ["a"])
    assert (finding.code, finding.count) == ("broken_tags", 1)
    assert finding.examples == ("row 5: the text ends after I-a",)


def test_many_breaches_are_counted_and_the_first_are_shown() -> None:
    rows = table(*[{"tokens": ["a", "b"], "tags": ["B-a", "I-a"]}] * 60, *[{"tokens": ["a"], "tags": ["I-a"]}] * 30)
    [finding] = word_checks.row_findings("test", rows, ["a"])
    assert finding.count == 30
    assert len(finding.examples) == 20
    assert finding.examples[0] == "row 60: token 1 'a' has I-a at the start"


def test_entities_inside_tokens_are_told(tmp_path: Path) -> None:
    tokenizer = text.load_tokenizer(tiny.write_tiny(tmp_path / "base", "bert"))
    rows = table({"tokens": ["fi", "lm", "was"], "text": "film was", "entities": [[0, 2, "a"], [5, 8, "b"]]})
    encoded = text.encode(rows, tokenizer, tmp_path / "a.arrow", max_length=20, offsets=True)
    [finding] = word_checks.token_findings("train", rows, encoded)
    assert (finding.code, finding.severity, finding.examples) == ("inside_token", "note", ("row 0: 'fi'",))


def test_no_rows_have_no_findings(tmp_path: Path) -> None:
    tokenizer = text.load_tokenizer(tiny.write_tiny(tmp_path / "base", "bert"))
    encoded = text.encode(table(), tokenizer, tmp_path / "a.arrow", max_length=20, offsets=True)
    assert list(word_checks.token_findings("train", table(), encoded)) == []
    assert list(word_checks.row_findings("train", table(), ["a"])) == []
