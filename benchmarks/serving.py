"""The server, as clients in another process see it: start, load of all kinds at once, and others that serve the same model.

    python -m benchmarks.serving start    --classifier BUNDLE
    python -m benchmarks.serving soak     --classifier BUNDLE --chat BUNDLE [--seconds 300] [--clients 64] [--engine int8]
    python -m benchmarks.serving writing  --chat BUNDLE [--rounds 2]
    python -m benchmarks.serving classify --classifier BUNDLE [--rounds 3]

start: seconds from the call to ``/ready``, memory then and after requests, and whether PyTorch was loaded.
soak: short and long classification, chat plainly and as a stream, and streams that are left, each request with its own
check: labels that were asked for beforehand, a number that must come back. It fails (exit code 1) if anything is lost, mixed up
or a 5xx other than 503 with Retry-After, if the p99 of short classification is 10 times its median, or if memory grows.
writing: tokens a second at 1 and 8 clients beside `transformers serve` with the base model of the bundle, in turns.
classify: requests a second at 8 and 32 clients beside FastAPI around transformers' pipeline (`benchmarks.pipeline_server`)
with the same base model, in turns.
CLASSIFIER has an ONNX export inside. Results are appended to benchmarks/results.jsonl. Beside the project the last two need:
pip install 'transformers[serving]'
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.accuracy import RESULTS
from benchmarks.load import LEFT, Reply, Request, measured, mixed
from benchmarks.server_process import Running, ours, serving
from tunesmith import engine_choice, machine

START_S, MEMORY_MB, TAIL = 5.0, 400.0, 10.0
WRITTEN, CHAT_CLIENTS, CLASSIFY_CLIENTS, CLASSIFIED = 48, (1, 8), (8, 32), 480
MOST_GROWTH_MB, SETTLED_S, QUIET_S = 40.0, 60.0, 12.0
THINGS = ("The film", "This phone", "The hotel", "Our flight", "The lamp", "Her book", "The soup", "That concert")
VERDICTS = ("was a delight from start to end", "broke after two days", "is what it is", "cost far too much",
            "arrived a week late", "made everybody laugh")  # fmt: skip
SHORT = tuple(f"{thing} {verdict}." for thing in THINGS for verdict in VERDICTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--classifier", type=Path)
    parser.add_argument("--chat", type=Path)
    parser.add_argument("--engine", choices=["int8", "pytorch"], default="int8", help="of the soak's chat")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    sys.exit(PARTS[options.part](options))


def start(options: argparse.Namespace) -> int:
    """Seconds to the first answer, and memory."""
    found = []
    for _ in range(options.rounds):
        with serving(ours(f"model={options.classifier}", "--engine", "onnx")) as server:
            at_start = server.memory_mb
            for _ in range(20):
                server.post("/v1/predict/model", {"inputs": [*SHORT[:16]]})
            server.post("/v1/predict/model", {"inputs": [_long(random.Random(0)) for _ in range(8)]})
            found.append((server.ready_s, at_start, server.memory_mb, server.has_torch))
    seconds, before, after, torch = zip(*found, strict=True)
    figures = {"ready_s": median(seconds), "memory_mb": median(before), "memory_after_requests_mb": median(after)}
    record("start", bundle_bytes=_bytes(options.classifier / "onnx"), torch_loaded=any(torch), **figures)
    return int(max(seconds) > START_S or max(after) > MEMORY_MB or any(torch))


# all kinds of requests at once


@dataclass(frozen=True)
class Make:
    """Draws requests of every kind; what each must bring is known.

    Args:
        short, long: bodies' inputs with their answers.
    """

    short: tuple[tuple[tuple[str, ...], Any], ...]
    long: tuple[tuple[tuple[str, ...], Any], ...]

    def __call__(self, draw: random.Random) -> Request:
        kind = draw.choices(("short", "long", "chat", "stream", "left"), (50, 10, 15, 15, 10))[0]
        if kind in ("short", "long"):
            inputs, answers = draw.choice(self.short if kind == "short" else self.long)
            return Request(kind, "/v1/predict/reviews", {"inputs": list(inputs)}, wants=answers)
        number = str(draw.randrange(10_000, 100_000))
        said = [{"role": "user", "content": f"Say that your number is {number}, and nothing else."}]
        body: dict[str, Any] = {"model": "chat", "messages": said, "max_tokens": 24, "stream": kind != "chat"}
        body["response_format"] = {"type": "regex", "regex": f"(My|Your) number is {number}[.!]"}
        if kind == "left":
            body |= {"response_format": {"type": "text"}, "max_tokens": 200, "ignore_eos": True}
        return Request(kind, "/v1/chat/completions", body, kind != "chat", kind == "left", number)


@dataclass(frozen=True)
class Right:
    """Whether an answer is the one that was asked for.

    Args:
        tolerance: by which scores may differ from those of the same texts alone.
    """

    tolerance: float

    def __call__(self, request: Request, reply: Reply) -> str | None:
        if request.kind in ("short", "long"):
            return self._labels(request.wants, reply.content["answers"])
        if request.leave:
            return None if reply.content == [LEFT] else f"ended before it was left: {reply.content[-2:]}"
        if request.stream:
            text = "".join(one["choices"][0]["delta"].get("content") or "" for one in reply.content if one["choices"])
        else:
            text = reply.content["choices"][0]["message"]["content"]
        return None if re.fullmatch(f"(My|Your) number is {request.wants}[.!]", text) else f"{request.wants}: {text!r}"

    def _labels(self, wants: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> str | None:
        same = len(wants) == len(found) and all(
            want["label"] == got["label"] and abs(want["score"] - got["score"]) <= self.tolerance
            for want, got in zip(wants, found, strict=True)
        )
        return None if same else f"{wants} became {found}"


def soak(options: argparse.Namespace) -> int:
    """Everything at once, for minutes."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        chat = _with_engine(options.chat, Path(folder) / "chat", options.engine)
        reviews = _with_engine(options.classifier, Path(folder) / "reviews", "onnx")
        server = held.enter_context(serving(ours(f"reviews={reviews}", f"chat={chat}")))
        make, right = _known(server), Right(0.005 if _precision(options.classifier) == "fp32" else 0.25)
        mixed(server.url, make, options.clients, min(SETTLED_S, options.seconds / 3), right)
        before = _settled_mb(server)
        found = mixed(server.url, make, options.clients, options.seconds, right)
        left, after = _left(server), _settled_mb(server)
    faults = _faults(found, after - before, left)
    figures = {"clients": options.clients, "for_s": options.seconds, "engine": options.engine, **found}
    record("soak", **figures, memory_mb={"before": before, "after": after}, left=left, faults=faults)
    return int(bool(faults))


