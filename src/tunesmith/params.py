"""A parameter is declared once; its flag, environment variable, JSON schema, docs row, search range and errors follow.

    class Params(params.Params):
        threshold: float = param(0.5, "Answer 'unknown' below this probability.", ge=0, le=1, search=Range(0.1, 0.9))

Sections nest: a field whose type is a ``Params`` class gives the dotted names below it (``train.learning_rate``).
``None`` means not set. Values are checked when they arrive and are frozen afterwards.
"""

from __future__ import annotations

import itertools
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, PydanticUndefined

from tunesmith import kinds, plugins
from tunesmith.errors import Problem, UsageError, did_you_mean, nearest

P = TypeVar("P", bound="Params")
ENVIRONMENT_PREFIX = "TUNESMITH_"
_VALUES = reprlib.Repr()
_VALUES.maxstring = _VALUES.maxother = 200
"""How illegal values are shown; whole ones could be of any size."""
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
    repeated: bool = False,
    name: str | None = None,
    also: str | None = None,
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
        plugin: the kind of plugin that the value names (``"train.optimizers"``): its names are the legal values.
        positional: on the command line it stands without a flag.
        repeated: of a list: its flag is given once for each entry, so that an entry may hold commas.
        name: what users type, where the field itself cannot be called that.
        also: a second name that is accepted for it.
    """
    marks = {"positional": positional, "repeated": repeated}
    extra = {"search": search and asdict(search), "plugin": plugin, "also": also, **marks}
    known: Any = {key: value for key, value in extra.items() if value}
    return Field(default, description=help, gt=gt, ge=ge, lt=lt, le=le, alias=name, json_schema_extra=known or None)


def _end_at_the_first(schema: Any) -> None:
    """Have a schema, as pydantic's core reads it, look at no item of a collection after one that is illegal."""
    if isinstance(schema, dict):
        if schema.get("type") in ("list", "tuple", "dict"):
            schema["fail_fast"] = True
        for name, part in schema.items():
            if name not in ("default", "metadata"):
                _end_at_the_first(part)
    elif isinstance(schema, list):
        for part in schema:
            _end_at_the_first(part)


class Params(BaseModel):
    """A frozen group of declared parameters that refuses unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Of a list's items the first illegal one alone is told: half a million of them would hold a server up."""
        schema = handler(source)
        _end_at_the_first(schema)
        return schema

    @model_validator(mode="before")
    @classmethod
    def _has_one_name(cls, values: Any) -> Any:
        return by_first_name(cls, values) if isinstance(values, Mapping) else values

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """``yes`` in YAML is not the number 1."""
        if isinstance(value, bool) and bool not in kinds.alternatives(
            cls.model_fields[info.field_name or ""].annotation
        ):
            raise PydanticCustomError("no_truth", "is true or false where something else is expected")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _fits(cls, value: Any) -> Any:
        """What computes with a whole number has 64 bits for it."""
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise PydanticCustomError("too_large", "is too large")
        return value

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
        own = {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}
        return check(type(self), {**own, **changes})


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
    repeated: bool = False

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
        problems = _problems(group, error.errors(), origins or {})
        headline = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UsageError(f"{headline} with the parameters given", problems=problems) from None


