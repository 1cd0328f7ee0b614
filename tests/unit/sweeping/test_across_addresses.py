"""Servers among the engines: of Tunesmith, where everything stays as it is, and of another program, where it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import other_program
import served
from tunesmith import asked_over_http
from tunesmith.cli import main
from tunesmith.errors import UsageError
from tunesmith.sweeping import across
from tunesmith.sweeping.beside import Across, OnEngine
from tunesmith.sweeping.settings import Settings

ROWS = 6


@pytest.fixture(autouse=True)
def reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def rows(table: Callable[..., Path]) -> str:
    return str(table("conversations", 60))


@pytest.fixture
def ours(bundles: Callable[..., Path]) -> Iterator[served.Served]:
    with served.running({"bot": bundles("conversations")}) as server:
        yield server


@pytest.fixture
def theirs(bundles: Callable[..., Path]) -> Iterator[other_program.Server]:
    with other_program.serving(bundles("conversations")) as server:
        yield server


@pytest.fixture
def compare(bundles: Callable[..., Path], rows: str, tmp_path: Path) -> Callable[..., Across]:
    def of(engines: tuple[str, ...], texts: dict[str, str], **more: Any) -> Across:
        settings = Settings(engines=engines, **{"rows": ROWS, "out": str(tmp_path / "study"), **more})
        return across.compare(bundles("conversations"), rows, settings, texts, quiet=True)

    return of


@pytest.fixture
def call(
    bundles: Callable[..., Path], rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Gives exit code and what is said of a call with these engines."""

    def of(engines: str, *words: str) -> tuple[int, str]:
        own = ["--engines", engines, "--out", str(tmp_path / "called"), f"--rows={ROWS}", *words]
        code = main(["sweep", str(bundles("conversations")), rows, *own])
        return code, capsys.readouterr().err

    return of


def of(found: Across, engine: str) -> list[OnEngine]:
    chosen = [one for one in found.found if one.engine == engine]
    assert chosen
    return chosen


def test_our_own_server_gives_the_very_answers(compare: Callable[..., Across], ours: served.Served) -> None:
    texts = {"temperature": "0,1", "top_p": "0.8,1", "typical_p": "1,0.9", "repetition_penalty": "1.2"}
    found = compare(("pytorch", ours.url), texts, samples=2)
    for one in of(found, ours.url):
        assert one.refused is None
        assert one.same == 1
        assert one.gain is not None
        assert one.gain.estimate == 0
        assert one.measures["seconds"] > 0
    here, there = of(found, "pytorch"), of(found, ours.url)
    assert [one.measures["tokens"] for one in here] == [one.measures["tokens"] for one in there]
    assert any("Tunesmith with the engine pytorch" in note for note in found.notes)
    page = (Path(found.folder) / "report.html").read_text()
    assert ours.url in page
    assert "100%" in page


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("binary", {"threshold": "0.3,0.9", "activation": "softmax"}),
        ("multi-label", {"threshold": "0.1,0.5"}),
        ("regression", {"windows": "mean,vote"}),
        ("entities", {"threshold": "0.1,0.9"}),
        ("questions", {"null_threshold": "0.1,0.9"}),
    ],
)
def test_tasks_that_read_are_asked_too(
    bundles: Callable[..., Path], table: Callable[..., Path], tmp_path: Path, kind: str, texts: dict[str, str]
) -> None:
    with served.running({"m": bundles(kind)}) as server:
        settings = Settings(engines=("pytorch", server.url), rows=8, out=str(tmp_path / "study"))
        found = across.compare(bundles(kind), str(table(kind, 60)), settings, texts, quiet=True)
    for here, there in zip(of(found, "pytorch"), of(found, server.url), strict=True):
        assert there.refused is None
        assert there.same == 1
        assert there.score == pytest.approx(here.score, abs=1e-6)


