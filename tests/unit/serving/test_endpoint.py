"""Every route is guarded: nobody without a key learns anything but whether the server lives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from served import Served, running
from tunesmith.serving import endpoint, keys
from tunesmith.serving.endpoint import Endpoint

OPEN = {"/health", "/ready"}
EVERY = endpoint.every()
GUARDED = [one for one in EVERY if one.path not in OPEN]


@pytest.fixture(scope="module")
def guarded(bundles: Callable[..., Path], tmp_path_factory) -> Iterator[tuple[Served, dict[str, str]]]:
    """A server with keys, one for each scope and one with none."""
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    made = {scope: keys.add(file, scope, (scope,)) for scope in keys.SCOPES} | {"none": keys.add(file, "none", ())}
    with running({"reviews": bundles("binary")}, keys=str(file)) as server:
        yield server, made


def ask(server: Served, one: Endpoint, key: str | None = None):
    path = re.sub(r"\{[^}]+\}", "nobody" if one.scope == "admin" else "reviews", one.path)  # nothing is taken away
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    if one.method == "GET":
        return server.get(path, **headers)
    return server.post(path, {}, one.method, **headers)


def test_there_are_routes_of_every_kind():
    assert {one.path for one in EVERY if one.scope is None} == OPEN
    assert {one.scope for one in GUARDED} <= set(keys.SCOPES)
    assert len(GUARDED) >= 2


def code(one, reply):
    return (reply.body if one.plain_errors else reply.body["error"])["code"]


@pytest.mark.parametrize("one", GUARDED, ids=lambda one: f"{one.method} {one.path}")
def test_no_route_answers_without_a_key(guarded, one):
    server, _ = guarded
    for key in (None, "wrong"):
        reply = ask(server, one, key)
        assert (reply.status, code(one, reply)) == (401, "invalid_api_key")
        assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("one", GUARDED, ids=lambda one: f"{one.method} {one.path}")
def test_no_route_answers_a_key_that_may_not(guarded, one):
    server, made = guarded
    for scope, key in made.items():
        reply = ask(server, one, key)
        if scope == one.scope:
            assert reply.status not in (401, 403)
        else:
            assert (reply.status, code(one, reply)) == (403, "missing_scope")


@pytest.mark.parametrize("path", sorted(OPEN))
def test_whether_the_server_lives_is_open_to_all(guarded, path):
    assert guarded[0].get(path).status == 200


def test_nobody_without_a_key_learns_what_paths_there_are(guarded):
    server, made = guarded
    assert server.get("/nothing").status == 401
    assert server.post("/health", {}).status in (401, 405)
    assert server.get("/nothing", Authorization=f"Bearer {made['none']}").status == 404
