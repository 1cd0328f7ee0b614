"""Tables of benchmarks/results.jsonl for the documentation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs.tables import table

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results.jsonl"


def recorded() -> list[dict[str, Any]]:
    """All results, the oldest first."""
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()] if RESULTS.exists() else []


def figures() -> str:
    """What defaults reach, and the race against other loops: the last result of each kind in benchmarks/results.jsonl."""
    entries = recorded()
    accuracy = {(entry["data"], entry["task"]): entry for entry in entries if entry["benchmark"] == "accuracy"}
    race = {(entry["race"], entry["seed"], entry["side"]): entry for entry in entries if entry["benchmark"] == "train"}
    head = (
        "data",
        "task",
        "base model",
        "training rows",
        "rows scored",
        "score [95% interval]",
        "whole run",
        "peak memory",
    )
    text = (
        "The runs of `benchmarks/accuracy.py` on 2 CPU cores that other work shared (IMDB: 8,000 rows asked for):\n\n"
        + table(head, map(_accuracy, accuracy.values()))
    )
    if race:
        limits = " or ".join(sorted({f"{entry['limit_s']:g} s" for entry in race.values()}))
        how = f"same model, data and machine, one after the other, each stopped after {limits} of training"
        text += f"\n`benchmarks/train.py`, {how}:\n\n" + _race(race)
    if chat := {entry["side"]: entry for entry in entries if entry["benchmark"] == "chat"}:
        how = "LoRA on SmolLM2-135M, MultiWOZ, the same rows and rates on the same machine, one after the other"
        text += f"\n`benchmarks/chat.py`, {how}:\n\n" + _chat_race(chat)
    return text + _serving([entry for entry in entries if entry["benchmark"] == "serving"])


_LITTLE_WAITED = 0.15
"""Share of a run in which other programs may have had the processor for its time to be told without a mark."""


def adapter_figures() -> str:
    """What each adapter costs and reaches: its last result on each set, the best first."""
    entries = recorded()
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry["benchmark"] == "adapters":
            found.setdefault(entry["adapter"], {})[entry["data"]] = entry
    sets = list(dict.fromkeys(data for by_set in found.values() for data in by_set))
    figures = [f"{name} {what}" for name in sets for what in ("score [95% interval]", "training", "peak memory")]
    head = ("adapter", "trained weights", *figures, "adapter", "bundle")
    ranked = sorted(found.items(), key=lambda row: -sum(entry["value"] for entry in row[1].values()))
    return table(head, (_adapter(name, [by_set.get(data) for data in sets]) for name, by_set in ranked))


def generation_figures() -> str:
    """The last race of generation at each number of streams, and what eight bits cost."""
    mine = [entry for entry in recorded() if entry["benchmark"] == "generate"]
    last = {(entry["part"], entry["base"], entry.get("streams", 0)): entry for entry in mine}
    if not last:
        return ""
    races = [entry for (part, _, _), entry in sorted(last.items()) if part == "decoder"]
    sides = [name for name in races[0]["tokens_per_s"] if all(name in race["tokens_per_s"] for race in races)]
    head = ("tokens a second", *(f"{race['streams']} at once" for race in races))
    rows = ((side, *(f"{race['tokens_per_s'][side]:,.0f}" for race in races)) for side in sides)
    text = f"`benchmarks/generate.py`, {races[0]['base']}, {races[0]['threads']} threads:\n\n" + table(head, rows)
    others = [entry for (part, _, _), entry in sorted(last.items()) if part == "encoder-decoder"]
    head = (f"{others[0]['streams']} at once, random weights", *others[0]["tokens_per_s"])
    text += "\n" + table(head, ((one["base"], *(f"{n:,.0f}" for n in one["tokens_per_s"].values())) for one in others))
    costs = [entry["cost"] for (part, _, _), entry in last.items() if part == "quality"]
    return text + f"\nWeights of eight bits raise the perplexity of abstracts by {costs[-1]:.2%}.\n"


def _adapter(name: str, entries: list[dict[str, Any] | None]) -> tuple[str, ...]:
    cells: list[str] = []
    for entry in entries:
        if entry is None:
            cells += ["", "", ""]
            continue
        low, high = entry["interval"]
        timing = entry["timing"]
        disturbed = "≤ " if entry.get("waited_s", 0) > _LITTLE_WAITED * timing["total_s"] else ""
        cells += [
            f"**{entry['value']:.3f}** [{low:.3f}, {high:.3f}]",
            f"{disturbed}{timing['train_s']:.0f} of {timing['total_s']:.0f} s",
        ]
        cells.append(f"{timing['peak_memory_bytes'] / 1e9:.1f} GB")
    last = next(entry for entry in entries if entry is not None)
    trained, whole = last["weights"]
    sizes = (_size(last[key]) for key in ("adapter_bytes", "bundle_bytes"))
    return (f"`{name}`", f"{trained:,} ({trained / whole:.1%})", *cells, *sizes)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.0f} kB"


def _accuracy(entry: dict[str, Any]) -> tuple[str, ...]:
    rows, timing = entry["rows"], entry["timing"]
    low, high = entry["interval"]
    score = f"{entry['metric']} **{entry['value']:.3f}** [{low:.3f}, {high:.3f}]"
    cost = (f"{timing['total_s'] / 60:.0f} min", f"{timing['peak_memory_bytes'] / 1e9:.1f} GB")
    scored = entry.get("scored") or rows["test"]
    return (entry["data"], entry["task"], entry["base"], f"{rows['train']:,}", f"{scored:,}", score, *cost)


def _race(race: Mapping[tuple[str, int, str], dict[str, Any]]) -> str:
    head = ("data", "seed", "side", "best F1", "seconds to it", "seconds to Trainer's best", "tokens/s", "peak memory")
    return table(head, (_lap(entry, race.get((name, seed, "trainer"))) for (name, seed, _), entry in race.items()))


def _lap(entry: dict[str, Any], trainer: dict[str, Any] | None) -> tuple[str, ...]:
    best_s, best = max(entry["curve"], key=lambda point: (point[1], -point[0]))
    goal = max(score for _, score in trainer["curve"]) if trainer else math.inf
    reached = next((f"{seconds:.0f}" for seconds, score in entry["curve"] if score >= goal), "not reached")
    speed, memory = f"{entry['tokens_per_s']:,.0f}", f"{entry['peak_memory_mb'] / 1000:.1f} GB"
    return (entry["race"], str(entry["seed"]), entry["side"], f"{best:.3f}", f"{best_s:.0f}", reached, speed, memory)


def _chat_race(chat: Mapping[str, dict[str, Any]]) -> str:
    head = ("side", "dialogues", "held-out loss at each second step", "tokens/s", "peak memory")
    return table(
        head,
        (
            (
                side,
                str(entry["rows"]),
                ", ".join(f"{loss:.2f}" for _, loss in entry["curve"]),
                f"{entry['tokens_per_s']:,.0f}",
                f"{entry['peak_memory_mb'] / 1000:.1f} GB",
            )
            for side, entry in chat.items()
        ),
    )


def _serving(entries: list[dict[str, Any]]) -> str:
    """The last races of the server, at each number of clients, and what became of a long and mixed load."""
    last = {(entry["part"], entry.get("clients", 0)): entry for entry in entries}
    text = ""
    for part, unit, what in (
        ("writing", "tokens_per_s", "chat, LoRA on SmolLM2-135M; theirs the model without it"),
        ("classify", "requests_per_s", "a short text each, an encoder of 22 million weights exported to ONNX"),
    ):
        races = [entry for (name, _), entry in sorted(last.items()) if name == part]
        if not races:
            continue
        head = (unit.replace("_per_s", " a second"), *(f"{race['clients']} at once" for race in races))
        rows = ((side, *(f"{race[unit][side]:,.0f}" for race in races)) for side in races[0][unit])
        text += f"\n`benchmarks/serving.py`, {what}; {races[0]['threads']} threads, in turns:\n\n" + table(head, rows)
    return text + "".join(_soak(entry) for (part, _), entry in last.items() if part == "soak")


def _soak(entry: dict[str, Any]) -> str:
    short, memory = entry["seconds"]["short"], entry["memory_mb"]
    return (
        f"\n{entry['clients']} clients for {entry['for_s']:.0f} s with short and long texts, chats, streams and streams that are left:"
        f" {entry['counts']['right']:,} requests answered right and {len(entry['wrong'])} wrong or lost; a short one took"
        f" {1000 * short['median']:.0f} ms, and one in a hundred more than {1000 * short['p99']:.0f} ms; memory went from"
        f" {memory['before']:,.0f} to {memory['after']:,.0f} MB.\n"
    )
