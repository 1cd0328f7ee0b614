"""Where values come from: which place wins, and what each refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith import config
from tunesmith.errors import Problem, UsageError


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_later_places_win(tmp_path: Path) -> None:
    file = write(tmp_path, "train: {epochs: 1, seed: 1, power: 1.5}\n")
    variables = {"TUNESMITH_TRAIN_EPOCHS": "2", "TUNESMITH_TRAIN_SEED": "2"}
    made = config.resolve(file, {"train.epochs": "3"}, environment=variables)
    assert (made.train.epochs, made.train.seed, made.train.power, made.train.cycles) == (3, 2, 1.5, 1)


def test_plugins_are_chosen_before_their_parameters_are_read(tmp_path: Path) -> None:
    file = write(tmp_path, "adapter: {name: lora, rank: 4}\n")
    assert dict(config.resolve(file, environment={}).adapter)["rank"] == 4
    assert config.resolve(file, environment={}).adapter_name == "lora"
    assert config.resolve(environment={"TUNESMITH_ADAPTER": "freeze"}).adapter_name == "freeze"
    assert config.resolve(environment={"TUNESMITH_ADAPTER_NAME": "head"}).adapter_name == "head"
    assert config.resolve(flags={"adapter": "lora", "adapter.rank": "2"}, environment={}).adapter_name == "lora"
    with pytest.raises(UsageError, match=r"adapter\.rank"):
        config.resolve(file, {"adapter": "full"}, environment={})


def test_no_number_has_a_colon(tmp_path: Path) -> None:
    file = write(tmp_path, "train: {epochs: 1:30, seed: 0x10, power: 1.5}\n")
    with pytest.raises(UsageError, match=r"train\.epochs = '1:30'"):
        config.resolve(file, environment={})
    made = config.resolve(write(tmp_path, "train: {seed: 0x10, power: 1.5, epsilon: 1.0e-6}\n"), environment={})
    assert (made.train.seed, made.train.power, made.train.epsilon) == (16, 1.5, 1e-6)


def test_unknown_plugins_are_told_together() -> None:
    with pytest.raises(UsageError) as caught:
        config.resolve(flags={"task": "text-clasification", "adapter": "lorra"}, environment={})
    assert [(p.where, p.message, p.hint) for p in caught.value.problems] == [
        ("--task", "unknown task 'text-clasification'", "did you mean 'text-classification'?"),
        ("--adapter", "unknown adapter 'lorra'", "did you mean 'lora'?"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "name"),
    [
        ("train:\n  epochs: 1\n  seed: 1\n  epochs: 2\n", 4, "train.epochs"),
        ("train:\n  epochs: 1\ndata: {}\ntrain:\n  seed: 2\n", 4, "train"),
        ("train: {epochs: 1}\ntrain.epochs: 2\n", 2, "train.epochs"),
        ("task: text-classification\ntask.name: text-classification\n", 2, "task.name"),
        ("task:\n  class_weights:\n    good: 1\n    good: 2\n", 4, "task.class_weights.good"),
    ],
)
def test_a_key_given_twice_is_an_error(text: str, line: int, name: str, tmp_path: Path) -> None:
    file = write(tmp_path, text)
    with pytest.raises(UsageError, match="contradicts itself") as caught:
        config.resolve(file, environment={})
    assert f"'{name}' is given twice" in [problem.message for problem in caught.value.problems]
    assert f"{file}:{line}" in [problem.where for problem in caught.value.problems]


@pytest.mark.parametrize(
    "call",
    [
        {"flags": {"adapter": "lora", "adapter.name": "full"}},
        {"keywords": {"train": {"epochs": 1}, "train.epochs": 2}},
        {"environment": {"TUNESMITH_TASK": "a", "TUNESMITH_TASK_NAME": "b"}},
    ],
)
def test_a_value_given_twice_in_one_place_is_an_error(call: dict) -> None:
    with pytest.raises(UsageError, match="is given twice"):
        config.resolve(**{"environment": {}, **call})


def test_empty_sections_are_empty(tmp_path: Path) -> None:
    file = write(tmp_path, "task:\ntrain:\ndata:\n  seed: 3\n")
    made = config.resolve(file, environment={})
    assert made == config.resolve(keywords={"data.seed": 3}, environment={})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("train: 3\n", r"config\.yaml:1: train = 3: .*\n    legal: a section"),
        ("- a\n", "a config is a mapping"),
        ("", "a config is a mapping"),
        ("train: [\n", r"config\.yaml:2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", r"config\.yaml:2: not valid YAML"),
        ("a: !!python/object:os.system {}\n", r"config\.yaml:1: not valid YAML"),
        ("[a]: 1\n", r"config\.yaml:1: not valid YAML"),
        ("train: \x00\n", "not valid YAML"),
        ("train: {epochs: {a: 1}}\n", r"config\.yaml:1: train\.epochs = "),
        ("1: 2\n", r"config\.yaml:1: unknown parameter '1'"),
        ("train: &x {epochs: *x}\n", r"train\.epochs = "),
    ],
)
def test_broken_files_are_told_with_their_line(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=match):
        config.resolve(write(tmp_path, text), environment={})


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the config: No such file"):
        config.resolve(tmp_path / "none.yaml", environment={})
    (tmp_path / "latin.yaml").write_bytes("out: caf\u00e9".encode("latin-1"))
    with pytest.raises(UsageError, match="not valid YAML"):
        config.resolve(tmp_path / "latin.yaml", environment={})


@pytest.mark.parametrize(
    ("flags", "match"),
    [
        ({"train": "3", "train.epochs": "2"}, "--train: train = '3'"),
        ({"train.epochs": "2", "train": "3"}, "--train: train = '3'"),
        ({"train.epochs.x": "2"}, r"--train\.epochs\.x: unknown parameter 'train\.epochs\.x'"),
        ({"epochs": "2"}, r"--epochs: unknown parameter 'epochs'\n    did you mean 'train\.epochs'"),
        ({"track.to": "[a"}, r"--track\.to: track\.to = '\[a'"),
        (
            {"task.class_weights": "{good: much}"},
            r"--task\.class_weights: task\.class_weights = .*one of none, balanced or map",
        ),
        ({"task.class_weights": "{good: -1}"}, r"--task\.class_weights: task\.class_weights = "),
    ],
)
def test_strange_flags_are_refused(flags: dict[str, str], match: str) -> None:
    with pytest.raises(UsageError, match=f"(?s){match}"):
        config.resolve(flags=flags, environment={})


def test_class_weights_by_flag() -> None:
    made = config.resolve(flags={"task.class_weights": "balanced"}, environment={})
    assert dict(made.task)["class_weights"] == "balanced"
    made = config.resolve(flags={"task.class_weights": "{good: 2, bad: 0.5}"}, environment={})
    assert dict(made.task)["class_weights"] == {"good": 2.0, "bad": 0.5}


def test_misspelt_variables_are_refused_and_reserved_ones_are_not() -> None:
    with pytest.raises(UsageError) as caught:
        config.resolve(environment={"TUNESMITH_TRAIN_EPOCS": "3", "TUNESMITH_CACHE": "/x", "TUNESMITH_DEBUG": "1"})
    (problem,) = caught.value.problems
    assert problem == Problem(
        "unknown parameter 'train.epocs'", "environment variable TUNESMITH_TRAIN_EPOCS", "did you mean 'train.epochs'?"
    )


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_TRAIN_MAX_TIME", "2m")
    assert config.resolve().train.max_time == 120
    assert config.resolve(environment={}).train.max_time is None
