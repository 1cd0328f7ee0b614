"""Two versions of a model beside each other: by a share of the traffic, or by copies that nobody sees."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from served import Reply, Served, running
from serving_waits import until
from tunesmith import predict, presets
from tunesmith.errors import EngineError
from tunesmith.presets import Preset
from tunesmith.serving.worker import Worker

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1}
TRIAL = "/v1/admin/models/reviews/trial"
TEXTS = [f"a {word} film number {number}" for number in range(20) for word in ("fine", "dull")]


@pytest.fixture
def first(bundles: Callable[..., Path]) -> Path:
    return bundles("binary")


@pytest.fixture
def second(bundles: Callable[..., Path]) -> Path:
    """It answers otherwise than the first."""
    return bundles("binary", **{"train.seed": 7, "train.epochs": 1, "request.threshold": 0.9})


@pytest.fixture
def server(first: Path) -> Iterator[Served]:
    with running({"reviews": first}, **{"bundle-folder": str(first.parent), "log-texts": True}) as made:
        yield made


def start(server: Served, bundle: Path, share: float, *, shadow: bool = False) -> dict[str, Any]:
    made = server.post(TRIAL, {"bundle": bundle.name, "share": share, "shadow": shadow})
    assert made.status == 201, made.body
    found: dict[str, Any] = made.body
    return found


def answer(server: Served, text: str, **more: Any) -> Reply:
    return server.post("/v1/predict/reviews", {"inputs": text, **more})


def test_a_share_of_the_traffic_is_answered_by_the_second(server: Served, first: Path, second: Path) -> None:
    told = start(server, second, 0.5)
    current, trial = told["current"]["version"], told["trial"]["version"]
    of_version = {current: predict.load(first), trial: predict.load(second)}
    replies = [(text, answer(server, text)) for text in TEXTS * 2]
    for text, reply in replies:
        version = int(reply.headers["x-model-version"])
        assert reply.body["model_version"] == version
        assert reply.body["answers"] == [pytest.approx(of_version[version].answers([text])[0])]
        assert reply.body["effective_parameters"]["threshold"] == (0.9 if version == trial else None)
    count = sum(int(reply.headers["x-model-version"]) == trial for _, reply in replies)
    assert 20 < count < 60  # of 80, each with a chance of one half: five standard deviations
    report = server.get(TRIAL).body
    assert report["trial"]["requests"] == count
    assert report["current"]["requests"] == 80 - count
    assert report["current"]["latency_ms"]["median"] > 0
    assert sum(report["current"]["labels"].values()) == pytest.approx(1)
    assert (report["compared"], report["agreement"]) == (0, None)


def test_a_user_gets_one_version(server: Served, second: Path) -> None:
    start(server, second, 0.5)
    users = [f"user {number}" for number in range(20)]
    seen = {user: {answer(server, "a film", user=user).body["model_version"] for _ in range(4)} for user in users}
    assert {len(versions) for versions in seen.values()} == {1}
    assert len(set.union(*seen.values())) == 2


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_none_or_all(server: Served, second: Path, share: float) -> None:
    told = start(server, second, share)
    versions = {answer(server, text).body["model_version"] for text in TEXTS[:10]}
    assert versions == {told["trial" if share else "current"]["version"]}


def test_other_forms_of_the_question_go_the_same_way(server: Served, second: Path) -> None:
    """Each route tells of the version that answered."""
    version = start(server, second, 1.0)["trial"]["version"]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a film"]}
    bodies = {
        "/v2/models/reviews/infer": {"inputs": [tensor]},
        "/hf/reviews": {"inputs": "a film"},
        "/classify": {"model": "reviews", "input": "a film"},
    }
    for path, body in bodies.items():
        reply = server.post(path, body)
        assert reply.status == 200, reply.body
        assert reply.headers["x-model-version"] == str(version), path
    assert server.post("/v2/models/reviews/infer", bodies["/v2/models/reviews/infer"]).body["model_version"] == str(
        version
    )


def test_copies_are_compared_and_nobody_gets_their_answers(server: Served, first: Path, second: Path) -> None:
    told = start(server, second, 1.0, shadow=True)
    plain, other = predict.load(first).answers(TEXTS), predict.load(second).answers(TEXTS)
    for number, text in enumerate(TEXTS):
        reply = answer(server, text)
        assert reply.body["model_version"] == told["current"]["version"]
        assert reply.body["answers"] == [pytest.approx(plain[number])]
        until(lambda number=number: server.get(TRIAL).body["compared"] == number + 1)  # type: ignore[misc]
    report = server.get(TRIAL).body
    labels = [(one["label"], two["label"]) for one, two in zip(plain, other, strict=True)]
    gaps = [abs(one["score"] - two["score"]) for one, two in zip(plain, other, strict=True)]
    assert report["agreement"] == pytest.approx(sum(one == two for one, two in labels) / len(TEXTS))
    assert report["agreement"] < 1
    assert report["mean_score_difference"] == pytest.approx(sum(gaps) / len(gaps), abs=1e-5)
    assert report["trial"]["requests"] == report["current"]["requests"] == len(TEXTS)
    assert report["dropped"] == 0
    example = report["differing"][0]
    assert example["current"]["label"] != example["trial"]["label"]
    assert example["input"] in TEXTS


def test_texts_are_told_only_where_they_are_logged(first: Path, second: Path) -> None:
    with running({"reviews": first}, **{"bundle-folder": str(first.parent)}) as server:
        start(server, second, 1.0, shadow=True)
        for number, text in enumerate(TEXTS[:10]):
            answer(server, text)
            until(lambda number=number: server.get(TRIAL).body["compared"] == number + 1)  # type: ignore[misc]
        report = server.get(TRIAL).body
    assert report["agreement"] < 1
    assert "differing" not in report
    assert "film" not in str(report)


def held(worker: Worker) -> tuple[threading.Event, threading.Thread]:
    """A worker that does nothing until the event."""
    inside, go_on = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        inside.set()
        go_on.wait(20)

    errand = threading.Thread(target=worker.between, args=(hold,))
    errand.start()
    assert inside.wait(10)
    return go_on, errand


def test_one_copy_is_asked_at_a_time(server: Served, second: Path) -> None:
    start(server, second, 1.0, shadow=True)
    trial = server.serving.live.trials["reviews"]
    go_on, errand = held(trial.served.worker)
    for text in TEXTS[:5]:  # a copy is stuck in the second's worker; the others find it there
        assert answer(server, text).status == 200
    until(lambda: trial.dropped >= 4)
    assert trial.served.worker.load.waiting <= 5
    go_on.set()
    errand.join()


def test_a_copy_that_waits_is_dropped_as_soon_as_a_caller_waits(server: Served, second: Path) -> None:
    start(server, second, 1.0, shadow=True)
    trial = server.serving.live.trials["reviews"]
    second_goes_on, second_errand = held(trial.served.worker)
    assert answer(server, TEXTS[5]).status == 200
    until(lambda: trial.served.worker.load.waiting == 1)
    assert trial.dropped == 0
    first_goes_on, first_errand = held(trial.current.worker)
    caller = threading.Thread(target=answer, args=(server, TEXTS[6]))
    caller.start()
    until(lambda: trial.dropped == 1)
    for event in (first_goes_on, second_goes_on):
        event.set()
    for thread in (first_errand, second_errand, caller):
        thread.join()


def test_copies_of_drawn_answers_are_drawn_alike(bundles: Callable[..., Path]) -> None:
    chat = bundles("conversations", **WRITES)
    with running({"chat": chat}, **{"bundle-folder": str(chat.parent)}) as server:
        path = "/v1/admin/models/chat/trial"
        assert server.post(path, {"bundle": chat.name, "share": 1, "shadow": True}).status == 201
        for number in range(5):
            server.post("/v1/predict/chat", {"inputs": "the bank", "temperature": 1.5, "max_tokens": 20})
            until(lambda number=number: server.get(path).body["compared"] == number + 1)  # type: ignore[misc]
        assert server.get(path).body["agreement"] == 1
        trial = server.serving.live.trials["chat"]
        assert trial.served.worker is trial.current.worker


def test_copies_are_no_longer_than_what_they_are_copied_from(bundles: Callable[..., Path], tmp_path: Path) -> None:
    chat = shutil.copytree(bundles("conversations", **WRITES), tmp_path / "chat")
    presets.save(chat, "open", Preset({"max_tokens": None, "ignore_eos": True, "temperature": 0.0}))
    with running({"chat": chat}, **{"bundle-folder": str(tmp_path), "max-answer-tokens": 7}) as server:
        path = "/v1/admin/models/chat/trial"
        assert server.post(path, {"bundle": chat.name, "share": 1, "shadow": True}).status == 201
        answered = server.post("/v1/predict/chat", {"inputs": "the bank", "preset": "open"}).body
        assert answered["usage"]["completion_tokens"] == 7
        until(lambda: server.get(path).body["compared"] == 1)
        assert server.get(path).body["agreement"] == 1


def test_a_trial_that_fails_harms_no_caller(server: Served, first: Path) -> None:
    start(server, first, 1.0, shadow=True)
    trial = server.serving.live.trials["reviews"]

    def fails(*_: Any) -> Any:
        raise EngineError("broken")

    trial.served.model.read = fails  # type: ignore[method-assign]
    assert answer(server, "a fine film").status == 200
    until(lambda: server.get(TRIAL).body["trial"]["errors"] == 1)
    report = server.get(TRIAL).body
    assert (report["trial"]["error_rate"], report["trial"]["last_error"]) == (1, "broken")
    assert report["current"]["errors"] == 0


def test_a_trial_is_promoted_or_ended(server: Served, second: Path) -> None:
    told = start(server, second, 0.3)
    states = {one["version"]: one["state"] for one in server.get("/v1/admin/models").body["models"]}
    assert states == {told["current"]["version"]: "ready", told["trial"]["version"]: "trial"}
    again = server.post(TRIAL, {"bundle": second.name, "share": 0.1})
    assert (again.status, again.body["error"]["code"]) == (409, "conflict")
    assert server.post("/v1/admin/models/reviews", {"bundle": second.name}, method="PUT").status == 409
    assert server.post(f"{TRIAL}/promote", {}).status == 200
    assert {answer(server, text).body["model_version"] for text in TEXTS[:5]} == {told["trial"]["version"]}
    until(lambda: len(server.serving.models._opened) == 1)
    assert server.get(TRIAL).body["error"]["code"] == "trial_not_found"
    ended = start(server, second, 1.0)
    assert server.post(TRIAL, {}, method="DELETE").status == 200
    assert {answer(server, text).body["model_version"] for text in TEXTS[:5]} == {ended["current"]["version"]}
    until(lambda: len(server.serving.models._opened) == 1)
    start(server, second, 1.0)
    assert server.post("/v1/admin/models/reviews", {}, method="DELETE").status == 200
    until(lambda: not server.serving.models._opened)


def test_what_cannot_be_tried(server: Served, bundles: Callable[..., Path], second: Path) -> None:
    other = bundles("conversations", **WRITES)
    refused = server.post(TRIAL, {"bundle": other.name, "share": 0.5})
    assert (refused.status, refused.body["error"]["param"]) == (400, "bundle")
    assert "chat" in refused.body["error"]["message"]
    assert len(server.serving.models._opened) == 1
    assert server.post(TRIAL, {"bundle": second.name, "share": 1.5}).body["error"]["param"] == "share"
    assert server.post(TRIAL, {"bundle": second.name}).body["error"]["param"] == "share"
    assert server.post("/v1/admin/models/none/trial", {"bundle": second.name, "share": 1}).status == 404
    assert server.post(f"{TRIAL}/promote", {}).status == 404