def by_first_name(group: type[Params], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the name under which they are declared, where a second one was used (see ``param``).

    Raises:
        UsageError: a parameter is given by both names, with values that differ.
    """
    found = dict(values)
    for name, field in group.model_fields.items():
        second = _extra(field).get("also")
        if second is None or second not in found:
            continue
        value = found.pop(second)
        if name in found and found[name] != value:
            message = f"{value!r}, and {name}, which is the same parameter, is {found[name]!r}"
            raise UsageError(
                "parameters that do not go together", problems=[Problem(message, second, "give one of them")]
            )
        found[name] = value
    return found


def set_apart(values: Params) -> set[str]:
    """Names of the fields whose value is not the default."""
    return {name for name, field in type(values).model_fields.items() if getattr(values, name) != field.default}


def schema(group: type[Params]) -> dict[str, Any]:
    """JSON schema of a group; parameters that name a plugin list the legal names."""
    document = group.model_json_schema()
    for part in (document, *document.get("$defs", {}).values()):
        for row in part.get("properties", {}).values():
            if "plugin" in row:
                unset = any(kind.get("type") == "null" for kind in row.get("anyOf", ()))
                row["enum"] = [*plugins.names(row["plugin"]), *([None] if unset else [])]
    return document


def read_texts(group: type[Params], texts: Mapping[str, str]) -> dict[str, Any]:
    """``kinds.from_text`` for each named text of a group; unknown names stay text, for the check to refuse."""
    texts = by_first_name(group, texts)
    annotations = {leaf.path: leaf.annotation for leaf in leaves(group)}
    return {name: kinds.from_text(text, annotations.get(name, str)) for name, text in texts.items()}


def _seconds(value: Any) -> Any:
    if isinstance(value, str) and (found := re.fullmatch(r"\s*([\d.]+)\s*([smhd])\s*", value)):
        return float(found[1]) * _SECONDS[found[2]]
    return value


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
    kinds.Legal("seconds > 0, or text such as 90s, 10m, 2h, 1d"),
]
"""A length of time in seconds; text may carry a unit: ``90s``, ``10m``, ``2h``, ``1d``."""


def _interval(value: str) -> str:
    found = re.fullmatch(r"\s*([\d.]+)\s*(step|epoch)s?\s*", value)
    if not found or float(found[1]) <= 0:
        raise ValueError("write a number and its unit, such as '200 steps' or '0.5 epochs'")
    return f"{found[1]} {found[2]}s"


Interval = Annotated[str, AfterValidator(_interval), kinds.Legal("text such as 200 steps, 0.5 epochs")]
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


def _leaf(path: str, field: FieldInfo) -> Leaf:
    extra = _extra(field)
    choices = tuple(
        str(v) for kind in kinds.alternatives(field.annotation) if get_origin(kind) is Literal for v in get_args(kind)
    )
    if kind := extra.get("plugin"):
        choices = plugins.names(kind)
    search = extra.get("search")
    return Leaf(
        path=path,
        annotation=field.annotation,
        help=field.description or "",
        default=field.default,
        legal=kinds.legal(field, choices, only_choices="plugin" in extra),
        choices=choices,
        search=None if not search else Choices(**search) if "values" in search else Range(**search),
        positional=bool(extra.get("positional")),
        repeated=bool(extra.get("repeated")),
    )


def _problems(group: type[Params], errors: Sequence[ErrorDetails], origins: Mapping[str, str]) -> list[Problem]:
    """What pydantic found, as a user's sentences: one for each name, however many types its value could have had."""
    known = {leaf.path: leaf for leaf in leaves(group)}
    found: dict[str, list[ErrorDetails]] = {}
    for details in errors:
        path = ".".join(str(part) for part in details["loc"])
        leaf = next((name for name in _beginnings(details["loc"]) if name in known), path)
        found.setdefault(path if details["type"] == "extra_forbidden" else leaf, []).append(details)
    return [_problem(group, path, details, known.get(path), _origin(path, origins)) for path, details in found.items()]


def _beginnings(place: Sequence[int | str]) -> Iterator[str]:
    """The dotted names of a place and of all that it is in, the outermost first."""
    return itertools.accumulate((str(part) for part in place), "{}.{}".format)


def _problem(
    group: type[Params], path: str, errors: Sequence[ErrorDetails], leaf: Leaf | None, where: str | None
) -> Problem:
    """Where it stands, what it is, what would be legal."""
    if errors[0]["type"] == "extra_forbidden":
        return Problem(f"unknown parameter '{path}'", where, _meant(group, [str(part) for part in errors[0]["loc"]]))
    if errors[0]["type"] == "missing":
        return Problem(f"'{path}' is required" + (f": {leaf.help}" if leaf else ""), where)
    reasons = dict.fromkeys(details["msg"].removeprefix("Value error, ") for details in errors)
    legal = leaf.legal if leaf else f"a section: {path}.NAME, or a mapping"
    return Problem(f"{path} = {_VALUES.repr(errors[0]['input'])}: {'; or '.join(reasons)}", where, f"legal: {legal}")


def _meant(group: type[Params], place: Sequence[str]) -> str | None:
    """What an unknown name was meant to be: the same name elsewhere, else a like one beside it, else a like one anywhere."""
    *parents, name = place
    elsewhere: dict[str, str] = {}
    for leaf in leaves(group):
        elsewhere.setdefault(leaf.path.rpartition(".")[2], leaf.path)
    siblings = _names_below(group, parents)
    if name not in elsewhere and (beside := nearest(name, siblings)):
        return f"did you mean '{'.'.join([*parents, beside])}'?"
    anywhere = nearest(name, elsewhere)
    return f"did you mean '{elsewhere[anywhere]}'?" if anywhere else did_you_mean(name, siblings)


def _names_below(group: type[Params], parents: Sequence[str]) -> list[str]:
    current: type[Params] | None = group
    for part in parents:
        field = current.model_fields.get(part) if current else None
        current = section_class(field.annotation) if field else None
    return [field.alias or name for name, field in current.model_fields.items()] if current else []


def _origin(path: str, origins: Mapping[str, str]) -> str | None:
    """Where a value was given; of a section, where the first value in it was."""
    return origins.get(path) or next((place for name, place in origins.items() if name.startswith(f"{path}.")), None)
