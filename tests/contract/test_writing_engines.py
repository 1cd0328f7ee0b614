"""What every engine that writes keeps to: what it honours is declared, what it does not is refused, answers name it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol import serving
from tunesmith import config as configs
from tunesmith import exporting, plugins, predict
from tunesmith.engines import base
from tunesmith.errors import UsageError
from tunesmith.generation.honours import DEFAULTS, Case, When
from tunesmith.predict import Model
from tunesmith.train import run as runs

WRITING = [name for name in plugins.names("engines") if plugins.load("engines", name).honours]
HERE = ("pytorch", "ctranslate2", "remote")
"""Those that can be run here."""

every_engine = pytest.mark.parametrize("name", WRITING)
every_runnable = pytest.mark.parametrize("name", HERE)
INPUTS = ["the film was", "soup bread salt"]
UNTOLD: dict[str, Any] = {"typical_p": 0.5, "dry_multiplier": 1.0, "bad_words": ("a",), "temperature": 1.0}
"""Parameters that only the engine here honours."""


@pytest.fixture(scope="module")
def folder(
    parameters: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Gives a run of a family on conversations, exported for CTranslate2 too."""
    pytest.importorskip("ctranslate2")

    @functools.cache
    def of(family: str) -> Path:
        kind = "translations" if family in ("t5", "bart", "marian") else "conversations"
        out = tmp_path_factory.mktemp(family) / "run"
        more = {
            "out": str(out),
            "train.max_steps": 2,
            "model.max_length": 96,
            "adapter": "lora" if family == "llama" else "full",
        }
        runs.train(configs.resolve(keywords=parameters(kind, family, 60, **more), environment={}), quiet=True)
        exporting.export(out, "ctranslate2", options={"precision": "fp32"})
        return out

    return of


@pytest.fixture
def opened(folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Model]]:
    """Gives the run in an engine; the remote one's server runs the same network."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    here: Any = predict.load(folder("llama"), "pytorch")
    with serving(here.engine.network.backbone.model, here.tokenizer) as server:
        yield lambda name, family="llama": predict.load(folder(family), server.address if name == "remote" else name)


@every_engine
def test_what_it_honours_are_parameters(name: str) -> None:
    engine = plugins.load("engines", name)
    for honours in engine.declared().values():
        assert set(honours) <= set(DEFAULTS)
        assert {"max_tokens", "temperature", "n", "stop"} <= set(honours)
        assert all(isinstance(when, When) for when in honours.values())
        assert all(when.where for when in honours.values() if not _always(when))
    assert base.engine_name(engine) == name


def _always(when: When) -> bool:
    """Whether a condition holds for a case in which most do not."""
    from tunesmith.generation.facts import Facts
    from tunesmith.generation.request import GenerationRequest

    odd = GenerationRequest(
        temperature=3.0, top_p=0.5, top_k=3, num_beams=3, n=2, length_penalty=0.0, stop=("a",) * 9, min_tokens=2,
        repetition_penalty=4.0, seed=2, sampler_order=("top_p", "top_k"),
    )  # fmt: skip
    return when.holds(Case(odd, Facts(9, ends=frozenset({1, 2})), (1, 2)))


@every_runnable
def test_answers_are_the_networks_and_name_the_engine(opened: Callable[..., Model], name: str) -> None:
    expected = opened("pytorch").answers(INPUTS, max_tokens=8, seed=1)
    found = opened(name).answers(INPUTS, max_tokens=8, seed=1)
    assert [one["answer"] for one in found] == [one["answer"] for one in expected]
    assert all(one["engine"].startswith(name) for one in found)


@every_runnable
def test_golden_answers_are_the_networks(opened: Callable[..., Model], name: str) -> None:
    assert opened(name).task.drift(
        opened("pytorch").golden(INPUTS), opened(name).golden(INPUTS), opened("pytorch").target
    ) < 1e-4  # fmt: skip


@pytest.mark.parametrize("name", ["ctranslate2", "remote"])
def test_a_parameter_that_it_cannot_honour_is_refused(opened: Callable[..., Model], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        opened(name).answers(INPUTS, **UNTOLD)
    told = {problem.where: str(problem.hint) for problem in caught.value.problems}
    assert set(told) == set(UNTOLD) - {"temperature"}
    assert all("pytorch" in hint for hint in told.values())


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "bart", "marian"])
def test_an_exported_bundle_writes_and_is_judged_as_the_run(
    folder: Callable[[str], Path], table: Callable[..., Path], tmp_path: Path, family: str
) -> None:
    from tunesmith.evaluation import evaluate_data

    record = exporting.export(folder(family), "ctranslate2", tmp_path / "out", options={"precision": "fp32"})
    assert record.drift is not None
    assert record.drift < 1e-4
    found, own = predict.load(tmp_path / "out"), predict.load(folder(family), "pytorch")
    assert base.engine_name(type(found.engine)) == "ctranslate2"
    texts = [[one[found.task.answer] for one in model.answers(INPUTS, max_tokens=6)] for model in (found, own)]  # type: ignore[attr-defined]
    assert texts[0] == texts[1]
    rows = str(table("conversations" if family in ("llama", "gpt2") else "translations", 20))
    scores = [evaluate_data(place, rows, engine).metrics for place, engine in ((tmp_path / "out", None), (folder(family), "pytorch"))]  # fmt: skip
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)


def test_eight_bits_are_smaller_and_close(folder: Callable[[str], Path], tmp_path: Path) -> None:
    small = exporting.export(folder("t5"), "ctranslate2", tmp_path / "small")
    whole = exporting.export(folder("t5"), "ctranslate2", tmp_path / "whole", options={"precision": "fp32"})
    assert small.precision == "int8"
    assert small.size_bytes < whole.size_bytes
    assert small.drift is not None
    assert 1e-7 < small.drift < 0.1


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_gguf_file_is_compared_in_llama_cpp(folder: Callable[[str], Path], tmp_path: Path, family: str) -> None:
    pytest.importorskip("xllamacpp")
    record = exporting.export(folder(family), "gguf", tmp_path / "out", options={"precision": "fp32"})
    assert record.drift is not None
    assert record.drift < 0.002
    assert {file.name for file in (tmp_path / "out" / "gguf").iterdir()} == {"model.gguf", "Modelfile", "export.json"}


@pytest.mark.parametrize("to", ["ctranslate2", "gguf"])
def test_a_model_that_reads_has_no_such_form(
    parameters: Callable[..., dict[str, Any]], tmp_path: Path, to: str
) -> None:
    more = {"out": str(tmp_path / "run"), "train.max_steps": 1}
    runs.train(configs.resolve(keywords=parameters("binary", None, 40, **more), environment={}), quiet=True)
    with pytest.raises(UsageError, match="models that write"):
        exporting.export(tmp_path / "run", to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_encoder_decoder_has_no_gguf(folder: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="type 't5'"):
        exporting.export(folder("t5"), "gguf", tmp_path / "out")


def test_the_command_asks_a_server(
    folder: Callable[[str], Path], opened: Callable[..., Model], capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    from tunesmith import cli

    address = str(opened("remote").engine._server)  # type: ignore[attr-defined]
    assert cli.main(["predict", str(folder("llama")), "the film", "--engine-url", address, "--max_tokens", "4"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["engine"] == f"remote ({address})"
