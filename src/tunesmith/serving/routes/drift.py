"""Whether what a model is asked has drifted away from its training."""

from __future__ import annotations

import time
from typing import Any

from starlette.responses import Response

from tunesmith import params
from tunesmith.params import Params, Seconds, param
from tunesmith.serving import keeping
from tunesmith.serving.call import Call
from tunesmith.serving.checking import unknown_parameters
from tunesmith.serving.endpoint import Endpoint
from tunesmith.serving.replies import answer

_FLUSH_S = 2.0


class Query(Params):
    """Which rows of the log."""

    since: Seconds | None = param(None, "Only answers that are no older, such as 7d; none: all.")
    rows: int = param(5_000, "Most rows that are looked at, the latest.", ge=1, le=20_000)


async def drift(call: Call) -> Response:
    """The report of ``tunesmith drift``, of the version that answers now."""
    given = dict(call.request.query_params)
    if unknown := [name for name in given if name not in Query.model_fields]:
        raise unknown_parameters(unknown, list(Query.model_fields))
    asked = params.check(Query, params.read_texts(Query, given), {name: name for name in given})
    served, kept = call.serving.models.find(call.path["model"]), keeping.of(call.serving)
    since = None if asked.since is None else time.time() - asked.since

    def look(log: Any) -> dict[str, Any]:
        from tunesmith.kept import report

        kept.recorder.flush(_FLUSH_S)
        origin = kept.origin(served.name, served.version, str(served.folder))
        return report.look(log, origin, served.folder, since=since, most=asked.rows).to_json()

    return answer({"model": served.name, **await kept.ask(look)})


def _gives() -> dict[str, Any]:
    listed = {"type": "array", "items": {"type": "object"}}
    properties: dict[str, Any] = {"model": {"type": "string"}, "drifted": {"type": "boolean"}, "checks": listed}
    return {"type": "object", "properties": {**properties, "weeks": listed}, "required": [*properties, "weeks"]}


ENDPOINTS = (
    Endpoint(
        "/v1/admin/drift/{model}",
        drift,
        "Whether what a model is asked has drifted away from its training.",
        "GET",
        "admin",
        gives=_gives,
        query={"since": {"type": "string"}, "rows": {"type": "integer", "minimum": 1, "maximum": 20_000}},
    ),
)