def test_answers_that_are_there_are_not_asked_for_again(
    compare: Callable[..., Across], ours: served.Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = compare((ours.url,), {"temperature": "0,1"})

    def never(*_: Any) -> Any:
        raise AssertionError("asked again")

    monkeypatch.setattr(asked_over_http.Client, "post", never)
    again = compare((ours.url,), {"temperature": "0,1"}, resume=True)
    assert again.found == before.found


def test_answers_of_a_model_that_was_changed_are_not_gone_on_with(
    compare: Callable[..., Across], ours: served.Served, bundles: Callable[..., Path], tmp_path: Path
) -> None:
    compare((ours.url,), {"temperature": "0,1"})
    (file,) = (tmp_path / "study").rglob("server.json")
    told = json.loads(file.read_text())
    assert told["model"] == "bot"
    assert told["fingerprint"]
    file.write_text(json.dumps({**told, "fingerprint": "of other weights"}))
    with pytest.raises(UsageError, match="another model than when the study was begun"):
        compare((ours.url,), {"temperature": "0,1"}, resume=True)


def test_a_study_goes_on_where_a_server_failed(
    compare: Callable[..., Across], theirs: other_program.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.sweeping import comparing

    monkeypatch.setattr(comparing, "_UNIT_ANSWERS", 4)
    theirs.breaks_after = 5
    with pytest.raises(UsageError, match="out of memory"):
        compare((theirs.url,), {"temperature": "0,1"})
    theirs.breaks_after, asked = None, len(theirs.asked)
    found = compare((theirs.url,), {"temperature": "0,1"}, resume=True)
    assert all(one.score is not None for one in found.found)
    assert len(theirs.asked) - asked == 2 * 2 * ROWS - 4


def test_the_same_numbers_are_not_the_same_where_the_order_is_another(
    compare: Callable[..., Across], theirs: other_program.Server
) -> None:
    """At temperature 40 a min_p of 0.7 keeps nearly all tokens here; before it, nearly the likeliest alone."""
    texts = {"temperature": "40", "min_p": "0.7,0.71", "top_k": "0", "top_p": "1"}
    found = compare(("pytorch", theirs.url), texts, samples=6)
    alike = {
        name: max(one.measures["self_bleu"] for one in of(found, name) if one.setting)
        for name in ("pytorch", theirs.url, f"{theirs.url} (carried over)")
    }
    assert alike["pytorch"] < 20
    assert alike[f"{theirs.url} (carried over)"] < 20
    assert alike[theirs.url] > 2 * max(alike["pytorch"], alike[f"{theirs.url} (carried over)"])
    told, carried = theirs.asked[0], theirs.asked[-1]
    assert "samplers" not in told
    assert carried["samplers"].index("temperature") < carried["samplers"].index("min_p")
    assert any("its order: top_n_sigma, top_k" in note for note in found.notes)
    assert any(note.startswith("min_p in llama.cpp: computed at temperature 1") for note in found.notes)


def test_where_nothing_is_asked_their_defaults_hold_and_carried_over_ours(
    compare: Callable[..., Across], theirs: other_program.Server
) -> None:
    compare((f"{theirs.url}/v1#bot",), {"temperature": "0,1"})
    told = [body for body in theirs.asked if "samplers" not in body]
    carried = [body for body in theirs.asked if "samplers" in body]
    assert len(told) == len(carried)
    assert all("top_k" not in body and body["max_tokens"] == 6 for body in told)
    assert all(
        body["top_k"] == 0 and body["top_p"] == 1 and body["min_p"] == 0 for body in carried if body["temperature"]
    )


def test_the_likeliest_token_is_taken_there_too(compare: Callable[..., Across], theirs: other_program.Server) -> None:
    found = compare(("pytorch", theirs.url), {"temperature": "0,1"})
    for name in (theirs.url, f"{theirs.url} (carried over)"):
        greedy = next(one for one in of(found, name) if found.settings[one.setting] == "temperature=0")
        assert greedy.same == 1


def test_what_cannot_be_said_is_refused_with_the_reason(
    compare: Callable[..., Across], theirs: other_program.Server
) -> None:
    found = compare(("pytorch", theirs.url), {"eta_cutoff": "0,0.1", "temperature": "1"})
    assert [one.refused is None for one in of(found, "pytorch")] == [True, True]
    for name in (theirs.url, f"{theirs.url} (carried over)"):
        usual, cut = of(found, name)
        assert usual.refused is None
        assert "eta_cutoff" in (cut.refused or "")
    assert f"{theirs.url}: 1 of 2 settings are refused." in found.conclusions


def test_what_the_server_refuses_is_that_settings_refusal(
    compare: Callable[..., Across], theirs: other_program.Server
) -> None:
    found = compare((theirs.url,), {"temperature": "1", "top_k": "5,13"})
    usual, five, bad = of(found, theirs.url)
    assert (usual.refused, five.refused) == (None, None)
    assert "brings bad luck" in (bad.refused or "")


def test_a_server_of_another_program_is_swept_alone_too(
    bundles: Callable[..., Path],
    rows: str,
    tmp_path: Path,
    theirs: other_program.Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [
        "sweep",
        str(bundles("conversations")),
        rows,
        "--engine",
        theirs.url,
        "--rows=8",
        "--out",
        str(tmp_path / "one"),
    ]
    assert main([*words, "--temperature", "0,1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["engine"] == theirs.url
    assert any("seeds of its own" in note for note in found["notes"])
    assert main([*words[:-1], str(tmp_path / "two"), "--temperature", "1", "--top_k", "5,13"]) == 2
    assert "brings bad luck" in capsys.readouterr().err


def test_a_full_server_is_waited_for(call: Callable[..., Any], theirs: other_program.Server) -> None:
    theirs.first = [(503, {"Retry_After": "0"}, "full"), (429, {"Retry_After": "0"}, "full")]
    assert call(theirs.url, "--temperature", "0,1")[0] == 0


def test_what_goes_wrong_is_one_clear_error(
    call: Callable[..., Any], theirs: other_program.Server, ours: served.Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked_over_http, "_TRIES", 2)
    varied = ("--temperature", "0,1", "--resume=false")

    def said(engines: str, *words: str) -> str:
        code, text = call(engines, *varied, *words)
        assert code == 2, text
        assert "Traceback" not in text
        return str(text)

    assert "Connection refused" in said("http://127.0.0.1:9")
    assert "no model 'bat'" in said(f"{ours.url}#bat")
    assert "did you mean 'bot'" in said(f"{theirs.url}#bat")
    assert "no program 'vlm'" in said(f"vlm@{theirs.url}")
    theirs.models = ["bot", "cat"]
    assert "write #MODEL behind it" in said(theirs.url)
    theirs.models = ["bot"]
    theirs.first = [(503, {"Retry_After": "0"}, "all places are taken")] * 40
    assert "all places are taken" in said(theirs.url)


@pytest.mark.parametrize(
    ("status", "message"), [(429, "too many"), (401, "no key"), (404, "no such path"), (500, "broken")]
)
def test_errors_of_http_end_the_study(
    call: Callable[..., Any], theirs: other_program.Server, monkeypatch: pytest.MonkeyPatch, status: int, message: str
) -> None:
    monkeypatch.setattr(asked_over_http, "_TRIES", 2)
    theirs.first = [(status, {"Retry_After": "0"}, message)] * 40
    code, text = call(theirs.url, "--temperature", "0,1")
    assert code == 2
    assert message in text
    assert "--resume" in text


def test_a_server_that_takes_too_long_is_given_up(call: Callable[..., Any], theirs: other_program.Server) -> None:
    theirs.delay_s = 1.0
    code, text = call(theirs.url, "--temperature", "0,1", "--timeout", "0.2")
    assert code == 2
    assert "no answer within 0.2 s" in text


def test_the_key_goes_along_and_is_told_nowhere(
    call: Callable[..., Any], theirs: other_program.Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret")
    code, text = call(theirs.url, "--temperature", "0,1", "--key-variable", "MY_KEY")
    assert code == 0
    assert set(theirs.keys) == {"Bearer s3cret"}
    kept = [file.read_text() for file in (tmp_path / "called").rglob("*") if file.is_file()]
    assert kept
    assert not any("s3cret" in one for one in [text, *kept])


def test_a_bundle_of_another_task_is_refused(
    bundles: Callable[..., Path], table: Callable[..., Path], ours: served.Served, theirs: other_program.Server
) -> None:
    data = str(table("binary", 60))
    with pytest.raises(UsageError, match="does chat, the bundle text-classification"):
        across.compare(bundles("binary"), data, Settings(engines=(ours.url,)), {"threshold": "0.3,0.9"}, quiet=True)
    with pytest.raises(UsageError, match="only a server of Tunesmith"):
        across.compare(bundles("binary"), data, Settings(engines=(theirs.url,)), {"threshold": "0.3,0.9"}, quiet=True)