def _settled_mb(server: Running) -> float:
    """Memory once the server rests and has given back what it freed."""
    time.sleep(QUIET_S)
    return server.memory_mb


def _known(server: Running) -> Make:
    """Inputs with the answers that they have alone, of those of which the label is not a toss-up."""
    draw = random.Random(0)
    short = [tuple(draw.sample(SHORT, draw.randint(1, 2))) for _ in range(48)]
    long = [tuple(_long(draw) for _ in range(8)) for _ in range(6)]

    def answered(inputs: tuple[str, ...]) -> Any:
        both = server.post("/v1/predict/reviews", {"inputs": list(inputs), "top_k": 2})["answers"]
        sure = all(one["top"][0]["score"] - one["top"][1]["score"] > 0.05 for one in both)
        return server.post("/v1/predict/reviews", {"inputs": list(inputs)})["answers"] if sure else None

    known = [[(one, answer) for one in each if (answer := answered(one)) is not None] for each in (short, long)]
    assert min(map(len, known)) > 1, "the classifier is sure of nothing"
    return Make(tuple(known[0]), tuple(known[1]))


def _faults(found: Mapping[str, Any], growth_mb: float, left: Mapping[str, float]) -> list[str]:
    bad = [f"{count} {name}" for name, count in found["counts"].items() if re.match(r"lost|wrong|status", name)]
    short = found["seconds"].get("short", {"p99": 0.0, "median": 0.0})
    if short["p99"] >= TAIL * short["median"]:
        bad.append(f"p99 of short classification is {short['p99'] / (short['median'] or 1):.1f} times its median")
    if growth_mb > MOST_GROWTH_MB:
        bad.append(f"memory grew by {growth_mb:.0f} MB")
    return [*bad, *(f"{name} is {value:g} at the end" for name, value in left.items() if value)]


