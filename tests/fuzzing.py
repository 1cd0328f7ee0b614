"""Requests made up by schemathesis from a server's own description, legal and illegal ones, and what is wrong with the answers."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tunesmith.serving import endpoint, openapi

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass
class Findings:
    """What came of all requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest_refusal_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return self.statuses.total()


def fuzz(url: str, models: Mapping[str, str], cases: int, seed: int = 0) -> Findings:
    """Send so many requests to a server, to each model what its description makes of it.

    Routes of administrators are left out, since they change what is served.

    Args:
        url: of the server.
        models: names of its models, each with its task.
        cases: how many, at least.
        seed: of what is made up.
    """
    findings, every = Findings(), [one for model, task in models.items() for one in _operations(model, task)]
    wide = [one for one in every if one.body or one.query]
    narrow = {one.label: one for one in every if one not in wide}
    each = max(1, round((cases - len(narrow)) / 2 / len(wide)))
    with requests.Session() as session:
        for operation in narrow.values():
            _send(operation, GenerationMode.POSITIVE, 1, seed, url, session, findings)
        for operation in itertools.cycle(wide):  # where few different ones can be made up, fewer are
            for mode in GenerationMode:
                _send(operation, mode, each, seed + findings.cases, url, session, findings)
            if findings.cases >= cases:
                return findings
    return findings


def _operations(model: str, task: str) -> list[Any]:
    """What may be asked of a model: routes of other tasks are left out."""
    document = openapi.document({model: task})
    for one in endpoint.every():
        if one.tasks is not None and task not in one.tasks:
            document["paths"][one.path].pop(one.method.lower())
    document["paths"] = {path: left for path, methods in document["paths"].items() if (left := _harmless(methods))}
    return [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]


def _harmless(methods: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in methods.items() if one.get("x-scope") not in ("admin", "metrics")}


def _send(
    operation: Any, mode: GenerationMode, most: int, seed: int, url: str, session: requests.Session, findings: Findings
) -> None:
    """One after the other; nothing is raised, so that all are sent."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        began = time.monotonic()
        response = case.call(base_url=url, session=session, timeout=60)
        took_s = time.monotonic() - began
        findings.slowest_s = max(findings.slowest_s, took_s)
        if response.status_code >= 400:
            findings.slowest_refusal_s = max(findings.slowest_refusal_s, took_s)
        findings.statuses[response.status_code] += 1
        findings.routes[operation.label] += 1
        findings.wrong += _wrong(case, response)

    send()


def _wrong(case: Any, response: Any) -> Iterator[str]:
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as group:
        yield from (f"{case.as_curl_command()}\n{failure}" for failure in group.exceptions)
    except Failure as failure:
        yield f"{case.as_curl_command()}\n{failure}"
