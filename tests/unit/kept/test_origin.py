"""What a log tells of a bundle is enough to read its answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith import ensemble
from tunesmith.errors import BundleError
from tunesmith.kept import origin
from tunesmith.kept.origin import Origin
from tunesmith.train.run import Run


def test_it_survives_being_kept(run: Callable[..., Run]) -> None:
    folder = run("multi-label").folder
    found = origin.of_folder(folder)
    again = Origin.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.task.options == found.task.options
    assert (again.task_name, again.label_separator, again.columns["label"]) == ("text-classification", ";", "label")
    assert again.training == found.training
    assert again.training is not None
    assert again.text({"text": "a film"}) == again.text("a film") == "a film"


def test_it_is_known_by_what_was_learned(run: Callable[..., Run]) -> None:
    first, second = run("binary", out="1").folder, run("binary", count=100, out="2").folder
    assert origin.id_of(first) != origin.id_of(second)
    (first / "training.json").unlink()
    assert origin.of_folder(first).training is None
    both = first.parent / "both"
    ensemble.write([first, second], both, {})
    assert origin.of_folder(both).target == origin.of_folder(first).target
    assert origin.id_of(both) not in (origin.id_of(first), origin.id_of(second))


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        origin.of_folder(tmp_path)
    with pytest.raises(BundleError):
        origin.id_of(tmp_path)
