"""A sweep, from a saved model and labelled rows to what its request parameters do and which setting to take."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.data.labelled import read_labelled
from tunesmith.search.show import PAGE
from tunesmith.sweeping import (
    addresses,
    analysis,
    asking,
    comparing,
    conclusions,
    design,
    examples,
    judging,
    models,
    preset,
    show,
    space,
    spelled,
    study,
    validity,
)
from tunesmith.sweeping.found import Found
from tunesmith.sweeping.settings import Settings
from tunesmith.sweeping.study import Answered, Study
from tunesmith.sweeping.writing import answers_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Sweep:
    """A finished sweep: its folder, and what it found."""

    folder: Path
    found: Found

    def show(self, *, as_json: bool = False) -> None:
        """Print it."""
        if as_json:
            print(json.dumps(self.found.to_json(), ensure_ascii=False))
        else:
            show.show(self.found)
            print(self.folder / PAGE)


def sweep(bundle: str | Path, data: str, settings: Settings, texts: Mapping[str, str], *, quiet: bool = False) -> Sweep:
    """Find out what request parameters do.

    Args:
        bundle: folder of the saved model.
        data: labelled rows, as ``data.test`` takes them.
        settings: how to sweep.
        texts: request parameters with their text; see ``space`` for how several values are written.
        quiet: show no progress.

    Raises:
        UsageError: something in the call is not legal.
        DataError: rows cannot be used, or are too few.
    """
    began = time.monotonic()
    opened = _open(bundle, data, settings, texts, quiet)
    model = opened.model
    with tempfile.TemporaryDirectory() as folder:
        table = read_labelled(data, model.bundle.config, model.target, Path(folder))
        rows = study.rows_of(len(table), settings)
        study.claim(opened.folder, model.bundle.folder, data, settings, texts)
        if isinstance(model.engine, asking.Engine):
            addresses.keep(model.engine.server, opened.folder)
        writes = model.task.writes or isinstance(model.engine, asking.Engine)
        answered = comparing.written(opened, table, rows, began) if writes else comparing.read(opened, table, rows)
        found = preset.save(opened, _found(opened, table, answered))
    show.write(found, opened.folder)
    return Sweep(opened.folder, found)


def _open(bundle: str | Path, data: str, settings: Settings, texts: Mapping[str, str], quiet: bool) -> Study:
    saved, defaults = models.request_of(bundle)
    varied = space.read(type(defaults), texts)
    names = (*(axis.name for axis in varied.axes), *varied.fixed)
    options: dict[str, Any] = {"kind": settings.design, "count": settings.settings, "seed": settings.seed}
    design.make(varied, defaults, **options)  # mistakes are told before the weights are loaded
    model = models.load(saved, settings, names)
    metric = judging.metric_of(model, settings.metric)
    designed = design.make(varied, defaults, **options, refused=lambda request: models.refusal_of(model, request))
    validity.forms(designed, settings)
    folder = study.place_of(saved.folder, settings)
    opened = Study(folder, data, model, settings, varied, designed, metric, quiet)
    opened.note(f"{len(designed.settings)} settings, {len(designed.runs)} different requests, into {folder}")
    for reason, count in designed.left_out.items():
        opened.note(f"{count} settings left out: {reason}")
    return opened


def _found(opened: Study, table: pa.Table, answered: Answered) -> Found:
    settings, metric, sign = opened.settings, opened.metric, opened.sign
    rows = analysis.rows(opened.design, answered.judged, metric, sign, answered.dropped, settings.seed)
    margin = settings.margin or judging.margin_of(metric, rows[0].score.estimate)
    effects, shares, parts = analysis.effects(opened.design, answered.judged, metric, margin, settings.seed)
    run = opened.design.settings[answered.best].run
    recommended = analysis.recommend(answered.best, answered.held, run, metric, sign, margin, settings.seed)
    wide = judging.too_wide(metric, margin, rows[0].score.estimate)
    found = Found(
        bundle=str(opened.model.bundle.folder),
        data=opened.data,
        task=opened.model.bundle.config.task_name,
        engine=settings.engine or "pytorch",
        metric=metric,
        higher_is_better=sign > 0,
        margin=margin,
        seed=settings.seed,
        samples=settings.samples,
        design=settings.design,
        rows=max(map(len, answered.judged.values())),
        common_rows=min(map(len, answered.judged.values())),
        held_out=len(answered.rows.held_out),
        answers=answered.answers,
        fixed=dict(opened.space.fixed),
        settings=rows,
        effects=effects,
        shares=parts,
        exact=shares.exact,
        rest=shares.rest,
        fronts=analysis.fronts(rows, sign),
        recommendation=recommended,
        examples=examples.gather(table, answered.rows.compared, opened.model, answered.judged, rows, recommended),
        left_out=dict(opened.design.left_out),
        notes=(*answered.notes, *_notes(opened, shares.exact), *filter(None, [wide])),
    )
    return replace(found, conclusions=conclusions.sentences(found))


def _notes(opened: Study, exact: bool) -> list[str]:
    long = [one for axis in opened.space.axes for one in axis.values if isinstance(one, Mapping)]
    notes = [
        f"{spelled.value(one)} is {spelled.whole(one)}" for one in long if spelled.value(one) != spelled.whole(one)
    ]
    same = len(opened.design.settings) - len(opened.design.runs)
    if same:
        notes.append(f"{same} settings come to the same request as another one, whose answers they share")
    if not exact:
        notes.append("the settings are no balanced grid: shares are fitted, effects are those of an additive model")
    if isinstance(opened.model.engine, asking.Engine) and not opened.model.engine.is_ours:
        notes.append(f"{opened.model.engine.server.program} was asked, with parameters carried over into its terms")
    if not opened.model.task.writes:
        return notes
    writer = comparing.writer_of(opened)
    drawn: list[Any] = [one.request for one in opened.design.runs if answers_of(one.request, 2) == 2]
    if drawn and not writer.seeds(drawn[0].model_copy(update={"seed": 1})):
        notes.append("the engine draws by seeds of its own: these answers cannot be repeated")
    if validity.is_untold(opened.design, opened.settings):
        notes.append("settings ask for different formats, some for none: --valid-against says by which all are judged")
    if not drawn and opened.settings.samples > 1:
        notes.append("nothing is drawn in any setting, so each row has one answer")
    return notes
