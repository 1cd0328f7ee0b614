"""The config: one suite over every parameter of every task and adapter, then saving and calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tunesmith import config, params, plugins
from tunesmith.config import Config
from tunesmith.errors import Problem, UsageError
from tunesmith.params import Leaf

PLACES = ("flag", "file", "variable", "keyword")


@dataclass(frozen=True)
class Case:
    """One parameter of the config of a task and an adapter."""

    task: str
    adapter: str
    leaf: Leaf
    schema: Mapping[str, Any]

    @property
    def path(self) -> str:
        return self.leaf.path

    @property
    def names_plugin(self) -> bool:
        return self.path in ("task.name", "adapter.name")


def cases() -> Iterator[Case]:
    """Every parameter once: those of a task with each task, those of an adapter with each adapter."""
    seen = set()
    for task in plugins.names("tasks"):
        for adapter in plugins.names("adapters"):
            group = config.class_for(task, adapter)
            document = params.schema(group)
            for leaf in params.leaves(group):
                section = leaf.path.partition(".")[0]
                owner = {"task": task, "columns": task, "request": task, "adapter": adapter}.get(section, "")
                if (owner, leaf.path) not in seen:
                    seen.add((owner, leaf.path))
                    yield Case(task, adapter, leaf, row_of(document, leaf.path))


def row_of(document: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The row of a parameter in a config's JSON schema, the branch that is not null of an optional one."""
    section, _, name = path.rpartition(".")
    properties = document["properties"]
    if section:
        reference = properties[section].get("$ref") or properties[section]["allOf"][0]["$ref"]
        properties = document["$defs"][reference.rpartition("/")[2]]["properties"]
    row = properties[name]
    kinds = [kind for kind in row.get("anyOf", ()) if kind.get("type") != "null"]
    return {**row, **kinds[0]} if kinds else row


CASES = list(cases())
every_parameter = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.task}-{case.adapter}-{case.path}")


def illegal_values(case: Case) -> list[Any]:
    """Values that the declaration forbids: beyond each bound, of the wrong type, unknown names."""
    row, low, high = case.schema, -(10**6), 10**6
    kind = row.get("type")
    if "enum" in row or "const" in row:
        return ["no-such-thing", "no such thing"]
    if kind == "boolean":
        return ["perhaps", "2"]
    if kind == "array":
        return [{"a": 1}]
    if kind == "object":
        return ["many", 5, *([] if row["additionalProperties"] is True else [{"no such": "thing"}])]
    if kind == "string":
        return ["1.5.5 steps"] if "such as" in case.leaf.legal else [5, True, ["a"]]
    values: list[Any] = ["many", True, [1]]
    values += [1.5] if kind == "integer" else [float("inf")]
    values += [row["exclusiveMinimum"], low] if "exclusiveMinimum" in row else []
    values += [row["minimum"] - 1] if "minimum" in row else []
    values += [row["exclusiveMaximum"], max(high, 2 * row["exclusiveMaximum"])] if "exclusiveMaximum" in row else []
    values += [row["maximum"] + 1, high] if "maximum" in row else []
    return values


def legal_value(case: Case) -> Any:
    """A value that is legal and not the default."""
    row, default = case.schema, case.leaf.default
    kind = row.get("type")
    if case.names_plugin:
        return {"task.name": case.task, "adapter.name": case.adapter}[case.path]
    if "enum" in row:
        return next(value for value in row["enum"] if value != default)
    if kind == "boolean":
        return not default
    if kind == "array":
        if "enum" in row["items"]:
            return row["items"]["enum"][1::-1]
        numbers = row["items"].get("type") in ("integer", "number")
        return [row["items"].get("minimum", 1), 8] if numbers else ["tensorboard", "wandb"]
    if kind == "string":
        return "7 steps" if "such as" in case.leaf.legal else "review text"
    if kind == "object":
        if "type: one of" in case.leaf.legal:
            return {"type": "json_object"}
        inner = row.get("additionalProperties")
        nested = isinstance(inner, dict) and inner.get("type") == "object"
        return {"bad": {"good": 2.5}} if nested else {"4": 2.5}
    floor = row.get("minimum", row.get("exclusiveMinimum", 0))
    ceiling = row.get("maximum", row.get("exclusiveMaximum", floor + 100))
    value = floor + (ceiling - floor) * 0.75
    return round(value) if kind == "integer" else value


def as_text(value: Any) -> str:
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else json.dumps(value)
        if isinstance(value, (bool, dict))
        else str(value)
    )


