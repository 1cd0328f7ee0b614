"""The plan of a run: what it takes on this machine, as measured, and what it would on another GPU, as estimated."""

from __future__ import annotations

import platform
import tempfile
import time
from pathlib import Path

from tunesmith import machine
from tunesmith.config import Config
from tunesmith.machine import Machine
from tunesmith.planning import gpus
from tunesmith.planning.gpus import Gpu
from tunesmith.planning.measure import Measured, measure
from tunesmith.planning.model import OnGpu, Plan, Span, Variant
from tunesmith.train.warm import CANDIDATE_MICRO_TOKENS

_LIBRARIES_BYTES = 800_000_000
_SLACK = 1.1
_USED_SHARE = 0.3
_BLOCK_PASS_S, _BLOCK_TRAINING_S = 2e-4, 6e-4
_FORWARD_TOKENS = 16384
_HOUR_S = 3600
_FULL = 0.9
_BUSY = 0.1

ASSUMPTIONS = (
    f"{_USED_SHARE:.0%} of the rated speed is reached, and a pass takes {1000 * _BLOCK_TRAINING_S:g} ms a block at least",
    "reading, tokenising, saving and reporting take as long as on this machine",
    f"weights in fp32, passes in bf16 where the GPU computes it; {_LIBRARIES_BYTES / 1e9:g} GB for CUDA, {_SLACK - 1:.0%} for gaps",
)


def plan(config: Config, gpu: str | None = None, price: float | None = None) -> Plan:
    """Say before a run what it will take.

    Args:
        config: of the run; nothing of it is started, and its folder is left alone.
        gpu: one that need not be there, by name or by size of memory (``24GB``).
        price: of an hour, of this machine and of that GPU.

    Raises:
        UsageError: no such GPU.
        TunesmithError: whatever the run would stop at.
    """
    wanted = gpus.find(gpu) if gpu else None
    began, waited = time.monotonic(), machine.waited_s()
    with tempfile.TemporaryDirectory(prefix="tunesmith-plan-") as folder:
        found = measure(config, Path(folder))
    took, waited = time.monotonic() - began, machine.waited_s() - waited
    config = found.learned.config
    seconds = Span.sum([part.seconds for part in found.parts])
    limit = config.train.max_time
    if limit is not None:
        seconds = Span(*(min(limit, value) for value in (seconds.expected, seconds.low, seconds.high)))
    return Plan(
        task=config.task_name,
        base=str(config.model.base),
        adapter=config.adapter_name,
        size=found.size,
        parts=found.parts,
        seconds=seconds,
        tokens_per_s=found.tokens_per_s,
        memory=found.memory,
        disk=found.disk,
        machine=_named(found.learned.machine),
        cost=None if price is None else seconds * (price / _HOUR_S),
        gpu=_on(wanted, found, price) if wanted else None,
        notes=tuple(_notes(found, seconds, waited / took)),
        waited_share=waited / took,
        took_s=took,
    )


def _named(runs_on: Machine) -> str:
    if runs_on.device == "cuda":
        import torch

        return f"{torch.cuda.get_device_name()}, {runs_on.precision}"
    threads = "1 thread" if runs_on.threads == 1 else f"{runs_on.threads} threads"
    return f"CPU ({platform.machine()}), {threads}, {runs_on.precision}"


def _notes(found: Measured, seconds: Span, waited: float) -> list[str]:
    """What a reader of the numbers should know."""
    config, notes = found.learned.config, []
    if waited > _BUSY:
        busy = seconds.expected / (1 - min(waited, 0.95))
        notes.append(
            f"the times are those of a free machine; other programs had its processors for {waited:.0%} of the time that "
            f"this took, and if they go on like that, the run takes about {busy:,.0f} s"
        )
    if config.train.max_time is not None and seconds.high >= config.train.max_time:
        notes.append(f"train.max_time ends the run after {config.train.max_time:g} s, perhaps before its last step")
    if config.train.early_stopping is not None:
        notes.append("train.early_stopping may end the run sooner")
    if found.disk.training > _FULL * found.disk.free:
        notes.append(
            f"the disk has {found.disk.free / 1e9:.1f} GB free, and the run needs {found.disk.training / 1e9:.1f}"
        )
    return notes


def _on(gpu: Gpu, found: Measured, price: float | None) -> OnGpu:
    lora = found.learned.adapter.needs_base
    variants = [_variant(gpu, found, price, lora=False, checkpointing=False)]
    variants.append(_variant(gpu, found, price, lora=False, checkpointing=True))
    if not lora and not found.learned.network.depth:
        variants += [_variant(gpu, found, price, lora=True, checkpointing=on) for on in (False, True)]
    return OnGpu(gpu.name, gpu.memory, tuple(variants), ASSUMPTIONS if gpu.flops else ASSUMPTIONS[2:])


def _variant(gpu: Gpu, found: Measured, price: float | None, *, lora: bool, checkpointing: bool) -> Variant:
    """The fastest pass that fits: the largest."""
    sizes = sorted({min(tokens, found.largest_step) for tokens in CANDIDATE_MICRO_TOKENS})
    asked = found.learned.config.train
    needs = {tokens: memory_on(gpu, found, tokens, lora=lora, checkpointing=checkpointing) for tokens in sizes}
    tokens = max((size for size in sizes if needs[size] <= gpu.memory), default=sizes[0])
    fits = needs[tokens] <= gpu.memory
    again = checkpointing and not asked.gradient_checkpointing
    seconds = _seconds_on(gpu, found, tokens, lora=lora, again=again) if fits else None
    cost = None if price is None or seconds is None else seconds * price / _HOUR_S
    parts = ["adapter.name lora" * lora, "train.gradient_checkpointing true" * again]
    return Variant(", ".join(filter(None, parts)) or "as the config says", tokens, needs[tokens], fits, seconds, cost)


def memory_on(gpu: Gpu, found: Measured, tokens: int, *, lora: bool, checkpointing: bool) -> int:
    """Bytes that training takes on a GPU with passes of so many padded tokens."""
    costs, train = found.costs, found.learned.config.train
    trained = costs.lora if lora else costs.trainable
    states = 4 * costs.parameters + trained * (4 + found.optimizer_share + (4 if train.ema else 0))
    precision = "fp32" if found.asked_precision == "fp32" else gpu.precision
    checkpointing = checkpointing or train.gradient_checkpointing
    kept = (costs.checkpointed if checkpointing else costs.activations)(tokens, precision)
    reading = costs.kept[precision] / costs.depth * _FORWARD_TOKENS
    return int((states + max(kept, reading)) * _SLACK) + _LIBRARIES_BYTES


def _seconds_on(gpu: Gpu, found: Measured, tokens: int, *, lora: bool, again: bool) -> float | None:
    """Seconds of the whole run: by operations, or by the least that a pass takes, whichever is longer."""
    if gpu.flops is None:
        return None
    costs, speed = found.costs, gpu.flops * _USED_SHARE
    each = min(costs.training, 2.05 * costs.forward) if lora else costs.training
    each += costs.forward if again else 0.0
    passes = max(found.size.steps, found.training_tokens / tokens)
    training = max(each * found.training_tokens / speed, passes * costs.depth * _BLOCK_TRAINING_S)
    batches = found.forward_tokens / _FORWARD_TOKENS + found.writing_steps
    forward = max(costs.forward * found.forward_tokens / speed, batches * costs.depth * _BLOCK_PASS_S)
    here = sum(part.seconds.expected for part in found.parts if not part.moves)
    return training + forward + here