def _left(server: Running) -> dict[str, float]:
    """What the server counts as running and waiting once nobody asks."""
    time.sleep(3)
    told = server.get("/metrics") or ""
    found = re.findall(r"^\w*?(num_requests_running|num_requests_waiting)(?:{[^}]*})? ([\d.e+]+)$", told, re.MULTILINE)
    left: dict[str, float] = {}
    for name, value in found:
        left[name] = left.get(name, 0.0) + float(value)
    return left


def _with_engine(bundle: Path, copy: Path, engine: str) -> Path:
    """The bundle, with an engine that is taken where none is named."""
    shutil.copytree(
        bundle, copy, copy_function=os.link if bundle.stat().st_dev == copy.parent.stat().st_dev else shutil.copy2
    )
    (copy / engine_choice.CHOICES).unlink(missing_ok=True)
    engine_choice.record(copy, engine)
    return copy


def _long(draw: random.Random) -> str:
    return " ".join(draw.choice(SHORT) for _ in range(20))


# beside others


def writing(options: argparse.Namespace) -> int:
    """Tokens a second, beside `transformers serve`."""
    from tunesmith import bundle, sources

    opened = bundle.open_bundle(options.chat)
    base = str(sources.resolve(opened.config.model.base).path)
    theirs = [str(Path(sys.executable).parent / "transformers"), "serve", base, "--device", "cpu", "--port", "PORT"]
    sides = {
        "tunesmith int8": (ours(f"chat={options.chat}", "--engine", "int8"), "/ready", _our_chat),
        "tunesmith pytorch": (ours(f"chat={options.chat}", "--engine", "pytorch"), "/ready", _our_chat),
        "transformers serve": (theirs, "/health", lambda said: _their_chat(base, said)),
    }
    said = [f"Tell me something about {thing.lower()}, please." for thing in THINGS]
    found = _race(sides, said, CHAT_CLIENTS, options.rounds, wrote, lambda clients: 2 * clients)
    worst = 0
    for clients, rates in found.items():
        tokens = {name: rate * WRITTEN for name, rate in rates.items()}
        times = {name: rate / tokens["transformers serve"] for name, rate in tokens.items()}
        record(
            "writing", base=Path(base).name, clients=clients, tokens_per_s=tokens, times=times, rounds=options.rounds
        )
        worst = int(clients == 8 and times["tunesmith int8"] < 10)
    return worst


def _our_chat(said: str) -> Request:
    body = {"model": "chat", "messages": [{"role": "user", "content": said}], "temperature": 0, "ignore_eos": True}
    return Request("chat", "/v1/chat/completions", {**body, "max_tokens": WRITTEN})


def _their_chat(model: str, said: str) -> Request:
    exactly = json.dumps({"max_new_tokens": WRITTEN, "min_new_tokens": WRITTEN, "do_sample": False})
    body = {"model": model, "messages": [{"role": "user", "content": said}], "generation_config": exactly}
    return Request("chat", "/v1/chat/completions", {**body, "max_tokens": WRITTEN})


def wrote(request: Request, reply: Reply) -> str | None:
    written = reply.content["usage"]["completion_tokens"]
    return None if written == WRITTEN else f"{written} tokens instead of {WRITTEN}"


