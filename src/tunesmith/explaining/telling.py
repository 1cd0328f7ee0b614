"""Exact curves in words: only what the numbers say, and of which answers they say it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tunesmith.explaining.curves import INERT, Curves
from tunesmith.explaining.exact import Array
from tunesmith.explaining.found import Column, Found, said

ASSUMPTION = (
    "if an answer went along its path and ended at each place with the probability that the model gives to an end there"
)


def found(curves: Curves, model: str, task: str, kind: str) -> Found:
    """What was found, for people and programs."""
    answers = "answer" if len(curves.paths) == 1 else "answers"
    along = "answers that the model gives by its likeliest tokens" if kind == "greedy" else "answers of the data"
    return Found(
        curves.name,
        model,
        task,
        f"{curves.places} places of {len(curves.paths)} {answers} ({along}); exact, nothing is drawn",
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
    yield _column(curves, "entropy", "entropy of the next token, mean, nats", before["entropy"])
    yield _column(curves, "nucleus", "tokens that may come, mean", before["nucleus"], "count")
    middle = np.median(curves.measures["nucleus"], axis=1)
    yield Column(
        "median", "tokens that may come, median", _plain(middle), float(np.median(curves.before["nucleus"])), "count"
    )
    yield _column(curves, "cut", "probability that is cut, mean", 0.0, "share")
    yield _column(curves, "distance", "how much probability moved (total variation), mean", 0.0, "share")
    yield _column(
        curves,
        "kl",
        "KL to the distribution without it, mean, nats; none where it is infinite: tokens may come that could not",
        0.0,
    )
    yield _column(curves, "flip", "places whose likeliest token changed", 0.0, "share")
    was = curves.before["path"]
    usual = float(was[np.isfinite(was)].mean()) if np.isfinite(was).any() else None
    yield _column(curves, "path", "log-probability of the path's tokens, mean over those that can come, nats", usual)
    lost = float(np.isneginf(was).mean())
    yield Column(
        "lost", "places whose token on the path cannot come", _plain(curves.impossible / curves.places), lost, "share"
    )
    usual_tokens, usual_ended = curves.usual_lengths.mean(0).tolist()
    tokens, ended = curves.lengths.mean(1).T
    yield Column("tokens", f"expected tokens, {ASSUMPTION}", _plain(tokens), usual_tokens)
    yield Column("ended", "probability that it ended by then, likewise", _plain(ended), usual_ended, "share")


def _column(curves: Curves, measure: str, meaning: str, before: float | None, form: str = "number") -> Column:
    return Column(measure, meaning, _plain(curves.mean(measure)), before, form)


def _plain(numbers: Array) -> tuple[float | None, ...]:
    return tuple(float(number) if np.isfinite(number) else None for number in numbers)


def _sentences(curves: Curves) -> Iterator[str]:
    name, off = curves.name, f"{curves.name} {said(curves.off)}"
    if curves.is_inert:
        yield (
            f"{name} has no effect here: with none of {len(curves.values)} values does any of the {curves.places} "
            f"distributions differ from that with {off} (largest difference: {curves.largest:.1g})."
        )
        return
    yield from _where_idle(curves)
    yield _flips(curves)
    yield from _cuts(curves)
    entropy = curves.mean("entropy")
    low, high = int(entropy.argmin()), int(entropy.argmax())
    yield (
        f"The entropy of the next token goes from {entropy[low]:.3f} nats ({said(curves.values[low])}) to "
        f"{entropy[high]:.3f} ({said(curves.values[high])}); with {off} it is {curves.before['entropy'].mean():.3f}."
    )
    yield from _paths(curves)
    yield from _lengths(curves)


def _where_idle(curves: Curves) -> Iterator[str]:
    idle = [
        value for value, moved in zip(curves.values, curves.measures["distance"].max(1), strict=True) if moved < INERT
    ]
    if idle := [value for value in idle if value != curves.off]:
        yield f"It changes nothing at all with {_some(idle)}."


def _flips(curves: Curves) -> str:
    flips = curves.measures["flip"].sum(1).astype(int)
    if not flips.any():
        return f"{curves.name} changes the likeliest token nowhere."
    most = int(flips.argmax())
    never = [value for value, count in zip(curves.values, flips, strict=True) if not count and value != curves.off]
    text = f"{curves.name} {said(curves.values[most])} changes the likeliest token at {flips[most]} of {curves.places} places"
    return f"{text}; with {_some(never)} it changes nowhere." if never else f"{text}."


def _cuts(curves: Curves) -> Iterator[str]:
    cut = curves.mean("cut")
    most = int(cut.argmax())
    if cut[most] < INERT:
        return
    place = int(curves.measures["cut"][most].argmax())
    path, step = _place(curves, place)
    yield (
        f"{curves.name} {said(curves.values[most])} cuts {100 * cut[most]:.1f} % of the probability on average and leaves "
        f"{curves.mean('nucleus')[most]:,.1f} tokens; it cuts most, {100 * curves.measures['cut'][most, place]:.1f} %, "
        f"at token {step + 1} of answer {path + 1}."
    )


def _paths(curves: Curves) -> Iterator[str]:
    gone = np.isneginf(curves.path_probability).sum(1)
    if gone.any():
        most = int(gone.argmax())
        yield (
            f"With {curves.name} {said(curves.values[most])}, {gone[most]} of the {len(curves.paths)} answers could not "
            f"have been given: {curves.impossible[most]} of their tokens cannot come."
        )


def _lengths(curves: Curves) -> Iterator[str]:
    lengths = curves.lengths[:, :, 0].mean(1)
    low, high = int(lengths.argmin()), int(lengths.argmax())
    if lengths[high] - lengths[low] > 0.05:
        yield (
            f"The expected length goes from {lengths[low]:.1f} tokens ({said(curves.values[low])}) to {lengths[high]:.1f} "
            f"({said(curves.values[high])}), {ASSUMPTION}, and was cut where the path ends."
        )


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
    """Values in words: all of a few, or the ends of many."""
    if len(values) <= 3:
        return ", ".join(map(said, values))
    return f"{said(values[0])} to {said(values[-1])} ({len(values)} values)"
