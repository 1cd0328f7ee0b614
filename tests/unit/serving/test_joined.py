"""Adapters of one base model: one worker, one copy of the weights, one batch; they join and leave while it answers."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from served import Served as Server
from served import running
from serving_waits import until
from tunesmith import params, predict
from tunesmith.errors import BundleError, TunesmithError
from tunesmith.serving.asked import Answered, Asked
from tunesmith.serving.joined import JoinedWriter
from tunesmith.serving.models import Models, Served
from tunesmith.serving.options import Options

WRITES = {"train.epochs": 1, "model.max_length": 128, "request.max_tokens": 8, "task.report_rows": 1, "adapter": "lora"}
FAR = {**WRITES, "train.learning_rate": 0.05}
BESIDE = ("seed", "engine")


@pytest.fixture
def folders(bundles: Callable[..., Path]) -> dict[str, Path]:
    return {
        "talk": bundles("conversations", **FAR),
        "short": bundles("conversations", **{**FAR, "adapter.rank": 2, "train.seed": 1, "request.max_tokens": 5}),
        "turn": bundles("translations", family="llama", **{**FAR, "adapter.rank": 3}),
    }


@pytest.fixture
def models(folders: dict[str, Path]) -> Iterator[Models]:
    made = Models(params.check(Options, {}))
    for name in ("talk", "short"):
        made.load(name, folders[name])
    yield made
    made.close()


def said(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name not in BESIDE} for one in answers]


def ask(served: Served, text: str, **request: Any) -> tuple[Asked, list[Any], threading.Event]:
    heard, over = [], threading.Event()

    def tell(news: Any) -> None:
        heard.append(news)
        if isinstance(news, (Answered, TunesmithError)):
            over.set()

    asked = Asked(served.inside, served.model.request(**request), tell, rows=served.model.rows([text]))
    served.worker.put(asked)
    return asked, heard, over


def answered(served: Served, text: str, **request: Any) -> Any:
    _, heard, over = ask(served, text, **request)
    assert over.wait(30)
    return heard[-1] if isinstance(heard[-1], TunesmithError) else said(heard[-1].answers)


def alone(folder: Path, text: str, **request: Any) -> list[dict[str, Any]]:
    return said(predict.load(folder).answers([text], **request))


def test_one_worker_answers_for_all_over_one_copy_of_the_weights(models: Models, folders: dict[str, Path]) -> None:
    served = [*models, models.load("turn", folders["turn"])]
    assert len({one.worker for one in served}) == 1
    weights = [dict(one.model.engine.network.named_parameters()) for one in served if one.model.engine.network]  # type: ignore[union-attr]
    assert len(weights) == 3
    for name, weight in weights[0].items():
        assert {other[name].data_ptr() for other in weights} == {weight.data_ptr()}, name
    for one in served:
        assert answered(one, "the bank") == alone(one.folder, "the bank"), one.name


def test_adapters_are_batched_together(models: Models, folders: dict[str, Path]) -> None:
    worker = models.find("talk").worker
    seen: list[int] = []
    held = threading.Event()
    threading.Thread(target=worker.between, args=(lambda built: held.wait(10),)).start()
    going = [ask(one, "the rain in the night", max_tokens=20) for one in models for _ in range(2)]
    plain = worker.built.scheduler.step

    def step() -> Any:
        found = plain()
        seen.append(worker.built.scheduler.counts.rows)
        return found

    worker.built.scheduler.step = step
    held.set()
    for _, _, over in going:
        assert over.wait(30)
    assert max(seen) == 4
    expected = {one.inside: alone(one.folder, "the rain in the night", max_tokens=20) for one in models}
    for asked, heard, _ in going:
        assert said(heard[-1].answers) == expected[asked.model]


def test_one_joins_and_one_leaves_while_the_other_writes(models: Models, folders: dict[str, Path]) -> None:
    talk, short = models.find("talk"), models.find("short")
    asked, heard, over = ask(talk, "the bank", max_tokens=90, ignore_eos=True)
    turn = models.load("turn", folders["turn"])
    assert turn.worker is talk.worker
    assert answered(turn, "soup bread") == alone(folders["turn"], "soup bread")
    models.close_one(models.unload("short"))
    assert over.wait(60)
    assert said(heard[-1].answers) == alone(folders["talk"], "the bank", max_tokens=90, ignore_eos=True)
    assert asked.times.ended is not None
    assert short.inside not in talk.worker.built.models
    assert talk.worker.ready


def test_what_is_asked_of_one_that_left_is_refused_and_harms_nobody(models: Models) -> None:
    short, talk = models.find("short"), models.find("talk")
    _, heard, over = ask(short, "the bank", max_tokens=100, ignore_eos=True)
    until(lambda: short.worker.load.running == 1)
    rows, request = short.model.rows(["goal"]), short.model.request()
    models.close_one(models.unload("short"))
    assert over.wait(10)
    assert heard[-1].code == "server_stopping"
    late: list[Any] = []
    talk.worker.put(Asked(short.inside, request, late.append, rows=rows))
    assert answered(talk, "the bank") == alone(talk.folder, "the bank")
    until(lambda: bool(late))
    assert late[0].code == "server_stopping"
    assert talk.worker.deaths == 0
    assert talk.worker.built.scheduler.idle


def test_all_that_joined_are_back_after_the_thread_died(models: Models, folders: dict[str, Path]) -> None:
    turn, talk = models.load("turn", folders["turn"]), models.find("talk")
    worker, before = talk.worker, talk.worker.built

    def dies() -> Any:
        raise MemoryError("no more")

    before.scheduler.step = dies
    found = answered(turn, "soup bread")
    assert worker.deaths == 1
    assert worker.built is not before
    assert found == alone(folders["turn"], "soup bread")
    for one in models:
        assert answered(one, "the bank") == alone(one.folder, "the bank"), one.name


def test_one_whose_folder_is_gone_does_not_keep_the_others_from_coming_back(
    models: Models, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["turn"], tmp_path / "turn")
    turn, talk = models.load("turn", folder), models.find("talk")
    shutil.rmtree(folder)
    talk.worker.built.scheduler.step = None  # calling it ends the thread
    assert answered(talk, "the bank") == alone(folders["talk"], "the bank")
    assert talk.worker.deaths == 1
    assert (talk.ready, turn.ready, models.ready) == (True, False, False)
    with pytest.raises(TunesmithError, match="taken away"):
        turn.model.request()
    models.close_one(models.unload("turn"))
    assert models.ready
    assert answered(models.find("short"), "goal") == alone(folders["short"], "goal")


def test_one_that_cannot_join_is_refused_and_the_others_go_on(
    models: Models, folders: dict[str, Path], tmp_path: Path
) -> None:
    broken = shutil.copytree(folders["turn"], tmp_path / "broken")
    lines = (broken / "golden.jsonl").read_text(encoding="utf-8").replace("0.", "0.9")
    (broken / "golden.jsonl").write_text(lines, encoding="utf-8")
    worker = models.find("talk").worker
    with pytest.raises(BundleError, match="drifted"):
        models.load("turn", broken)
    assert sorted(worker.built.models) == sorted(one.inside for one in models)
    assert worker.built.scheduler.adapters == tuple(worker.built.models)
    assert answered(models.find("talk"), "the bank") == alone(folders["talk"], "the bank")
    with pytest.raises(TunesmithError, match="no model 'turn'"):
        models.find("turn")


def test_the_worker_ends_with_the_last_that_leaves(models: Models) -> None:
    worker = models.find("talk").worker
    for name in ("talk", "short"):
        assert worker.ready
        models.close_one(models.unload(name))
    assert not worker.ready
    assert worker.built is None


def test_adapters_that_cannot_share_a_batch_answer_by_themselves(models: Models, bundles: Callable[..., Path]) -> None:
    turned = models.load("turned", bundles("conversations", **{**WRITES, "adapter": "dora"}))
    assert not isinstance(turned.worker, JoinedWriter)
    assert answered(turned, "the bank") == alone(turned.folder, "the bank")


def test_over_http_each_name_is_answered_by_its_adapter(folders: dict[str, Path]) -> None:
    with running(folders) as server:
        assert len({served.worker for served in server.serving.models}) == 1
        expected = {name: alone(folder, "goal team") for name, folder in folders.items()}
        found: dict[str, list[Any]] = {name: [] for name in folders}

        def many(name: str, server: Server) -> None:
            for _ in range(5):
                found[name].append(server.post(f"/v1/predict/{name}", {"inputs": "goal team"}).body["answers"])

        threads = [threading.Thread(target=many, args=(name, server)) for name in folders for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name, answers in found.items():
        assert len(answers) == 10
        assert all(said(one) == expected[name] for one in answers), name
