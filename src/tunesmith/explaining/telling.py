"""What exact curves say: only what the numbers say, and of which answers they say it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tunesmith.explaining.curves import INERT, Curves
from tunesmith.explaining.exact import Array
from tunesmith.explaining.found import Column, Found, said
from tunesmith.explaining.phrases import Said, say


def found(curves: Curves, model: str, task: str, kind: str) -> Found:
    """What was found, for people and programs."""
    answers = len(curves.paths)
    return Found(
        curves.name,
        model,
        task,
        say(f"{kind} path{'' if answers == 1 else 's'}", places=curves.places, answers=answers),
        curves.values,
        curves.off,
        curves.held,
        tuple(_columns(curves)),
        tuple(_sentences(curves)),
        curves.largest,
        curves.is_inert,
        details=_details(curves),
    )


def _columns(curves: Curves) -> Iterator[Column]:
    before = {name: float(np.mean(values)) for name, values in curves.before.items() if name != "path"}
    yield _column(curves, "entropy", before["entropy"])
    yield _column(curves, "nucleus", before["nucleus"], "count")
    middle = np.median(curves.measures["nucleus"], axis=1)
    yield Column("median", say("median"), _plain(middle), float(np.median(curves.before["nucleus"])), "count")
    yield _column(curves, "cut", 0.0, "share")
    yield _column(curves, "distance", 0.0, "share")
    yield _column(curves, "kl", 0.0)
    yield _column(curves, "flip", 0.0, "share")
    was = curves.before["path"]
    usual = float(was[np.isfinite(was)].mean()) if np.isfinite(was).any() else None
    yield _column(curves, "path", usual)
    lost = float(np.isneginf(was).mean())
    yield Column("lost", say("lost"), _plain(curves.impossible / curves.places), lost, "share")
    usual_tokens, usual_ended = curves.usual_lengths.mean(0).tolist()
    tokens, ended = curves.lengths.mean(1).T
    yield Column("tokens", say("tokens"), _plain(tokens), usual_tokens)
    yield Column("ended", say("ended"), _plain(ended), usual_ended, "share")


def _column(curves: Curves, measure: str, before: float | None, form: str = "number") -> Column:
    return Column(measure, say(measure), _plain(curves.mean(measure)), before, form)


def _plain(numbers: Array) -> tuple[float | None, ...]:
    return tuple(float(number) if np.isfinite(number) else None for number in numbers)


def _sentences(curves: Curves) -> Iterator[Said]:
    if curves.is_inert:
        yield say(
            "inert along",
            name=curves.name,
            values=len(curves.values),
            places=curves.places,
            usual=said(curves.off),
            largest=curves.largest,
        )
        return
    yield from _where_idle(curves)
    yield _flips(curves)
    yield from _cuts(curves)
    yield _entropy(curves)
    yield from _paths(curves)
    yield from _lengths(curves)


def _where_idle(curves: Curves) -> Iterator[Said]:
    idle = [
        value for value, moved in zip(curves.values, curves.measures["distance"].max(1), strict=True) if moved < INERT
    ]
    if idle := [value for value in idle if value != curves.off]:
        yield say("idle values", idle=_some(idle))


def _flips(curves: Curves) -> Said:
    flips = curves.measures["flip"].sum(1).astype(int)
    if not flips.any():
        return say("flips nowhere", name=curves.name)
    most = int(flips.argmax())
    never = [value for value, count in zip(curves.values, flips, strict=True) if not count and value != curves.off]
    facts = {"name": curves.name, "value": said(curves.values[most]), "flips": int(flips[most])}
    if never:
        return say("flips but", **facts, places=curves.places, never=_some(never))
    return say("flips", **facts, places=curves.places)


def _cuts(curves: Curves) -> Iterator[Said]:
    cut = curves.mean("cut")
    most = int(cut.argmax())
    if cut[most] < INERT:
        return
    place = int(curves.measures["cut"][most].argmax())
    path, step = _place(curves, place)
    yield say(
        "cuts",
        name=curves.name,
        value=said(curves.values[most]),
        cut=float(100 * cut[most]),
        left=float(curves.mean("nucleus")[most]),
        most=float(100 * curves.measures["cut"][most, place]),
        token=step + 1,
        answer=path + 1,
    )


def _entropy(curves: Curves) -> Said:
    before = float(curves.before["entropy"].mean())
    return say(
        "entropy goes", **_ends(curves, curves.mean("entropy")), name=curves.name, usual=said(curves.off), before=before
    )


def _paths(curves: Curves) -> Iterator[Said]:
    gone = np.isneginf(curves.path_probability).sum(1)
    if gone.any():
        most = int(gone.argmax())
        yield say(
            "paths gone",
            name=curves.name,
            value=said(curves.values[most]),
            gone=int(gone[most]),
            answers=len(curves.paths),
            tokens=int(curves.impossible[most]),
        )


def _lengths(curves: Curves) -> Iterator[Said]:
    ends = _ends(curves, curves.lengths[:, :, 0].mean(1))
    if ends["high"] - ends["low"] > 0.05:
        yield say("length goes", **ends)


def _ends(curves: Curves, numbers: Array) -> dict[str, Any]:
    """The least and the largest of some numbers, one a value, and the values that they belong to."""
    low, high = int(numbers.argmin()), int(numbers.argmax())
    ends = {"low": float(numbers[low]), "high": float(numbers[high])}
    return {**ends, "at_low": said(curves.values[low]), "at_high": said(curves.values[high])}


def _details(curves: Curves) -> dict[str, Any]:
    place, probabilities = curves.most, curves.path_probability
    return {
        "place": {
            "answer": place.path,
            "token": place.step,
            "before": place.before,
            "next": [{"token": text, "without": was, "with": list(now)} for text, was, now in place.tokens],
        },
        "paths": [
            {
                "answer": text,
                "log_probability": list(_plain(probabilities[:, number])),
                "expected_tokens": curves.lengths[:, number, 0].tolist(),
                "ended": curves.lengths[:, number, 1].tolist(),
            }
            for number, text in enumerate(curves.paths)
        ],
    }


def _place(curves: Curves, place: int) -> tuple[int, int]:
    path = int(curves.numbers[place])
    return path, place - int(np.flatnonzero(curves.numbers == path)[0])


def _some(values: list[Any]) -> str:
    """All of a few values, or the ends of many."""
    return ", ".join(map(said, values) if len(values) <= 3 else (said(values[0]), "…", said(values[-1])))
