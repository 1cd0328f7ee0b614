"""The description of all routes: valid, complete, and its examples work."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import tunesmith
from served import Served, running
from tunesmith import plugins
from tunesmith.serving import endpoint, openapi
from tunesmith.serving.refusal import CODES

SOURCES = sorted(Path(tunesmith.__file__).parent.joinpath("serving").rglob("*.py"))


def test_it_is_openapi_and_has_every_route() -> None:
    document = openapi.document()
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    found = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert found == {(one.path, one.method) for one in endpoint.every()}


def test_a_body_has_the_request_parameters_of_every_task() -> None:
    document = openapi.document()
    content = document["paths"]["/v1/predict/{model}"]["post"]["requestBody"]["content"]["application/json"]
    assert len(content["schema"]["anyOf"]) == len(plugins.names("tasks"))
    chat = next(one for one in content["schema"]["anyOf"] if "(chat)" in one["title"])
    assert chat["properties"]["temperature"]["anyOf"][0]["maximum"] == 100
    assert "max_completion_tokens" in chat["properties"]
    assert chat["required"] == ["inputs"]
    assert (
        "temperature"
        not in next(
            one
            for one in content["schema"]["anyOf"]
            if "(translation)" not in one["title"]
            and "(chat)" not in one["title"]
            and "(summarization)" not in one["title"]
        )["properties"]
    )


def test_a_server_describes_the_models_that_it_has(every_task: Served) -> None:
    document = every_task.get("/openapi.json").body
    paths = document["paths"]
    assert (
        paths["/classify"]["post"]["requestBody"]["content"]["application/json"]["examples"]["text-classification"][
            "value"
        ]["model"]
        == "reviews"
    )
    names = paths["/v1/predict/{model}"]["post"]["parameters"][0]["schema"]["enum"]
    assert names == [served.name for served in every_task.serving.models]


def bodies(document: dict[str, Any]) -> list[tuple[str, str, Any, dict[str, Any]]]:
    """Every example: path, method, body, operation."""
    return [
        (path, method.upper(), example["value"], operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation.get("x-scope") != "admin" and path != "/v1/feedback"  # which needs what was asked before
        for example in _content(operation).get("examples", {}).values()
    ]


def _content(operation: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return found


def with_shared(schema: dict[str, Any], document: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def test_every_example_fits_its_schema_and_is_answered(every_task: Served) -> None:
    document = every_task.get("/openapi.json").body
    found = bodies(document)
    assert len(found) > 20
    for path, method, body, operation in found:
        assert with_shared(_content(operation)["schema"], document).is_valid(body), (path, body)
        for name in _models(every_task, path, operation, body):
            reply = every_task.post(path.replace("{model}", name), body, method)
            assert reply.status == 200, (path, body, reply.body)
            schema = operation["responses"]["200"]["content"].get("application/json", {}).get("schema")
            if schema is not None and not isinstance(reply.body, str):
                with_shared(schema, document).validate(reply.body)


OPERATORS = {
    ("POST", "/v1/admin/models"): 201,
    ("PUT", "/v1/admin/models/{model}"): 200,
    ("POST", "/v1/admin/models/{model}/trial"): 201,
    ("POST", "/v1/feedback"): 200,
}
"""Operations whose examples need something to be there before, in their order, with the status of each."""


def test_the_examples_that_need_something_before_them_work(bundles: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from tunesmith import exporting

    first = bundles("binary")
    for name in ("reviews-2", "reviews-3"):
        shutil.copytree(first, tmp_path / "bundles" / name)
    exporting.export(tmp_path / "bundles" / "reviews-3", "onnx")
    options = {"bundle-folder": str(tmp_path / "bundles"), "prediction-log": str(tmp_path / "log.db")}
    with running({"first": first}, **options) as server:
        document = server.get("/openapi.json").body
        server.post("/v1/predict/first", {"inputs": "a fine film"}, **{"X-Request-Id": "3f2a"})
        for (method, path), status in OPERATORS.items():
            operation = document["paths"][path][method.lower()]
            for example in _content(operation)["examples"].values():
                assert with_shared(_content(operation)["schema"], document).is_valid(example["value"]), path
                reply = server.post(path.replace("{model}", "reviews"), example["value"], method)
                assert reply.status == status, (path, reply.body)
                told = operation["responses"][str(status)]["content"]["application/json"]["schema"]
                with_shared(told, document).validate(reply.body)


def test_no_example_is_left_out() -> None:
    document = openapi.document()
    sent = {(method, path) for path, method, _, _ in bodies(document)} | set(OPERATORS)
    shown = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if _content(operation).get("examples")
    }
    assert shown == sent


def test_every_address_that_takes_no_body_answers(every_task: Served) -> None:
    for one in endpoint.every():
        if one.method != "GET" or "trial" in one.path or "drift" in one.path:  # there is none
            continue
        reply = every_task.get(one.path.replace("{model}", "reviews"))
        assert reply.status == 200, (one.path, reply.body)


def _models(server: Served, path: str, operation: dict[str, Any], body: Any) -> list[str]:
    """A model of the task that the example is for."""
    if "{model}" not in path:
        return [""]
    examples = _content(operation)["examples"]
    task = next(name for name, example in examples.items() if example["value"] == body)
    return [next(served.name for served in server.serving.models if task in ("any", served.task))]


def test_every_route_that_takes_a_body_has_an_example() -> None:
    missing = [one.path for one in endpoint.every() if one.takes is not None and not (one.example or one.examples)]
    assert missing == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_code_of_an_error_is_told(path: Path) -> None:
    """A code is a plain text in the call that makes the error."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or _called(node) not in ("Refusal", "full"):
            continue
        texts = [one.value for one in node.args[1:] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        for text in texts:
            if re.fullmatch("[a-z]+(_[a-z]+)+", text):
                assert text in CODES, f"{path}:{node.lineno}: {text} is not in refusal.CODES"


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
