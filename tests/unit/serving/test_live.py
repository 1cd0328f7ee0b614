"""Models that change under a running server: nothing is lost or mixed up, what fails changes nothing, memory comes back."""

from __future__ import annotations

import gc
import json
import shutil
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from served import Reply, Served, running
from serving_waits import until
from tunesmith import predict

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1}
TEXTS = [f"a {word} film number {number}" for number in range(6) for word in ("fine", "dull")]


@pytest.fixture
def first(bundles: Callable[..., Path]) -> Path:
    return bundles("binary")


@pytest.fixture
def second(bundles: Callable[..., Path]) -> Path:
    return bundles("binary", **{"train.seed": 7})


@pytest.fixture
def server(first: Path) -> Iterator[Served]:
    with running({"reviews": first}, **{"bundle-folder": str(first.parent)}) as made:
        yield made


@pytest.fixture
def broken(first: Path) -> Iterator[Path]:
    """A bundle whose golden answers are others than it gives, where the server may load it from."""
    folder = shutil.copytree(first, first.parent / "broken")
    rows = [json.loads(line) for line in (folder / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
    told = [json.dumps({**row, "scores": [1 - score for score in row["scores"]]}) for row in rows]
    (folder / "golden.jsonl").write_text("\n".join(told), encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


def listed(server: Served) -> dict[str, Any]:
    return {one["name"]: one for one in server.get("/v1/admin/models").body["models"]}


def answer(server: Served, text: str, **more: Any) -> Reply:
    return server.post("/v1/predict/reviews", {"inputs": text, **more})


def test_a_model_is_loaded_told_of_and_unloaded(server: Served, second: Path) -> None:
    made = server.post("/v1/admin/models", {"name": "other", "bundle": second.name})
    assert made.status == 201, made.body
    assert server.post("/v1/predict/other", {"inputs": TEXTS}).body["answers"] == predict.load(second).answers(TEXTS)
    told = listed(server)["other"]
    assert (told["state"], told["task"], told["bundle"]) == ("ready", "text-classification", str(second))
    assert told["version"] == made.body["version"] != listed(server)["reviews"]["version"]
    again = server.post("/v1/admin/models", {"name": "other", "bundle": second.name})
    assert (again.status, again.body["error"]["code"]) == (409, "conflict")
    gone = server.post("/v1/admin/models/other", {}, method="DELETE")
    assert gone.status == 200, gone.body
    assert server.post("/v1/predict/other", {"inputs": "a film"}).body["error"]["code"] == "model_not_found"
    until(lambda: "other" not in listed(server))
    assert server.post("/v1/admin/models/other", {}, method="DELETE").status == 404


def test_nothing_is_lost_or_mixed_up_in_a_swap_under_load(server: Served, first: Path, second: Path) -> None:
    """Each answer is the one of the version that it names, and the old one's end when the new one has come."""
    expected = {
        folder: dict(zip(TEXTS, predict.load(folder).answers(TEXTS), strict=True)) for folder in (first, second)
    }
    of_version = {listed(server)["reviews"]["version"]: first}
    replies: list[tuple[str, Reply]] = []
    over = threading.Event()

    def go_on(start: int) -> None:
        number = start
        while not over.is_set():
            text = TEXTS[number % len(TEXTS)]
            replies.append((text, answer(server, text)))
            number += 1

    threads = [threading.Thread(target=go_on, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for folder in (second, first, second):
        told = server.post("/v1/admin/models/reviews", {"bundle": folder.name}, method="PUT")
        assert told.status == 200, told.body
        assert server.get("/ready").status == 200
        of_version[told.body["version"]] = folder
        count = len(replies)
        until(lambda count=count: len(replies) > count + 20)  # type: ignore[misc]
    over.set()
    for thread in threads:
        thread.join()
    until(lambda: not server.serving.live.leaving)
    assert {reply.status for _, reply in replies} == {200}
    versions = Counter(int(reply.headers["x-model-version"]) for _, reply in replies)
    assert set(versions) == set(of_version)
    for text, reply in replies:
        version = reply.body["model_version"]
        assert str(version) == reply.headers["x-model-version"]
        assert reply.body["answers"] == [pytest.approx(expected[of_version[version]][text])]
    assert len(server.serving.models._opened) == 1


def test_the_server_stays_ready_while_a_version_is_opened(server: Served, second: Path) -> None:
    states: list[tuple[int, int]] = []
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            states.append((server.get("/ready").status, answer(server, "a fine film").status))

    watching = threading.Thread(target=look)
    watching.start()
    assert server.post("/v1/admin/models/reviews", {"bundle": second.name}, method="PUT").status == 200
    over.set()
    watching.join()
    assert states
    assert set(states) == {(200, 200)}


def test_where_the_new_version_fails_the_old_one_stays(server: Served, broken: Path, first: Path) -> None:
    before = listed(server)["reviews"]
    refused = server.post("/v1/admin/models/reviews", {"bundle": broken.name}, method="PUT")
    assert (refused.status, refused.body["error"]["code"]) == (400, "invalid_bundle")
    assert "drifted" in refused.body["error"]["message"]
    (broken / "model.safetensors").write_bytes(b"nothing")
    refused = server.post("/v1/admin/models/reviews", {"bundle": broken.name}, method="PUT")
    assert "damaged" in refused.body["error"]["message"]
    assert server.post("/v1/admin/models/reviewz", {"bundle": first.name}, method="PUT").status == 404
    after = listed(server)["reviews"]
    assert (after["version"], after["state"]) == (before["version"], "ready")
    assert answer(server, "a fine film").body["answers"] == predict.load(first).answers(["a fine film"])
    assert len(server.serving.models._opened) == 1


def test_a_preset_is_chosen_and_a_broken_one_refused_at_loading(server: Served, broken: Path, first: Path) -> None:
    shutil.copy(first / "golden.jsonl", broken / "golden.jsonl")
    presets = {"sure": {"parameters": {"threshold": 0.99, "top_k": 2}}}
    (broken / "presets.json").write_text(json.dumps(presets), encoding="utf-8")
    assert server.post("/v1/admin/models/reviews", {"bundle": broken.name}, method="PUT").status == 200
    told = answer(server, "a fine film", preset="sure", top_k=1).body["effective_parameters"]
    assert (told["threshold"], told["top_k"]) == (0.99, 1)
    unknown = answer(server, "a fine film", preset="shure")
    assert (unknown.status, unknown.body["error"]["param"]) == (400, "preset")
    assert "did you mean 'sure'?" in unknown.body["error"]["message"]
    for wrong in ({"threshold": 7}, {"treshold": 0.5}, [1]):
        file = {"sure": {"parameters": {}}, "wrong": {"parameters": wrong}}
        (broken / "presets.json").write_text(json.dumps(file), encoding="utf-8")
        refused = server.post("/v1/admin/models", {"name": "other", "bundle": broken.name})
        assert (refused.status, refused.body["error"]["code"]) == (400, "invalid_bundle"), wrong
        assert "presets" in refused.body["error"]["message"]


def test_memory_of_a_version_comes_back(server: Served, second: Path) -> None:
    old = server.serving.models.find("reviews")
    assert answer(server, "a fine film").status == 200
    network = old.model.engine.network
    assert network is not None
    gone = [weakref.ref(one) for one in (old, old.worker, old.model, network, next(network.parameters()))]
    del old, network
    assert server.post("/v1/admin/models/reviews", {"bundle": second.name}, method="PUT").status == 200
    until(lambda: not server.serving.live.leaving)
    gc.collect()
    assert [one() for one in gone] == [None] * len(gone)


def test_memory_of_a_base_model_comes_back_with_its_last_adapter(bundles: Callable[..., Path]) -> None:
    folders = {
        "talk": bundles("conversations", **{**WRITES, "adapter": "lora"}),
        "short": bundles("conversations", **{**WRITES, "adapter": "lora", "train.seed": 3}),
    }
    with running(folders) as server:
        for name in folders:
            assert server.post(f"/v1/predict/{name}", {"inputs": "the bank"}).status == 200
        worker = server.serving.models.find("talk").worker
        base = weakref.ref(worker.built.scheduler._network)
        weight = weakref.ref(next(iter(worker.built.models.values())).engine.network.backbone.model.lm_head.weight)
        del worker
        assert server.post("/v1/admin/models/talk", {}, method="DELETE").status == 200
        until(lambda: not server.serving.live.leaving)
        assert server.post("/v1/predict/short", {"inputs": "the bank"}).status == 200
        gc.collect()
        assert base() is not None
        assert server.post("/v1/admin/models/short", {}, method="DELETE").status == 200
        until(lambda: not server.serving.live.leaving)
        gc.collect()
        assert (base(), weight()) == (None, None)


def test_an_answer_that_was_begun_before_a_swap_is_written_to_its_end(bundles: Callable[..., Path]) -> None:
    """The old version leaves when it has answered, and not before."""
    old, new = bundles("conversations", **WRITES), bundles("conversations", **{**WRITES, "train.seed": 3})
    expected = predict.load(old).answers(["the bank"], max_tokens=100, ignore_eos=True)[0]["answer"]
    with running({"chat": old}, **{"bundle-folder": str(old.parent)}) as server:
        served = server.serving.models.find("chat")
        plain = served.worker.built.scheduler.step
        slow = threading.Event()

        def step() -> Any:
            slow.wait(0.05)
            return plain()

        served.worker.built.scheduler.step = step
        found: list[Reply] = []

        def ask() -> None:
            found.append(server.post("/v1/predict/chat", {"inputs": "the bank", "max_tokens": 100, "ignore_eos": True}))

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: served.worker.load.running)
        told = server.post("/v1/admin/models/chat", {"bundle": new.name}, method="PUT")
        assert told.status == 200, told.body
        states = [one["state"] for one in server.get("/v1/admin/models").body["models"]]
        assert states == ["ready", "draining"]
        assert server.post("/v1/predict/chat", {"inputs": "the bank"}).body["model_version"] == told.body["version"]
        assert not found
        slow.set()
        asking.join(60)
        until(lambda: not server.serving.live.leaving)
        assert served.inside not in served.worker.built.models
    assert found[0].body["answers"][0]["answer"] == expected
    assert found[0].headers["x-model-version"] == str(served.version)


def test_what_takes_longer_than_the_drain_time_is_ended_with_an_error(bundles: Callable[..., Path]) -> None:
    old = bundles("conversations", **WRITES)
    with running({"chat": old}, **{"drain-timeout": 0.3}) as server:
        served = server.serving.models.find("chat")
        plain = served.worker.built.scheduler.step
        slow = threading.Event()

        def step() -> Any:
            slow.wait(0.2)
            return plain()

        served.worker.built.scheduler.step = step
        found: list[Reply] = []
        body = {"inputs": "the bank", "max_tokens": 100, "ignore_eos": True}
        asking = threading.Thread(target=lambda: found.append(server.post("/v1/predict/chat", body)))
        asking.start()
        until(lambda: served.worker.load.running)
        assert server.post("/v1/admin/models/chat", {}, method="DELETE").status == 200
        asking.join(10)
        slow.set()
    assert (found[0].status, found[0].body["error"]["code"]) == (503, "server_stopping")
    assert found[0].headers["retry-after"]


def test_only_bundles_of_the_folder_are_loaded_and_only_by_whom_may(
    server: Served, first: Path, tmp_path: Path
) -> None:
    for bundle in ("../", str(tmp_path), f"{first.name}/../{first.name}", "/"):
        refused = server.post("/v1/admin/models", {"name": "other", "bundle": bundle})
        assert (refused.status, refused.body["error"]["code"]) == (403, "loading_not_allowed"), bundle
    assert server.post("/v1/admin/models", {"name": "other", "bundle": "nothing"}).status == 404
    unknown = server.post("/v1/admin/models", {"name": "other", "bundel": first.name})
    assert (unknown.status, unknown.body["error"]["code"]) == (400, "unknown_parameter")
    assert server.post("/v1/admin/models", {"name": "a/b", "bundle": first.name}).status == 400
    wrong = server.post("/v1/admin/models", {"name": "other", "bundle": first.name, "engine": "onx"})
    assert (wrong.status, wrong.body["error"]["param"]) == (400, "engine")


def test_without_a_folder_nothing_is_loaded(first: Path) -> None:
    with running({"reviews": first}) as server:
        refused = server.post("/v1/admin/models/reviews", {"bundle": str(first)}, method="PUT")
    assert (refused.status, refused.body["error"]["code"]) == (403, "loading_not_allowed")
    assert "--bundle-folder" in refused.body["error"]["message"]


def test_the_admin_scope_is_asked_for(first: Path, tmp_path: Path) -> None:
    from tunesmith.serving import keys

    file = tmp_path / "keys.json"
    plain, admin = keys.add(file, "app", ("infer",)), keys.add(file, "boss", ("admin",))
    with running({"reviews": first}, keys=str(file)) as server:
        assert server.get("/v1/admin/models").status == 401
        assert server.get("/v1/admin/models", Authorization=f"Bearer {plain}").body["error"]["code"] == "missing_scope"
        assert server.get("/v1/admin/models", Authorization=f"Bearer {admin}").status == 200
