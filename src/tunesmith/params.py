"""A parameter is declared once; its flag, environment variable, JSON schema, docs row, search range and errors follow.

    class Params(params.Params):
        threshold: float = param(0.5, "Answer 'unknown' below this probability.", ge=0, le=1, search=Range(0.1, 0.9))

Sections nest: a field whose type is a ``Params`` class gives the dotted names below it (``train.learning_rate``).
``None`` means not set. Values are checked when they arrive and are frozen afterwards.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError, PydanticUndefined

from tunesmith import plugins
from tunesmith.errors import Problem, UsageError, did_you_mean

P = TypeVar("P", bound="Params")
ENVIRONMENT_PREFIX = "TUNESMITH_"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Range:
    """Search range of a number; ``log`` spaces it logarithmically."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choices:
    """Search range of a parameter that takes one of a few values."""

    values: tuple[Any, ...]


def param(
    default: Any,
    help: str,
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
    search: Range | Choices | None = None,
    plugin: str | None = None,
    positional: bool = False,
    name: str | None = None,
) -> Any:
    """Declare a parameter.

    Args:
        default: its value when none is given; ``...`` makes it required.
        help: one sentence: meaning, unit, what ``None`` does.
        gt: with ``ge``, ``lt`` and ``le`` the legal range.
        ge: see ``gt``.
        lt: see ``gt``.
        le: see ``gt``.
        search: the range that a hyperparameter search tries.
        plugin: the kind of plugin that the value names (``"optimizers"``): its names are the legal values.
        positional: on the command line it stands without a flag.
        name: what users type, where the field itself cannot be called that.
    """
    extra = {"search": search and asdict(search), "plugin": plugin, "positional": positional}
    known: Any = {key: value for key, value in extra.items() if value}
    return Field(default, description=help, gt=gt, ge=ge, lt=lt, le=le, alias=name, json_schema_extra=known or None)


class Params(BaseModel):
    """A frozen group of declared parameters that refuses unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _is_known_plugin(cls, value: Any, info: ValidationInfo) -> Any:
        kind = _extra(cls.model_fields[info.field_name or ""]).get("plugin")
        if kind and isinstance(value, str) and value not in plugins.names(kind):
            known = plugins.names(kind)
            message = f"no such {plugins.singular(kind)}; {did_you_mean(value, known) or ''}"
            raise PydanticCustomError("unknown_plugin", "{message}", {"message": message})
        return value

    def but(self, **changes: Any) -> Self:
        """A checked copy with some values changed.

        >>> class Example(Params):
        ...     rate: float = param(1.0, "A rate.", ge=0)
        >>> Example().but(rate=2).rate
        2.0
        """
        return check(type(self), {**dict(self), **changes})


@dataclass(frozen=True)
class Leaf:
    """One parameter of a (nested) ``Params`` class, with everything that is declared of it."""

    path: str
    annotation: Any
    help: str
    default: Any
    legal: str
    choices: tuple[str, ...]
    search: Range | Choices | None
    positional: bool

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is PydanticUndefined

    @property
    def flag(self) -> str:
        """How the command line spells it."""
        return f"--{self.path}"

    @property
    def environment(self) -> str:
        """The environment variable that sets it."""
        return ENVIRONMENT_PREFIX + re.sub(r"[.-]", "_", self.path).upper()


def leaves(group: type[Params], prefix: str = "") -> Iterator[Leaf]:
    """Every parameter of a group, sections walked depth first, in the order of declaration."""
    for name, field in group.model_fields.items():
        name = field.alias or name
        section = section_class(field.annotation)
        if section is not None:
            yield from leaves(section, f"{prefix}{name}.")
        else:
            yield _leaf(f"{prefix}{name}", field)


def section_class(annotation: Any) -> type[Params] | None:
    """The ``Params`` class that a field nests, or None if the field is a leaf."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Params) else None


def check(group: type[P], values: Mapping[str, Any], origins: Mapping[str, str] | None = None) -> P:
    """Build ``group`` from values; on any mistake raise one error that lists them all.

    Args:
        group: the ``Params`` class.
        values: nested values; text is converted to the declared types.
        origins: dotted path to where its value came from (``"config.yaml:7"``, ``"--train.epochs"``).

    Raises:
        UsageError: with a problem for every unknown name and every illegal value.
    """
    try:
        return group.model_validate(values)
    except ValidationError as error:
        problems = [_problem(group, details, origins or {}) for details in error.errors()]
        headline = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UsageError(f"{headline} with the parameters given", problems=problems) from None


def schema(group: type[Params]) -> dict[str, Any]:
    """JSON schema of a group; parameters that name a plugin list the legal names."""
    document = group.model_json_schema()
    for part in (document, *document.get("$defs", {}).values()):
        for row in part.get("properties", {}).values():
            if "plugin" in row:
                row["enum"] = list(plugins.names(row["plugin"]))
    return document


