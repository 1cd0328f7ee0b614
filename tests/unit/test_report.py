"""The report: complete, lossless, to the letter as scikit-learn prints it, offline, safe, and the same every time."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import classification_report

from tunesmith import metrics, report
from tunesmith.errors import BundleError, TrainingError
from tunesmith.metrics import Predictions
from tunesmith.report import Report, Timing
from tunesmith.report.build import MOST_MISTAKES, curves, worst
from tunesmith.report.pictures import PICTURES, pictures

HEADLINE = {"multi-class": "f1_macro", "multi-label": "f1_micro", "regression": "spearman"}
ENGLISH = ("negative", "positive", "mixed")
CHINESE = ("正面评价", "负面评价", "<b>手机</b> & 'x'")


def made(kind: str = "multi-class", labels: tuple[str, ...] = ENGLISH, rows: int = 120, seed: int = 0) -> Predictions:
    random = np.random.default_rng(seed)
    count = len(labels)
    lengths = random.integers(3, 60, rows)
    texts = [f"text {row} " + "好 " * int(length) for row, length in enumerate(lengths)]
    places = [f"data/test.csv:{row + 2}" for row in range(rows)]
    if kind == "regression":
        targets = random.uniform(0, 5, rows)
        values = targets + random.normal(size=rows) * 0.5
        return Predictions("regression", ("score",), targets, values, values, texts, lengths, places)
    if kind == "multi-label":
        targets = (random.random((rows, count)) < 0.4).astype(int)
        scores = 1 / (1 + np.exp(-(2 * targets - 1 + random.normal(size=(rows, count)))))
        return Predictions("multi-label", labels, targets, scores, (scores >= 0.4).astype(int), texts, lengths, places)
    targets = random.integers(0, count, rows)
    logits = random.normal(size=(rows, count)) + 1.5 * np.eye(count)[targets]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions("multi-class", labels, targets, scores, scores.argmax(axis=1), texts, lengths, places)


def log(metric: str, steps: int = 40) -> list[dict]:
    step = [
        {"event": "step", "step": s, "seconds": s / 2, "loss": 2 / s, "learning_rate": 1e-4 / s}
        for s in range(1, steps + 1)
    ]
    scores = [{metric: 0.5}, {metric: 0.7}, {metric: 0.6}]
    evaluations = [
        {"event": "evaluation", "step": 10 * n + 10, "seconds": n, "scores": s, "best": n < 2}
        for n, s in enumerate(scores)
    ]
    return [{"event": "note", "message": "started"}, *step, *evaluations]


def built(predictions: Predictions, **changes) -> Report:
    values = {
        "task": "text-classification",
        "base": "org/small-model",
        "adapter": "lora",
        "headline": HEADLINE[predictions.kind],
        "rows": {"train": 500, "validation": 60, "test": len(predictions)},
        "log": log(HEADLINE[predictions.kind]),
        "findings": ["3 texts are in train and test"],
        "command": "tunesmith train runs/x/config.yaml",
        "timing": Timing(83.0, 100.0, 83_000, 1_500_000_000),
        "config": {"train": {"epochs": 3.0, "learning_rate": None}, "out": "runs/x"},
        "license": "Apache-2.0",
        **changes,
    }
    return report.build(predictions, **values)


class Page(HTMLParser):
    """Collects tags, references and text of a page; fails on tags that do not match."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.identifiers: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(source)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.identifiers += [values["id"]] if "id" in values else []
        self.references += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        if tag not in ("meta", "br", "link", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("kind", sorted(HEADLINE))
def test_a_report_survives_json(kind):
    original = built(made(kind))
    again = report.from_json(json.loads(json.dumps(report.to_json(original), allow_nan=False)))
    assert again == original


@pytest.mark.parametrize("kind", sorted(HEADLINE))
def test_a_written_run_is_read_back(tmp_path, kind):
    predictions = made(kind, CHINESE)
    original = built(predictions)
    report.write(original, predictions, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["README.md", "predictions.jsonl", "report.html", "report.json"]
    assert report.load(tmp_path) == original
    again = report.load_predictions(tmp_path, original)
    assert metrics.fingerprint(again) == original.fingerprint
    assert metrics.score(again) == pytest.approx(original.metrics, abs=1e-6)
    assert list(again.sources) == list(predictions.sources)


def test_a_text_that_is_no_unicode_is_kept(tmp_path):
    predictions = made(rows=10)
    broken = Predictions(**{**vars_of(predictions), "texts": ["half a pair \ud83d", *predictions.texts[1:]]})
    report.write(built(broken), broken, tmp_path)
    again = report.load_predictions(tmp_path, report.load(tmp_path))
    assert again.texts[0] == broken.texts[0]


def vars_of(predictions: Predictions) -> dict:
    return {name: getattr(predictions, name) for name in predictions.__dataclass_fields__}


def test_terminal_prints_the_text_of_sklearn_to_the_letter(capsys):
    predictions = made()
    expected = classification_report(predictions.targets, predictions.predicted, target_names=ENGLISH, digits=4)
    shown = built(predictions)
    report.show(shown)
    printed = capsys.readouterr().out
    assert expected in printed
    assert expected in str(shown)
    low, high = shown.headline.interval
    assert f"f1_macro {shown.metrics['f1_macro']:.4f}  [{low:.4f}, {high:.4f}]" in printed.splitlines()[0]


def test_a_narrow_terminal_does_not_break_the_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    predictions = made(labels=("a label with [red]a long name[/red]", "b", "c"))
    report.show(built(predictions))
    assert metrics.classification_report(predictions) in capsys.readouterr().out


@pytest.mark.parametrize("kind", sorted(HEADLINE))
def test_html_is_one_well_formed_offline_page_with_every_picture(kind):
    predictions = made(kind, CHINESE)
    source = report.html(built(predictions), predictions)
    page = Page(source)
    assert page.tags.count("svg") == len(PICTURES[kind])
    assert not {"script", "link", "iframe", "img"} & set(page.tags)
    assert all(reference.startswith(("#", "data:image/png")) for reference in page.references)
    assert not re.search(r"url\((?!#)|@import", source)
    assert len(page.identifiers) == len(set(page.identifiers))
    assert "tunesmith train runs/x/config.yaml" in page.text
    assert "3 texts are in train and test" in page.text
    if kind != "regression":
        assert "正面评价" in page.text
        assert "<b>手机" not in source, "names are escaped"


@pytest.mark.parametrize("kind", sorted(HEADLINE))
def test_html_is_the_same_every_time(kind):
    predictions = made(kind)
    shown = built(predictions)
    assert report.html(shown, predictions) == report.html(shown, predictions)


def test_pictures_follow_the_colours_of_the_page():
    predictions = made()
    for picture in pictures(built(predictions), predictions):
        assert "var(--ink)" in picture.svg or "var(--muted)" in picture.svg
        assert "#0a0b" not in picture.svg
        assert picture.heading
        assert picture.caption


@pytest.mark.parametrize("count", [2, 13, 77])
def test_a_confusion_matrix_names_few_labels_and_numbers_many(count):
    predictions = made(labels=tuple(f"name{number}" for number in range(count)), rows=300)
    drawn = {picture.name: picture.svg for picture in pictures(built(predictions), predictions)}
    assert ("name1<" in drawn["confusions"]) == (count <= 40)
    assert (">11<" in drawn["confusions"]) == (count > 40)


def test_pictures_without_numbers_are_left_out():
    predictions = made(rows=1)
    drawn = {picture.name for picture in pictures(built(predictions, log=[]), predictions)}
    assert "learning_curves" not in drawn
    assert "score_by_length" not in drawn
    assert "confusions" in drawn


def test_worst_mistakes_are_the_most_confident_ones_and_say_where():
    predictions = made(rows=400)
    found = worst(predictions)
    wrong = predictions.predicted != predictions.targets
    confidences = np.sort(predictions.scores.max(axis=1)[wrong])[::-1][:MOST_MISTAKES]
    assert [mistake.confidence for mistake in found] == pytest.approx(confidences)
    assert all(mistake.target != mistake.predicted for mistake in found)
    row = int(found[0].where.rpartition(":")[2]) - 2
    assert predictions.labels[predictions.targets[row]] == found[0].target


def test_a_model_without_mistakes_has_none_to_show():
    predictions = made()
    right = Predictions(**{**vars_of(predictions), "predicted": predictions.targets})
    assert built(right).worst == ()
    assert "Worst mistakes" not in report.html(built(right), right)


def test_long_texts_are_marked_where_they_are_cut():
    predictions = made(rows=20)
    long = Predictions(**{**vars_of(predictions), "texts": ["x" * 1_000_000] * 20})
    assert all(m.text.endswith("… [999,600 more characters]") for m in built(long).worst)
    assert len(report.html(built(long), long)) < 400_000


def test_slices_hold_every_row_once():
    predictions = made(rows=333)
    parts = built(predictions).slices
    assert sum(part.rows for part in parts) == 333
    assert all(one.high < other.low for one, other in itertools.pairwise(parts))
    mean = sum(part.rows * part.value for part in parts) / 333
    assert mean == pytest.approx(metrics.score(predictions)["accuracy"])
    same = Predictions(**{**vars_of(predictions), "lengths": np.full(333, 7)})
    assert [part.rows for part in built(same).slices] == [333]


def test_curves_keep_the_mean_of_many_steps():
    found = curves(log("accuracy", steps=4000))
    assert len(found.training) == 400
    assert found.training[-1].step == 4000
    whole = [2 / step for step in range(1, 4001)]
    assert np.mean([point.loss for point in found.training]) == pytest.approx(np.mean(whole))
    assert [point.best for point in found.evaluations] == [True, True, False]


def test_model_card_is_read_by_hubs_and_tells_limits():
    predictions = made()
    text = report.card(built(predictions))
    _, front, body = text.split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["license"] == "apache-2.0"
    assert values["base_model"] == "org/small-model"
    assert values["pipeline_tag"] == "text-classification"
    assert values["model-index"][0]["results"][0]["metrics"]
    for heading in ("Labels", "Data", "Scores", "Limitations", "How to use", "Training"):
        assert f"\n## {heading}\n" in body
    assert metrics.classification_report(predictions).rstrip() in body
    assert "tunesmith train runs/x/config.yaml" in body
    assert "only 120 test rows" in body
    assert "| `train.learning_rate` | none |" in body


@pytest.mark.parametrize("kind", sorted(HEADLINE))
def test_model_card_of_every_kind_loads_with_the_hub_library(kind):
    from huggingface_hub import ModelCard

    loaded = ModelCard(report.card(built(made(kind)))).data
    assert loaded.eval_results[0].task_type == "text-classification"
    assert loaded.base_model == "org/small-model"


@pytest.mark.parametrize("base", ["/models/mine", "pypi://package==1.0#model", "./here/model"])
def test_model_card_names_no_hub_model_for_a_local_base(base):
    assert "base_model" not in yaml.safe_load(report.card(built(made(), base=base)).split("---\n")[1])


def test_validation_scores_are_told_from_test_scores():
    text = report.card(built(made(), rows={"train": 10, "validation": 120}, split="validation"))
    assert "also chose the weights" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a finished run"),
        ("{", "cannot be read"),
        ("[]", "not a report"),
        ('{"format": 99}', "newer version"),
        ('{"format": 1}', "damaged"),
    ],
)
def test_unusable_reports_are_explained(tmp_path, content, message):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(BundleError, match=message):
        report.load(tmp_path)


