"""How operators say which bundles are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.errors import UsageError
from tunesmith.serving.wanted import Wanted, read


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("runs/reviews", Wanted("reviews", "runs/reviews")),
        ("good=runs/reviews", Wanted("good", "runs/reviews")),
        ("good=runs/reviews@onnx", Wanted("good", "runs/reviews", "onnx")),
        ("runs/reviews@int8", Wanted("reviews", "runs/reviews", "int8")),
        ("good=runs/r@http://host:8000/v1", Wanted("good", "runs/r", "http://host:8000/v1")),
        ("runs/a=b/reviews", Wanted("reviews", "runs/a=b/reviews")),
    ],
)
def test_names_folders_and_engines(given: str, wanted: Wanted) -> None:
    assert read([given]) == (wanted,)


def test_a_folder_that_is_there_may_have_any_name(tmp_path: Path) -> None:
    odd = tmp_path / "a=b@onnx"
    odd.mkdir()
    assert read([str(odd)]) == (Wanted("a=b@onnx", str(odd)),)
    assert read([f"good={odd}"]) == (Wanted("good", str(odd)),)
    assert read([f"good={odd}@int8"]) == (Wanted("good", str(odd), "int8"),)


def test_an_unknown_engine_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no engine 'onx'[\s\S]*onnx"):
        read(["good=runs/reviews@onx"])


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two bundles are called 'reviews'"):
        read(["a/reviews", "b/reviews"])
