"""What a study does, agreed on once and kept in its storage, so that every worker on any machine does the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith import config as configs
from tunesmith import given, metrics, params
from tunesmith.config import Config
from tunesmith.errors import Problem, UsageError
from tunesmith.search.settings import Settings
from tunesmith.search.space import Space

PER_CALL = ("trials", "budget", "workers", "storage", "study", "resume")
"""Settings that each call gives anew; the others are the study's."""

_ATTRIBUTE = "plan"
_EACH_MACHINES_OWN = ("train.threads",)


@dataclass(frozen=True)
class Plan:
    """What a study does.

    Args:
        config: what all trials share, as ``config.resolve`` takes it.
        space: what they vary.
        settings: of the study.
        metric: the validation score that trials are compared by.
        defaults: the place in the space where the first trial stands, as Optuna calls it.
        notes: what the user should know about them.
    """

    config: Mapping[str, Any]
    space: Space
    settings: Settings
    metric: str
    defaults: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def objectives(self) -> tuple[str, ...]:
        """What is sought: the score first."""
        return (self.metric, *self.settings.against)

    @property
    def directions(self) -> list[str]:
        """Whether more or less of each objective is better."""
        score = "maximize" if metrics.higher_is_better(self.metric) else "minimize"
        return [score, *("minimize" for _ in self.settings.against)]

    @property
    def sign(self) -> int:
        """1 where a higher score is better, else -1."""
        return 1 if self.directions[0] == "maximize" else -1

    def config_of(self, values: Mapping[str, Any], **more: Any) -> Config:
        """The whole config with some values changed, by dotted names."""
        return configs.resolve(keywords={**dict(given.flatten(self.config)), **values, **more}, environment={})

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "config": dict(self.config),
            "space": self.space.to_json(),
            "settings": self.settings.model_dump(mode="json", exclude=set(PER_CALL)),
            "metric": self.metric,
            "defaults": dict(self.defaults),
            "notes": list(self.notes),
        }

    def save(self, study: Any) -> None:
        """Keep it in a study."""
        study.set_user_attr(_ATTRIBUTE, self.to_json())


def plain(config: Config) -> dict[str, Any]:
    """A config as the values of a plan; where the run's folder is, each run says for itself."""
    return {**config.model_dump(mode="json", by_alias=True), "out": None}


def load(study: Any) -> Plan:
    """The plan in a study.

    Raises:
        UsageError: there is none: another program made this study, or it was stopped while it was made.
    """
    values = study.user_attrs.get(_ATTRIBUTE)
    if values is None:
        raise UsageError(f"the study '{study.study_name}' holds no plan", hint="choose another name with --study")
    return Plan(
        config=values["config"],
        space=Space.from_json(values["space"]),
        settings=params.check(Settings, values["settings"]),
        metric=values["metric"],
        defaults=values["defaults"],
        notes=tuple(values["notes"]),
    )


def stop_on_differences(plan: Plan, config: Config, space: Space, settings: Settings) -> None:
    """Refuse to go on with a study as if it were another one.

    Raises:
        UsageError: naming everything that was asked otherwise than the study has it.
    """
    _stop_on([*_differences(plan, config, space), *_other_settings(plan, settings)])


def stop_on_other_settings(plan: Plan, settings: Settings) -> None:
    """The same of the settings alone."""
    _stop_on(list(_other_settings(plan, settings)))


def _stop_on(problems: list[Problem]) -> None:
    if problems:
        hint = "leave it out to go on with the study as it is, or begin another one with --study NAME"
        raise UsageError("the study was begun otherwise", hint=hint, problems=problems)


def _differences(plan: Plan, config: Config, space: Space) -> Iterator[Problem]:
    before, now = dict(given.flatten(plan.config)), dict(given.flatten(plain(config)))
    for path in dict.fromkeys([*before, *now]):
        if before.get(path) != now.get(path) and path not in _EACH_MACHINES_OWN:
            yield Problem(f"{path} is {before.get(path)!r} in the study, not {now.get(path)!r}")
    old, new = ({one.path: one.words() for one in each.dimensions if one.asked} for each in (plan.space, space))
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            yield Problem(
                f"{path} is searched in {old.get(path, 'nothing')} in the study, not in {new.get(path, 'nothing')}"
            )


def _other_settings(plan: Plan, settings: Settings) -> Iterator[Problem]:
    for name, field in Settings.model_fields.items():
        now = getattr(settings, name)
        if name not in PER_CALL and now not in (field.default, getattr(plan.settings, name)):
            yield Problem(f"{name} is {getattr(plan.settings, name)} in the study, not {now}", f"--{name}")