def test_damaged_predictions_are_explained(tmp_path):
    predictions = made(rows=30)
    report.write(built(predictions), predictions, tmp_path)
    lines = (tmp_path / "predictions.jsonl").read_text().replace("positive", "unheard of")
    (tmp_path / "predictions.jsonl").write_text(lines)
    with pytest.raises(BundleError, match="damaged"):
        report.load_predictions(tmp_path, report.load(tmp_path))


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    predictions = made(rows=5)
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="cannot be written"):
        report.write(built(predictions), predictions, tmp_path / "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_leaves_the_old_report(tmp_path, monkeypatch):
    """The new file is written beside the old one; a write that fails must leave nothing but the old one."""
    import tempfile

    predictions = made(rows=5)
    shown = built(predictions)
    report.write(shown, predictions, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    full = tmp_path.parent / "full"
    full.symlink_to("/dev/full")
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: (os.open(full, os.O_WRONLY), str(full)))
    with pytest.raises(TrainingError, match="cannot be written: No space left"):
        report.write(shown, predictions, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_it_is_said_how_many_rows_were_scored() -> None:
    whole = built(made(rows=120), rows={"train": 300, "test": 120})
    assert whole.measured_on == "120 test rows"
    some = built(made(rows=60), rows={"train": 300, "test": 618})
    assert some.measured_on == "60 of 618 test rows"
    assert "On 60 of 618 test rows" in str(some)
    assert dataclasses.replace(some, scored=None).measured_on == "618 test rows"
