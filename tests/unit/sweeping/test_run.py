"""Whole sweeps on tiny models: the same table again, also after a crash; what is recommended, kept and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small
from tunesmith import presets
from tunesmith.cli import main
from tunesmith.errors import DataError, UsageError
from tunesmith.sweeping import judging, run
from tunesmith.sweeping.found import Found
from tunesmith.sweeping.samples import FILE
from tunesmith.sweeping.settings import Settings

DRAWN = {"temperature": "0,0.7,1.4", "top_p": "0.7,1"}


@pytest.fixture
def swept(bundles: Callable[..., Path], table: Callable[..., Path], tmp_path: Path) -> Callable[..., Found]:
    def of(
        texts: dict[str, str], kind: str = "conversations", out: str = "study", rows: int = 16, **more: Any
    ) -> Found:
        settings = Settings(**{"out": str(tmp_path / out), "rows": rows, **more})
        return run.sweep(bundles(kind), str(table(kind, 60)), settings, texts, quiet=True).found

    return of


def untimed(found: Found) -> dict[str, Any]:
    """The report without what depends on the clock."""
    plain = found.to_json()
    for row in plain["settings"]:
        row["measures"] = {name: value for name, value in row["measures"].items() if "second" not in name}
    for effect in plain["effects"]:
        for level in effect["levels"]:
            level["measures"] = {name: value for name, value in level["measures"].items() if "second" not in name}
    plain["fronts"] = {name: numbers for name, numbers in plain["fronts"].items() if "second" not in name}
    return plain


def test_the_same_seed_gives_the_same_table_and_another_one_another(swept: Callable[..., Found]) -> None:
    first = swept(DRAWN, samples=2)
    assert untimed(swept(DRAWN, samples=2, out="again")) == untimed(first)
    assert untimed(swept(DRAWN, samples=2, out="other", seed=1)) != untimed(first)


def test_a_study_that_was_killed_goes_on_to_the_same_table(swept: Callable[..., Found], tmp_path: Path) -> None:
    whole = swept(DRAWN, samples=2)
    file = tmp_path / "study" / FILE
    lines = file.read_bytes()
    file.write_bytes(lines[: len(lines) // 3])  # as kill -9 leaves it, in the middle of a line
    (tmp_path / "study" / "report.json").unlink()
    assert untimed(swept(DRAWN, samples=2, resume=True)) == untimed(whole)
    with pytest.raises(UsageError, match="begun with other parameters"):
        swept({"temperature": "0,1"}, samples=2, resume=True)
    with pytest.raises(UsageError, match="holds something already"):
        swept(DRAWN)
    with pytest.raises(UsageError, match="no study to go on with"):
        swept(DRAWN, out="nowhere", resume=True)


def test_every_setting_answers_the_same_rows_with_the_same_seeds(swept: Callable[..., Found], tmp_path: Path) -> None:
    found = swept(DRAWN, samples=3)
    kept = [json.loads(line) for line in (tmp_path / "study" / FILE).read_text().splitlines()]
    by_setting: dict[int, set[tuple[int, int]]] = {}
    for one in kept:
        by_setting.setdefault(one["setting"], set()).add((one["row"], one["sample"]))
    runs = [row for row in found.settings if row.run == row.number]
    drawn = [by_setting[row.number] for row in runs if row.number and row.values["temperature"] > 0]
    compared = [{place for place in one if place[0] in {row for row, _ in drawn[0]}} for one in drawn]
    assert all(len(one) >= 3 * found.rows for one in drawn)
    assert all(one == compared[0] for one in compared)
    assert found.answers == len(kept)
    assert found.settings[0].measures["tokens"] <= 6


def test_parameters_without_effect_are_inert_and_the_report_says_what_it_may(
    swept: Callable[..., Found], tmp_path: Path
) -> None:
    found = swept({"temperature": "0,1.5", "top_k": "0,100000"})
    inert = {one.parameter: one.verdict for one in found.effects}
    assert inert["top_k"] == "inert"
    assert any(sentence.startswith("top_k is inert here") for sentence in found.conclusions)
    page = (tmp_path / "study" / "report.html").read_text()
    assert page.count("<svg") >= 3
    assert "http" not in page.replace("http://www.w3.org", "")
    assert json.loads((tmp_path / "study" / "report.json").read_text()) == json.loads(json.dumps(found.to_json()))


def test_beams_and_the_length_penalty(swept: Callable[..., Found], tmp_path: Path) -> None:
    found = swept({"num_beams": "1,2,3", "length_penalty": "0,1,2"}, kind="translations", metric="chrf")
    assert found.metric == "chrf"
    assert len({row.run for row in found.settings}) == 7  # without beams the penalty has no effect
    assert "Beams and the length penalty" in (tmp_path / "study" / "report.html").read_text()


def test_a_race_answers_less_and_a_budget_ends_it(swept: Callable[..., Found]) -> None:
    found = swept({"temperature": "0:3:0.5"}, rows=40, design="race")
    assert found.design == "race"
    assert found.common_rows <= found.rows <= 28
    grid, held_out = 28 * len({row.run for row in found.settings}), 2 * 12
    assert 0 < found.answers - held_out < grid / 2
    assert any("were set aside" in note for note in found.notes)
    short = swept({"temperature": "0:3:0.5"}, rows=60, out="short", budget=1e-3)
    assert short.rows < 42
    assert any("budget was spent" in note for note in short.notes)


def test_tasks_that_read(swept: Callable[..., Found]) -> None:
    found = swept({"threshold": "0.1:0.9:0.4", "top_k": "1,2"}, kind="binary", rows=40, metric="accuracy")
    assert found.answers == 40 * len({row.run for row in found.settings})
    assert found.task == "text-classification"
    verdicts = {one.parameter: one.verdict for one in found.effects}
    assert verdicts["top_k"] == "inert"
    assert found.recommendation.rows == 12


def test_a_preset_is_kept_only_if_it_holds_and_is_verified(
    bot: Path, table: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(table("conversations", 60))
    settings = Settings(**{"out": str(tmp_path / "s"), "save-preset": "loose", "margin": 100.0, "rows": 20})
    found = run.sweep(bot, data, settings, {"repetition_penalty": "1,3", "min_tokens": "0,3"}, quiet=True).found
    if found.recommendation.is_recommended:
        kept = presets.find(bot, "loose")
        assert found.preset == "loose"
        assert set(kept.parameters) == {"repetition_penalty", "min_tokens"}
        assert kept.evidence["held_out"]["rows"] == found.held_out
        assert kept.summary == found.conclusions[0]
    else:
        assert presets.read(bot) == {}
        assert any("was not saved" in note for note in found.notes)
    presets.save(bot, "wild", presets.Preset({"temperature": 5.0}, "", {"metric": "rougeL"}))
    code = main(["sweep", str(bot), data, "--verify", "wild", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["preset"] == "wild"
    assert told["verdict"] in ("worse", "cannot tell", "as good", "better")
    assert code == int(told["verdict"] not in ("better", "as good"))
    assert told["is_of_this_bundle"] is False
    assert main(["sweep", str(bot), data, "--verify", "none"]) == 2


def test_the_same_request_as_a_preset_holds(bot: Path, table: Callable[..., Path]) -> None:
    from tunesmith.sweeping import preset

    presets.save(bot, "same", presets.Preset({"temperature": 0.0}))
    found = preset.verify(bot, str(table("conversations", 60)), "same", Settings(rows=10), quiet=True)
    assert found.holds
    assert found.gain.estimate == 0
    assert "holds" in found.words


@pytest.mark.parametrize(
    ("texts", "more", "message"),
    [
        ({"temperature": "0,1"}, {"metric": "bleu"}, "no metric of chat"),
        ({"temperature": "0,1"}, {"metric": "perplexity"}, "no request parameter changes perplexity"),
        ({"temperature": "0,1"}, {"metric": "length_ratio"}, "not how good"),
        ({"temprature": "0,1"}, {}, "did you mean 'temperature'"),
        ({"temperature": "1:0:0.1"}, {}, "a range goes up"),
        ({"temperature": "0:1"}, {}, "a grid needs the values"),
        ({"temperature": "0,1"}, {"engine": "pytroch"}, "did you mean 'pytorch'"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    swept: Callable[..., Found], tmp_path: Path, texts: dict[str, str], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        swept(texts, **more)
    assert not (tmp_path / "study").exists()


def test_too_few_rows_are_refused(bundles: Callable[..., Path], tmp_path: Path) -> None:
    data = small.write(tmp_path / "few.jsonl", "conversations", 3)
    with pytest.raises(DataError, match="too few"):
        run.sweep(bundles("conversations"), str(data), Settings(out=str(tmp_path / "s")), {"top_k": "0,5"}, quiet=True)
    assert not (tmp_path / "s").exists()


def test_settings_that_are_no_balanced_grid_have_a_report_too(swept: Callable[..., Found], tmp_path: Path) -> None:
    found = swept({"temperature": "0,1", "num_beams": "1,2"})
    assert found.exact is False
    assert sum(found.left_out.values()) == 1
    assert json.loads((tmp_path / "study" / "report.json").read_text())["exact"] is False


def test_a_margin_that_says_nothing_is_told(swept: Callable[..., Found]) -> None:
    assert not any("the margin" in note for note in swept({"temperature": "0,1"}, margin=1e-9).notes)
    assert judging.margin_of("bleu", 0.19) == pytest.approx(0.019)
    assert (judging.margin_of("bleu", 30), judging.margin_of("rougeL", 0.5), judging.margin_of("rougeL", 0)) == (
        2,
        0.02,
        0.02,
    )
    assert any(
        "the margin, 2, is no less than" in note for note in swept({"temperature": "0,1"}, out="wide", margin=2).notes
    )
