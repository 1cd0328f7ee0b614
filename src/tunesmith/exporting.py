"""A bundle's model in another form, checked: from a bundle and the name of an export to a folder that can be trusted.

The form is written into a folder beside its place, with what a bundle needs to answer; opened there, as a user would;
compared with the network; and only then moved to where it belongs, whole.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from tunesmith import bundle as bundles
from tunesmith import exported, machine, params, plugins, predict
from tunesmith.bundle import Bundle
from tunesmith.data.labelled import read_labelled
from tunesmith.data.prepare import prepare
from tunesmith.engines import pytorch
from tunesmith.errors import BundleError, UsageError
from tunesmith.evaluation import evaluate
from tunesmith.exported import Record
from tunesmith.exports.base import Export
from tunesmith.metrics import higher_is_better
from tunesmith.predict import Model

MOST_LOST = 0.005
"""How much worse the smaller form may score, of a metric between 0 and 1, to be kept."""

_TOLD = ("golden.jsonl", "log.jsonl", "predictions.jsonl", "README.md", "report.html", "report.json", "training.json")
"""What the run left beside the model, which holds for the exported one too."""


def export(
    folder: str | Path,
    to: str,
    out: str | Path | None = None,
    *,
    data: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Record:
    """Write a bundle's model in another form.

    Args:
        folder: the bundle.
        to: name of the form.
        out: folder of a new bundle that holds this form alone, not there yet or empty; None: into the bundle, beside
            its weights.
        data: labelled rows that a smaller form is judged on, as for ``evaluate``; None: the run's validation rows.
        options: of the form.

    Raises:
        UsageError: the form cannot hold this model, an option is wrong, or the place is taken.
        BundleError: the bundle is damaged, or the exported model's answers are not the network's.
    """
    opened, wanted = bundles.open_bundle(folder), made(to, options or {})
    place = _place(opened, wanted, out)
    wanted.check(opened)
    with _unfinished(place) as work, tempfile.TemporaryDirectory() as rows:
        if not wanted.place:
            record = _whole(opened, wanted, to, work)
        else:
            describe(opened, work)
            record = _Work(opened, wanted, to, work).done(data, Path(rows))
        _move(work / wanted.place if out is None else work, place)
    return record


def made(to: str, options: Mapping[str, Any]) -> Export:
    """The export of a name with its options, checked."""
    checked = params.check(plugins.module("exports", to).Params, options, {name: f"--{name}" for name in options})
    found: Export = plugins.load("exports", to)(checked)
    return found


def describe(bundle: Bundle, folder: Path) -> None:
    """Write what a bundle holds beside its weights into a folder, as a bundle of a whole model."""
    bundle.tokenizer().save_pretrained(str(folder))
    shutil.copyfile(bundle.folder / "config.yaml", folder / "config.yaml")
    _copy_told(bundle, folder)
    described = bundles.description(folder, bundle.config, bundle.target, None)
    bundles.write_text(folder / "bundle.json", json.dumps(described, indent=1, ensure_ascii=False))


def _copy_told(bundle: Bundle, folder: Path) -> None:
    for name in _TOLD:
        if (bundle.folder / name).is_file():
            shutil.copyfile(bundle.folder / name, folder / name)


def _place(bundle: Bundle, wanted: Export, out: str | Path | None) -> Path:
    """Where the form goes in the end."""
    if out is None:
        if not wanted.place:
            raise UsageError("this form is a bundle of its own", where="--out", hint="name a folder for it")
        return bundle.folder / wanted.place
    place = Path(out)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise UsageError("the folder is taken", where=str(out), hint="choose another --out, or move it away")
    return place


@contextmanager
def _unfinished(place: Path) -> Iterator[Path]:
    """A new folder beside a place, which is gone afterwards unless it was moved."""
    folder = place.with_name(f".new-{place.name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(source: Path, place: Path) -> None:
    """Put a folder in its place; an earlier export that is there gives way."""
    if not place.exists():
        source.rename(place)
        return
    old = place.with_name(f".old-{place.name}")
    shutil.rmtree(old, ignore_errors=True)
    place.rename(old)
    source.rename(place)
    shutil.rmtree(old)


def _whole(bundle: Bundle, wanted: Export, to: str, work: Path) -> Record:
    """A form that is a bundle of its own, for which the golden answers of the training hold."""
    wanted.write(bundle, work)
    _copy_told(bundle, work)
    drift = predict.load(work).replay()
    size = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
    return Record(to, wanted.precision, drift, size)


class _Work:
    """A form that is being made, in a folder that is a bundle with nothing else in it."""

    def __init__(self, bundle: Bundle, wanted: Export, to: str, work: Path) -> None:
        self.bundle, self.wanted, self.work = bundle, wanted, work
        self.folder = work / wanted.place
        self.known: dict[str, Any] = {"to": to, "precision": wanted.precision}
        network = network_of(bundle)
        self.inputs = network.golden_inputs()
        self.then = network.golden(self.inputs)

    def done(self, data: str | None, rows: Path) -> Record:
        """The form as it is, or smaller where it scores as well, with its record."""
        self.folder.mkdir()
        self.wanted.write(self.bundle, self.folder)
        record = self._told()
        if record.drift is not None and record.drift > self.wanted.tolerance:
            raise BundleError(
                f"golden answers of the exported model differ from the network's by {record.drift:.1e}",
                where=record.to,
                hint=f"at most {self.wanted.tolerance:.0e} is allowed; nothing was kept",
            )
        if self.wanted.smaller is None:
            return record
        return self._judged(*labelled(self.bundle, data, rows))

    def _judged(self, rows: pa.Table, told: str) -> Record:
        """The smaller form, or the one that is there, whichever is to be kept, with the scores of both."""
        precision, smaller = self.wanted.precision, str(self.wanted.smaller)
        whole, metric = self.work / "whole", self.bundle.task.metric(self.bundle.target)
        scores = {precision: self._score(rows, metric)}
        self.folder.rename(whole)
        self.folder.mkdir()
        self.wanted.shrink(self.bundle, whole, self.folder)
        self._told(precision=smaller)
        scores[smaller] = self._score(rows, metric)
        lost = (scores[precision] - scores[smaller]) * (1 if higher_is_better(metric) else -1)
        if lost > MOST_LOST:
            shutil.rmtree(self.folder)
            whole.rename(self.folder)
        else:
            shutil.rmtree(whole)
        kept = precision if lost > MOST_LOST else smaller
        return self._told(precision=kept, metric=metric, scores=scores, rows=told)

    def _score(self, rows: pa.Table, metric: str) -> float:
        return float(evaluate(predict.load(self.work, self.wanted.engine), rows).metrics[metric])

    def _told(self, **more: Any) -> Record:
        """The record of what is in the folder, with its golden answers and how far they are from the network's."""
        known = {**self.known, **more, "drift": None}
        exported.write(self.folder, known)
        if self.wanted.engine is None:
            drift = self.wanted.drift(self.bundle, self.inputs, self.then, self.folder)
        else:
            now = predict.load(self.work, self.wanted.engine).golden(self.inputs)
            pairs = zip(self.inputs, now, strict=True)
            lines = [json.dumps({"input": given, "scores": scores}, ensure_ascii=False) for given, scores in pairs]
            bundles.write_text(self.folder / exported.GOLDEN, "".join(f"{line}\n" for line in lines))
            drift = self.bundle.task.drift(self.then, now, self.bundle.target)
        return exported.write(self.folder, {**known, "drift": drift})


def network_of(bundle: Bundle) -> Model:
    """The bundle's own network, in 32 bits on this machine."""
    engine = pytorch.Engine(bundle.network(), replace(machine.prepare("fp32"), device="cpu"))
    return Model(bundle, engine, bundle.tokenizer())


def labelled(bundle: Bundle, data: str | None, folder: Path) -> tuple[pa.Table, str]:
    """Labelled rows that the model did not learn from, and which they are."""
    if data is not None:
        return read_labelled(data, bundle.config, bundle.target, folder), data
    try:
        tables = prepare(bundle.config, bundle.task, folder).tables
    except (UsageError, OSError) as error:
        raise UsageError("the run's rows cannot be read", where="--data", hint="name a labelled file") from error
    side = "validation" if "validation" in tables else "test"
    return tables[side], f"{side} rows"