def from_text(text: str, annotation: Any) -> Any:
    """Read a flag's or variable's text as the declared type would have it in YAML.

    Lists may be written ``a,b,c``; ``none`` unsets an optional parameter. Everything else stays text for the check.

    >>> from_text("a, b", tuple[str, ...]), from_text("none", float | None), from_text("3e-5", float)
    (['a', 'b'], None, '3e-5')
    """
    kinds = _alternatives(annotation)
    if text.strip().lower() in ("none", "null") and type(None) in kinds:
        return None
    containers = [kind for kind in kinds if (get_origin(kind) or kind) in (list, tuple, set, frozenset, dict)]
    if not containers:
        return text
    if text.strip()[:1] in ("[", "{"):
        return yaml.safe_load(text)
    return [part.strip() for part in text.split(",")]


def read_texts(group: type[Params], texts: Mapping[str, str]) -> dict[str, Any]:
    """``from_text`` for each named text of a group; unknown names stay text, for the check to refuse."""
    annotations = {leaf.path: leaf.annotation for leaf in leaves(group)}
    return {name: from_text(text, annotations.get(name, str)) for name, text in texts.items()}


def _seconds(value: Any) -> Any:
    if isinstance(value, str) and (found := re.fullmatch(r"\s*([\d.]+)\s*([smhd])\s*", value)):
        return float(found[1]) * _SECONDS[found[2]]
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, description="seconds; '90s', '10m', '2h', '1d'")]
"""A length of time in seconds; text may carry a unit: ``90s``, ``10m``, ``2h``, ``1d``."""


def _interval(value: str) -> str:
    found = re.fullmatch(r"\s*([\d.]+)\s*(step|epoch)s?\s*", value)
    if not found or float(found[1]) <= 0:
        raise ValueError("write a number and its unit, such as '200 steps' or '0.5 epochs'")
    return f"{found[1]} {found[2]}s"


Interval = Annotated[str, AfterValidator(_interval)]
"""A stretch of training, ``'200 steps'`` or ``'0.5 epochs'``."""


def steps_in(interval: str, steps_per_epoch: int) -> int:
    """Length of an ``Interval`` in optimizer steps, at least one.

    >>> steps_in("0.5 epochs", 100), steps_in("20 steps", 100)
    (50, 20)
    """
    count, unit = interval.split()
    return max(1, round(float(count) * (steps_per_epoch if unit == "epochs" else 1)))


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (types.UnionType, typing.Union):
        return tuple(part for option in get_args(annotation) for part in _alternatives(option))
    return (annotation,)


def _leaf(path: str, field: FieldInfo) -> Leaf:
    extra = _extra(field)
    choices = tuple(
        str(v) for kind in _alternatives(field.annotation) if get_origin(kind) is Literal for v in get_args(kind)
    )
    if kind := extra.get("plugin"):
        choices = plugins.names(kind)
    search = extra.get("search")
    return Leaf(
        path=path,
        annotation=field.annotation,
        help=field.description or "",
        default=field.default,
        legal=_legal(field, choices),
        choices=choices,
        search=None if not search else Choices(**search) if "values" in search else Range(**search),
        positional=bool(extra.get("positional")),
    )


def _legal(field: FieldInfo, choices: tuple[str, ...]) -> str:
    """The legal values in words, such as ``number > 0`` or ``one of a, b``."""
    kinds = _alternatives(field.annotation)
    optional = " or none" if type(None) in kinds else ""
    if choices:
        return f"one of {', '.join(choices)}{optional}"
    words = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    kind = next((kind for kind in kinds if kind is not type(None)), str)
    name = words.get(kind) or (
        "list" if get_origin(kind) in (tuple, list) else "mapping" if get_origin(kind) is dict else str(kind)
    )
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    metadata = [*field.metadata, *(m for part in get_args(field.annotation) for m in getattr(part, "__metadata__", ()))]
    bounds = [
        f"{sign} {getattr(m, key):g}"
        for m in metadata
        for key, sign in signs.items()
        if getattr(m, key, None) is not None
    ]
    return " ".join([name, " and ".join(dict.fromkeys(bounds))]).strip() + optional


def _problem(group: type[Params], details: ErrorDetails, origins: Mapping[str, str]) -> Problem:
    """One pydantic error as a user's sentence: where it stands, what it is, what would be legal."""
    path = ".".join(str(part) for part in details["loc"])
    known = {leaf.path: leaf for leaf in leaves(group)}
    where = origins.get(path)
    if details["type"] == "extra_forbidden":
        parent, _, name = path.rpartition(".")
        siblings = _names_below(group, parent)
        elsewhere = [full for full in known if full.rpartition(".")[2] == name]
        hint = f"did you mean '{elsewhere[0]}'?" if elsewhere else did_you_mean(name, siblings)
        return Problem(f"unknown parameter '{path}'", where, hint)
    leaf = next((known[full] for full in known if path == full or path.startswith(f"{full}.")), None)
    if details["type"] == "missing":
        return Problem(f"'{path}' is required" + (f": {leaf.help}" if leaf else ""), where)
    reason = details["msg"].removeprefix("Value error, ")
    return Problem(f"{path} = {details['input']!r}: {reason}", where, f"legal: {leaf.legal}" if leaf else None)


def _names_below(group: type[Params], path: str) -> list[str]:
    current: type[Params] | None = group
    for part in filter(None, path.split(".")):
        field = current.model_fields.get(part) if current else None
        current = section_class(field.annotation) if field else None
    return list(current.model_fields) if current else []
