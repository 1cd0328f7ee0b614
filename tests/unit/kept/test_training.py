"""What a bundle remembers of its training rows: little, no texts, and enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
from tunesmith import bundle, cli
from tunesmith.errors import BundleError
from tunesmith.kept.training import FILE, Sample, Summary
from tunesmith.train.run import Run


def test_a_bundle_remembers_its_rows(run: Callable[..., Run]) -> None:
    folder = run("multi-class").folder
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    found = Summary.of(folder)
    assert found is not None
    assert found.to_json() == {**told, "lengths": found.to_json()["lengths"], **_samples(found)}
    assert found.rows == 128
    assert sum(found.labels.values()) == 128
    assert found.lengths is not None
    assert found.lengths.rows == 128
    assert max(found.lengths.values) <= 10
    assert sum(found.answers.values()) == found.answered == found.confidence.rows == 16
    assert found.numbers.rows == 0
    assert found.words["the"] >= 5
    assert min(found.words.values()) >= 5
    assert found.unlisted.rows == 16


def _samples(found: Summary) -> dict[str, Any]:
    return {name: found.to_json()[name] for name in ("unlisted", "confidence", "numbers")}


def test_it_is_no_part_of_what_a_bundle_is_known_by(run: Callable[..., Run]) -> None:
    folder = run("binary").folder
    assert FILE not in json.loads((folder / "bundle.json").read_text())["files"]
    (folder / FILE).unlink()
    bundle.open_bundle(folder)
    assert Summary.of(folder) is None


def test_words_of_few_rows_are_not_kept(run: Callable[..., Run], tmp_path: Path, parameters: Any) -> None:
    rows = small.rows("binary", 80)
    for row in rows[:4]:
        row["text"] += " secretname"
    for row in rows:
        row["text"] += " 电影"
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = Summary.of(run("binary", **{"data.train": str(file)}).folder)
    assert found is not None
    assert "secretname" not in found.words
    assert found.words["电"] == found.words["影"] == found.rows
    assert found.unknown_tokens > 0.05


def test_a_damaged_or_newer_one_is_told(run: Callable[..., Run]) -> None:
    folder = run("binary").folder
    for content in ("{", '{"format": 1}', "[]", '{"format": 99}'):
        (folder / FILE).write_text(content)
        with pytest.raises(BundleError, match=r"training\.json"):
            Summary.of(folder)


def test_a_merged_bundle_remembers_too(run: Callable[..., Run], tmp_path: Path) -> None:
    folder = run("binary", adapter="lora").folder
    assert cli.main(["merge", str(folder), "--out", str(tmp_path / "merged")]) == 0
    assert Summary.of(tmp_path / "merged") == Summary.of(folder)


def test_a_sample_of_many_values_keeps_their_quantiles() -> None:
    found = Sample.of(range(100_001))
    assert (found.rows, len(found.values)) == (100_001, 1_001)
    assert (found.values[0], found.values[500], found.values[-1]) == (0, 50_000, 100_000)
