"""Ranges in configs: how they are written, what is refused, and what becomes of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tunesmith import config as configs
from tunesmith.errors import UsageError
from tunesmith.params import Choices, Range
from tunesmith.search import space
from tunesmith.search.space import Dimension, Space


def read(
    file: Path | None = None, flags: dict[str, str] | None = None, **keywords: Any
) -> tuple[configs.Config, Space]:
    return space.read(configs.merge(file, flags, keywords, environment={}))


def ranges(found: Space) -> dict[str, Range | Choices]:
    return {one.path: one.range for one in found.dimensions}


def refusal(**flags: str) -> str:
    with pytest.raises(UsageError) as error:
        read(flags={name.replace("__", "."): text for name, text in flags.items()})
    return str(error.value)


def test_flags_may_hold_ranges_and_choices() -> None:
    flags = {
        "train.learning_rate": "1e-5:1e-3:log",
        "train.epochs": "1:4",
        "train.batch_size": "8, 16,32",
        "train.optimizer": "adamw,lion",
        "train.warm_start": "true,false",
        "train.gradient_clip": "none,0.5",
        "train.patience": "2",
    }
    config, found = read(flags=flags)
    assert ranges(found) == {
        "train.learning_rate": Range(1e-5, 1e-3, log=True),
        "train.epochs": Range(1, 4),
        "train.batch_size": Choices((8, 16, 32)),
        "train.optimizer": Choices(("adamw", "lion")),
        "train.warm_start": Choices((True, False)),
        "train.gradient_clip": Choices((None, 0.5)),
    }
    assert config.train.learning_rate is None
    assert config.train.patience == 2


def test_yaml_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(
        "train:\n  learning_rate: {low: 1e-5, high: 1.0e-3, log: true}\n  batch_size: [8, 16]\n  epochs: 1:4\n"
        "  warmup: search\ntask:\n  loss: search\n"
    )
    _, found = read(file)
    assert ranges(found) == {
        "train.learning_rate": Range(1e-5, 1e-3, log=True),
        "train.batch_size": Choices((8, 16)),
        "train.epochs": Range(1, 4),
        "train.warmup": Range(0, 0.2),
        "task.loss": Choices(("cross-entropy", "focal")),
    }
    assert all(one.asked for one in found.dimensions)


def test_python_may_give_the_objects_themselves() -> None:
    _, found = read(
        train={"epochs": Range(1, 4), "batch_size": Choices((8, 16)), "learning_rate": {"low": 1e-5, "high": 1}}
    )
    assert ranges(found) == {
        "train.epochs": Range(1, 4),
        "train.batch_size": Choices((8, 16)),
        "train.learning_rate": Range(1e-5, 1),
    }


def test_without_a_range_all_declared_ones_are_searched_but_for_what_was_given() -> None:
    config, found = read(flags={"train.learning_rate": "3e-5", "adapter": "lora"})
    paths = ranges(found)
    assert config.train.learning_rate == 3e-5
    assert "train.learning_rate" not in paths
    assert {"train.epochs", "train.batch_size", "model.dropout", "adapter.rank", "task.loss"} <= set(paths)
    assert not any(path.startswith(("request.", "data.")) for path in paths)
    assert not any(one.asked for one in found.dimensions)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"train__epochs": "4:1"}, "a range goes up: 4 is not below 1"),
        ({"train__learning_rate": "0:1:log"}, "a logarithmic range begins above 0"),
        ({"train__dropout": "0:1"}, "unknown parameter 'train.dropout'"),
        ({"model__dropout": "0:1"}, "legal: number >= 0 and < 1"),
        ({"train__batch_size": "8,x"}, "--train.batch_size: train.batch_size = 'x'"),
        ({"train__batch_size": "8,,16"}, "has no value beside a comma"),
        ({"train__batch_size": "8,8"}, "choices are two different values or more"),
        ({"train__batch_size": "1.5:8"}, "train.batch_size = 1.5"),
        ({"train__optimizer": "adamw,lions"}, "did you mean 'lion'?"),
        ({"train__seed": "1:5"}, "train.seed cannot be searched: every trial has the same seed"),
        ({"data__limit": "100:200"}, "data.limit cannot be searched: every trial must learn from the same rows"),
        ({"train__l1": "search"}, "train.l1 has no declared range"),
        ({"train__epochs": "one:two"}, "is no range of numbers"),
    ],
)
def test_what_cannot_be_searched_is_refused(flags: dict[str, str], said: str) -> None:
    assert said in refusal(**flags)


def test_all_problems_are_told_at_once() -> None:
    said = refusal(train__epochs="4:1", train__learning_rate="0:1:log", train__seed="1:2")
    assert said.count("\n  - ") == 3


def test_a_text_with_commas_is_no_range_where_nothing_can_be_searched() -> None:
    config, found = read(flags={"data.train": "train.en,train.de", "train.epochs": "1:2", "columns.text": "a,b"})
    assert config.data.train == "train.en,train.de"
    assert set(ranges(found)) == {"train.epochs"}


def test_a_list_is_a_value_where_a_list_is_expected() -> None:
    config, found = read(flags={"track.to": "tensorboard,wandb", "train.epochs": "1:2"})
    assert config.track.to == ("tensorboard", "wandb")
    assert set(ranges(found)) == {"train.epochs"}


def test_a_mapping_is_a_value_where_a_mapping_is_expected() -> None:
    config, found = read(**{"task.class_weights": {"low": 1.0, "high": 2.0}, "train.epochs": "1:2"})
    assert dict(config.task)["class_weights"] == {"low": 1.0, "high": 2.0}
    assert set(ranges(found)) == {"train.epochs"}


def test_the_nearest_place_of_defaults() -> None:
    choices = Dimension("a", Choices((8, 16, 32)))
    assert [choices.nearest(value) for value in (16, 20, 1000, None)] == [16, 16, 32, 8]
    numbers = Dimension("b", Range(1e-4, 1e-2, log=True))
    assert numbers.nearest(1e-3) == 1e-3
    assert numbers.nearest(1.0) == 1e-2
    assert numbers.nearest(None) == pytest.approx(1e-3)
    assert Dimension("c", Range(1, 8), whole=True).nearest(None) == 4
    truth = Dimension("d", Choices((True, 1)))
    assert truth.nearest(1) is not True
    assert truth.value(1) == 1
    assert truth.value(1) is not True


def test_points_of_a_grid() -> None:
    assert Dimension("a", Range(1e-4, 1e-2, log=True)).points(3) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert Dimension("b", Range(1, 2), whole=True).points(5) == [1, 2]
    both = Space((Dimension("a", Range(0, 1)), Dimension("b", Choices(("x", None)))))
    assert list(both.grid(2)) == [
        {"a": 0.0, "b": "x"},
        {"a": 0.0, "b": None},
        {"a": 1.0, "b": "x"},
        {"a": 1.0, "b": None},
    ]


def test_a_space_survives_its_storage() -> None:
    made = Space(
        (
            Dimension("a", Range(1e-4, 1e-2, log=True)),
            Dimension("b", Range(1, 8), whole=True, asked=False),
            Dimension("c", Choices((None, True, 2, "x", ["q", "v"]))),
        )
    )
    assert Space.from_json(made.to_json()) == made
    assert made.values({"a": 1e-3, "b": 2, "c": '["q", "v"]'}) == {"a": 1e-3, "b": 2, "c": ["q", "v"]}
    drawn = made.distributions()
    assert drawn["a"].log  # type: ignore[attr-defined]
    assert drawn["b"].high == 8  # type: ignore[attr-defined]
    assert math.isclose(drawn["a"].low, 1e-4)  # type: ignore[attr-defined]
    assert drawn["c"].choices[-1] == '["q", "v"]'  # type: ignore[attr-defined]