def classify(options: argparse.Namespace) -> int:
    """Requests a second, beside FastAPI around a pipeline."""
    import tunesmith
    from benchmarks.encode import stock

    model = tunesmith.load(options.classifier, "onnx")
    length, worst = model.bundle.config.model.max_length, 0
    with tempfile.TemporaryDirectory() as folder:
        pipeline = stock(model, Path(folder))
        pipeline.tokenizer.save_pretrained(folder)
        theirs = [sys.executable, "-m", "benchmarks.pipeline_server", folder, str(length), "PORT"]
        sides = {
            "tunesmith": (ours(f"model={options.classifier}", "--engine", "onnx"), "/ready", _our_label),
            "fastapi, pipeline": (theirs, "/ready", _their_label),
        }
        found = _race(sides, SHORT, CLASSIFY_CLIENTS, options.rounds, labelled, lambda _: CLASSIFIED)
    for clients, rates in found.items():
        times = rates["tunesmith"] / rates["fastapi, pipeline"]
        figures = {"requests_per_s": rates, "times": times, "rounds": options.rounds}
        record("classify", clients=clients, precision=_precision(options.classifier), **figures)
        worst |= int(times < 5)
    return worst


def _our_label(text: str) -> Request:
    return Request("label", "/v1/predict/model", {"inputs": [text]})


def _their_label(text: str) -> Request:
    return Request("label", "/classify", {"inputs": [text]})


def labelled(request: Request, reply: Reply) -> str | None:
    answers = reply.content["answers"] if isinstance(reply.content, dict) else reply.content
    return None if len(answers) == 1 and answers[0]["label"] else str(reply.content)


Side = tuple[list[str], str, Callable[[str], Request]]


def _race(
    sides: Mapping[str, Side],
    texts: Sequence[str],
    clients: Sequence[int],
    rounds: int,
    check: Callable[[Request, Reply], str | None],
    count: Callable[[int], int],
) -> dict[int, dict[str, float]]:
    """Answers a second of each side at each number of clients: all are up, and take turns; the median of rounds counts."""
    rates: dict[int, dict[str, list[float]]] = {each: {name: [] for name in sides} for each in clients}
    with ExitStack() as held:
        up = {name: held.enter_context(serving(command, ready)) for name, (command, ready, _) in sides.items()}
        for name, (_, _, form) in sides.items():
            measured(up[name].url, [form(texts[0])], 1, check)
        for each in clients:
            for _ in range(rounds):
                for name, (_, _, form) in sides.items():
                    requests = [form(texts[number % len(texts)]) for number in range(count(each))]
                    found = measured(up[name].url, requests, each, check)
                    if found["counts"].get("right", 0) != len(requests):
                        raise SystemExit(f"{name} did not answer all: {found['counts']}, {found['wrong'][:3]}")
                    rates[each][name].append(len(requests) / found["wall_s"])
    return {each: {name: median(found) for name, found in sides.items()} for each, sides in rates.items()}


def _precision(bundle: Path) -> str:
    return str(json.loads((bundle / "onnx" / "export.json").read_text(encoding="utf-8"))["precision"])


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def record(part: str, **figures: Any) -> None:
    """Print figures, and append them to the results."""
    names = ("transformers", "torch", "onnxruntime", "starlette", "uvicorn", "fastapi")
    entry = {"benchmark": "serving", "at": datetime.now(UTC).isoformat(timespec="seconds"), "part": part, **figures}
    entry |= {"threads": machine.cores(), "environment": {name: version(name) for name in names if find_spec(name)}}
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    print(json.dumps({name: value for name, value in entry.items() if name != "environment"}, indent=1), flush=True)


PARTS: dict[str, Callable[[argparse.Namespace], int]] = {
    "start": start,
    "soak": soak,
    "writing": writing,
    "classify": classify,
}


if __name__ == "__main__":
    main()