def give(place: str, values: Mapping[str, Any], folder: Path, case: Case) -> tuple[Config, dict[str, str]]:
    """Resolve values given in one place; also returns the origin that an error should name for each."""
    variables = {"TUNESMITH_TASK": case.task, "TUNESMITH_ADAPTER": case.adapter}
    for path in values:
        variables.pop(f"TUNESMITH_{path.partition('.')[0].upper()}" if path.endswith(".name") else "", None)
    return resolvers[place](values, folder, variables)


def by_flag(values: Mapping[str, Any], folder: Path, variables: dict[str, str]) -> Any:
    origins = {path: f"--{path}" for path in values}
    return lambda: config.resolve(
        flags={path: as_text(value) for path, value in values.items()}, environment=variables
    ), origins


def by_variable(values: Mapping[str, Any], folder: Path, variables: dict[str, str]) -> Any:
    names = {path: f"TUNESMITH_{re.sub('[.]', '_', path).upper()}" for path in values}
    given = {names[path]: as_text(value) for path, value in values.items()}
    origins = {path: f"environment variable {name}" for path, name in names.items()}
    return lambda: config.resolve(environment={**variables, **given}), origins


def by_keyword(values: Mapping[str, Any], folder: Path, variables: dict[str, str]) -> Any:
    origins = {path: f"argument {path}" for path in values}
    return lambda: config.resolve(keywords=dict(values), environment=variables), origins


def by_file(values: Mapping[str, Any], folder: Path, variables: dict[str, str]) -> Any:
    file = folder / "config.yaml"
    lines, origins = ["# a config"], {}
    for path, value in values.items():
        section, _, name = path.rpartition(".")
        if section and f"{section}:" not in lines:
            lines.append(f"{section}:")
        at = lines.index(f"{section}:") + 1 if section else len(lines)
        lines.insert(
            at, f"{'  ' if section else ''}{name}: {yaml.safe_dump(value, default_flow_style=True).split(chr(10))[0]}"
        )
    for path in values:
        section, _, name = path.rpartition(".")
        start = lines.index(f"{section}:") if section else 0
        number = next(n for n in range(start, len(lines)) if lines[n].strip().startswith(f"{name}:"))
        origins[path] = f"{file}:{number + 1}"
    file.write_text("\n".join(lines), encoding="utf-8")
    return lambda: config.resolve(file, environment=variables), origins


resolvers = {"flag": by_flag, "file": by_file, "variable": by_variable, "keyword": by_keyword}


def problems_of(place: str, values: Mapping[str, Any], folder: Path, case: Case) -> tuple[tuple[Problem, ...], dict]:
    resolve, origins = give(place, values, folder, case)
    with pytest.raises(UsageError) as caught:
        resolve()
    return caught.value.problems, origins


def can_be_text(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


@pytest.mark.parametrize("place", PLACES)
@every_parameter
def test_illegal_values_are_refused_with_place_and_range(case: Case, place: str, tmp_path: Path) -> None:
    values = illegal_values(case)
    assert values
    is_text = case.schema.get("type") == "string" and "enum" not in case.schema and "const" not in case.schema
    for value in values:
        if place in ("flag", "variable") and (not can_be_text(value) or (is_text and not isinstance(value, str))):
            continue
        if place == "file" and value == float("inf"):
            value = "1e999"
        (problem,), origins = problems_of(place, {case.path: value}, tmp_path, case)
        assert problem.where == origins[case.path]
        if case.names_plugin:
            assert problem.message == f"unknown {case.path.partition('.')[0]} '{value}'"
            assert problem.hint
        else:
            assert problem.message.startswith(f"{case.path} = ")
            assert problem.hint == f"legal: {case.leaf.legal}"


@pytest.mark.parametrize("place", PLACES)
@every_parameter
def test_misspelt_names_are_refused_with_the_nearest(case: Case, place: str, tmp_path: Path) -> None:
    wrong = f"{case.path}{case.path[-1]}"
    (problem,), origins = problems_of(place, {wrong: "1"}, tmp_path, case)
    assert problem.where == origins[wrong]
    assert problem.message == f"unknown parameter '{wrong}'"
    assert problem.hint == f"did you mean '{case.path}'?"


@every_parameter
def test_a_value_is_the_same_wherever_it_is_given(case: Case, tmp_path: Path) -> None:
    value = legal_value(case)
    made = [give(place, {case.path: value}, tmp_path, case)[0]() for place in PLACES]
    assert made[0] == made[1] == made[2] == made[3]
    default = config.resolve(environment={"TUNESMITH_TASK": case.task, "TUNESMITH_ADAPTER": case.adapter})
    assert (made[0] == default) == case.names_plugin


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.leaf.legal.endswith(" or none")], ids=lambda case: case.path
)
def test_none_unsets_what_is_optional_everywhere(case: Case, tmp_path: Path) -> None:
    is_text = case.schema.get("type") == "string"
    for place in ("flag", "variable", *(() if is_text else ("file", "keyword"))):
        made, _ = give(place, {case.path: "none"}, tmp_path, case)
        section, _, name = case.path.rpartition(".")
        assert getattr(getattr(made(), section) if section else made(), name) is None


