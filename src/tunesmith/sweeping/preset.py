"""The recommended setting as a preset of the bundle, with its evidence; and whether a preset still holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tunesmith import presets
from tunesmith.params import Params
from tunesmith.sweeping.found import Found, Recommendation
from tunesmith.sweeping.study import Study, identity_of


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
