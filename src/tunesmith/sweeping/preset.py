"""The recommended setting as a preset of the bundle, with its evidence; and whether a preset still holds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith import metrics, presets
from tunesmith.data.labelled import read_labelled
from tunesmith.effects.intervals import Interval
from tunesmith.errors import UsageError
from tunesmith.params import Params
from tunesmith.sweeping import analysis, comparing, conclusions, design, judging, models, study
from tunesmith.sweeping.design import Design, Setting
from tunesmith.sweeping.found import Found, Recommendation
from tunesmith.sweeping.settings import Settings
from tunesmith.sweeping.space import Space
from tunesmith.sweeping.study import Study, identity_of


@dataclass(frozen=True)
class Verified:
    """A preset against the defaults of the bundle as it is now.

    Args:
        preset: its name.
        parameters: of it.
        metric: that was measured.
        margin: differences below it do not count.
        rows: that were answered.
        score: of the preset.
        defaults: of the defaults.
        gain: how much better the preset is.
        verdict: ``better``, ``as good``, ``worse`` or ``cannot tell``.
        is_of_this_bundle: whether the preset was found with the weights that the bundle has now.
        words: the same in a sentence.
    """

    preset: str
    parameters: Mapping[str, Any]
    metric: str
    margin: float
    rows: int
    score: float
    defaults: float
    gain: Interval
    verdict: str
    is_of_this_bundle: bool
    words: str

    @property
    def holds(self) -> bool:
        """Whether the preset is surely at least as good, but for the margin."""
        return self.verdict in ("better", "as good")


def save(study: Study, found: Found) -> Found:
    """The preset, where one is asked for and the recommendation holds."""
    wanted, one = study.settings.save_preset, found.recommendation
    if wanted is None:
        return found
    if not one.is_recommended:
        study.note(f"no preset was saved: {found.conclusions[0]}")
        return replace(found, notes=(*found.notes, f"the preset '{wanted}' was not saved, as nothing is recommended"))
    setting = study.design.settings[one.setting]
    parameters = _parameters(setting.request, {**study.space.fixed, **setting.values})
    presets.save(
        study.model.bundle.folder, wanted, presets.Preset(parameters, found.conclusions[0], evidence(found, one))
    )
    return replace(found, preset=wanted)


def evidence(found: Found, one: Recommendation) -> dict[str, Any]:
    """What was measured, for the preset."""
    names = ("data", "metric", "margin", "seed", "samples", "engine", "rows")
    told = {name: getattr(found, name) for name in names}
    measured = {name: each for name, each in asdict(one).items() if name not in ("setting", "needed_rows")}
    return {**told, "bundle": identity_of(Path(found.bundle)), "held_out": measured}


def _parameters(request: Params, names: Mapping[str, Any]) -> dict[str, Any]:
    plain = request.model_dump(mode="json", by_alias=True)
    return {name: plain[name] for name in names}


def verify(bundle: str | Path, data: str, name: str, settings: Settings, *, quiet: bool = False) -> Verified:
    """Ask again whether a preset is at least as good as the defaults, after the model was retrained or the data changed.

    Args:
        bundle: folder of the saved model.
        data: labelled rows; others than those that the preset was chosen on say more.
        name: of the preset.
        settings: how to answer; metric and margin are those of the preset's evidence unless given.
        quiet: show no progress.

    Raises:
        UsageError: there is no such preset, or the bundle cannot be asked so any more.
    """
    saved, defaults = models.request_of(bundle)
    kept = presets.find(saved.folder, name)
    request = defaults.but(**kept.parameters)
    model = models.load(saved, settings, tuple(kept.parameters))
    if reason := design.refusal(request) or models.refusal_of(model, request):
        raise UsageError(f"the preset '{name}' cannot be asked", where=str(saved.folder), hint=reason)
    metric = judging.metric_of(model, settings.metric or kept.evidence.get("metric"))
    sign = 1 if metrics.higher_is_better(metric) else -1
    two = (Setting(0, {}, defaults, 0), Setting(1, dict(kept.parameters), request, 1))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        opened = Study(place, data, model, settings, Space((), {}), Design(two, ()), metric, quiet)
        table = read_labelled(data, saved.config, model.target, place)
        rows = study.drawn(len(table), settings)
        judged, refused = comparing.all_of(opened, table, rows, time.monotonic())
        for reason in refused.values():
            raise UsageError(f"the preset '{name}' cannot be asked", where=settings.engine, hint=reason)
    before, after = (float(analysis.score(judged[number], metric, settings.seed).estimate) for number in (0, 1))
    gain = analysis.gain(judged[1], judged[0], metric, sign, settings.seed)
    margin = settings.margin or kept.evidence.get("margin") or judging.margin_of(metric, before)
    verdict, same = analysis.verdict_of(gain, margin), kept.evidence.get("bundle") == identity_of(saved.folder)
    told = f"{metric} {after:.4g} against {before:.4g}, better by {conclusions.bounds(gain)} on {len(rows)} rows"
    wide = judging.too_wide(metric, margin, before)
    words = f"{_HOLDS[verdict].format(name=name, margin=margin)}: {told}{f' ({wide})' if wide else ''}"
    return Verified(name, kept.parameters, metric, margin, len(rows), after, before, gain, verdict, same, words)


_HOLDS = {
    "better": "the preset '{name}' holds: it is better than the defaults",
    "as good": "the preset '{name}' holds: it is at least as good as the defaults, but for less than {margin:g}",
    "worse": "the preset '{name}' no longer holds: it is worse than the defaults",
    "cannot tell": "cannot tell whether the preset '{name}' still holds: more rows would say",
}