@every_parameter
def test_every_parameter_is_explained(case: Case) -> None:
    assert len(case.leaf.help) > 3
    assert case.leaf.help[-1] in ".?"
    assert not case.leaf.required


@pytest.mark.parametrize("adapter", plugins.names("adapters"))
@pytest.mark.parametrize("task", plugins.names("tasks"))
def test_all_problems_are_told_at_once(task: str, adapter: str, tmp_path: Path) -> None:
    group = config.class_for(task, adapter)
    document = params.schema(group)
    found = [Case(task, adapter, leaf, row_of(document, leaf.path)) for leaf in params.leaves(group)]
    wrong = {case.path: illegal_values(case)[0] for case in found if not case.names_plugin}
    for place in ("file", "keyword"):
        problems, origins = problems_of(place, wrong, tmp_path, found[0])
        assert sorted((problem.where, problem.message.split(" = ")[0]) for problem in problems) == sorted(
            (origins[path], path) for path in wrong
        )


@pytest.mark.parametrize("adapter", plugins.names("adapters"))
@pytest.mark.parametrize("task", plugins.names("tasks"))
def test_a_saved_config_repeats_itself(task: str, adapter: str, tmp_path: Path) -> None:
    group = config.class_for(task, adapter)
    document = params.schema(group)
    found = [Case(task, adapter, leaf, row_of(document, leaf.path)) for leaf in params.leaves(group)]
    filled = config.resolve(keywords={case.path: legal_value(case) for case in found}, environment={})
    file = tmp_path / "config.yaml"
    for made in (filled, config.resolve(keywords={"task": task, "adapter": adapter}, environment={})):
        file.write_text(config.to_yaml(made), encoding="utf-8")
        assert config.resolve(file, environment={}) == made.model_copy(update={"out": None})
        assert config.to_yaml(config.resolve(file, environment={})) == file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["none", "null", "yes", "1", "3e-5", "0x1f", "a: b", "#", "- x", "列", "\t", '"', "a\nb", "~"]
)
def test_any_text_survives_saving(text: str, tmp_path: Path) -> None:
    made = config.resolve(keywords={"columns.text": text, "task.class_weights": {text: 2.5}}, environment={})
    file = tmp_path / "config.yaml"
    file.write_text(config.to_yaml(made), encoding="utf-8")
    again = config.resolve(file, environment={})
    assert again == made
    assert dict(again.columns)["text"] == text
    assert dict(again.task)["class_weights"] == {text: 2.5}


def test_saved_config_is_completely_filled() -> None:
    saved = yaml.safe_load(config.to_yaml(config.resolve(environment={})))
    made = config.resolve(environment={})
    names = {f"{section}.{name}" for section, values in saved.items() if isinstance(values, dict) for name in values}
    assert names | {"out"} == {leaf.path for leaf in params.leaves(type(made))}


# calls


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_call_names_data_or_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "train: {epochs: 1}\ndata: {train: a.csv}\n")
    assert config.from_call(file).data.train == "a.csv"
    assert config.from_call(file, flags={"data.train": "b.csv"}).data.train == "b.csv"
    assert config.from_call("c.csv", keywords={"train": {"epochs": 2}}).data.train == "c.csv"
    assert config.from_call(Path("c.csv"), flags={"train.epochs": "5"}).train.epochs == 5
    assert config.from_call(None).data.train is None


@pytest.mark.parametrize(
    "call",
    [{"flags": {"data.train": "b.csv"}}, {"keywords": {"data.train": "b.csv"}}, {"keywords": {"data": {"train": "b"}}}],
)
def test_data_named_twice_is_an_error(call: dict) -> None:
    with pytest.raises(UsageError, match="training data is given twice"):
        config.from_call("a.csv", **call)


def test_classes_are_made_once() -> None:
    assert config.class_for("text-classification", "lora") is config.class_for("text-classification", "lora")
    assert config.chosen_class({"adapter": "lora", "train.epochs": "x"}) is config.class_for(
        "text-classification", "lora"
    )
    assert type(config.resolve(environment={})) is config.class_for("text-classification", "full")


def test_filling_checks() -> None:
    made = config.resolve(environment={})
    assert config.fill(made, train={"micro_tokens": 64}).train.micro_tokens == 64
    assert made.train.micro_tokens is None
    with pytest.raises(UsageError, match="micro_tokens = 1"):
        config.fill(made, train={"micro_tokens": 1})
