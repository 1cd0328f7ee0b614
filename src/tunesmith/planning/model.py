"""The plan of a run as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Span:
    """A number that is expected, and the bounds that it will most likely keep."""

    expected: float
    low: float
    high: float

    def __mul__(self, factor: float) -> Span:
        return Span(self.expected * factor, self.low * factor, self.high * factor)

    @classmethod
    def of(cls, expected: float, off: float) -> Span:
        """Bounds that are a share ``off`` away.

        >>> Span.of(10.0, 0.1)
        Span(expected=10.0, low=9.0, high=11.0)
        """
        return cls(expected, expected * (1 - off), expected * (1 + off))

    @classmethod
    def sum(cls, spans: list[Span]) -> Span:
        """All of them together; their bounds are added, as if all erred to the same side."""
        return cls(sum(s.expected for s in spans), sum(s.low for s in spans), sum(s.high for s in spans))


@dataclass(frozen=True)
class Part:
    """A stretch of a run and its seconds. ``moves``: whether it runs on the GPU where there is one."""

    name: str
    seconds: Span
    moves: bool = False


@dataclass(frozen=True)
class Size:
    """How much there is to do.

    Args:
        rows: of each split.
        tokens: of the training and the validation rows, padding not counted.
        steps: optimizer steps of the whole run.
        epochs: passes over the training rows.
        evaluations: scorings of the validation rows, the one before the first step included.
        micro_tokens: padded tokens of one forward and backward pass.
        parameters: weights of the network.
        trainable: those of them that train.
        flops: floating point operations of all training steps, forward and backward.
    """

    rows: dict[str, int]
    tokens: dict[str, int]
    steps: int
    epochs: float
    evaluations: int
    micro_tokens: int
    parameters: int
    trainable: int
    flops: float


@dataclass(frozen=True)
class Memory:
    """Bytes. ``peak`` was measured, of the whole process; the others are counted, and ``rest`` is what they leave of it."""

    peak: int
    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def rest(self) -> int:
        """Libraries, data, and what the allocator holds back."""
        return max(0, self.peak - self.weights - self.gradients - self.optimizer - self.activations)


@dataclass(frozen=True)
class Disk:
    """Bytes: the most that the run's folder holds while it trains, what it holds afterwards, and what is free there."""

    training: int
    finished: int
    free: int


@dataclass(frozen=True)
class Variant:
    """A way to run on a GPU: its memory, whether that fits, and roughly the seconds of the whole run.

    Args:
        name: what is done otherwise than the config says.
        micro_tokens: the largest forward pass that fits, or the smallest that there is.
        memory: bytes.
        fits: whether that is less than the GPU has.
        seconds: None where the GPU's speed is not known, or it does not fit.
        cost: of these seconds at the price given; None without a price.
    """

    name: str
    micro_tokens: int
    memory: int
    fits: bool
    seconds: float | None
    cost: float | None


@dataclass(frozen=True)
class OnGpu:
    """What a GPU that need not be there would do; an estimate under the assumptions named."""

    name: str
    memory: int
    variants: tuple[Variant, ...]
    assumptions: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a run will take. It prints as the terminal shows it.

    Args:
        task: name of the task.
        base: the base model.
        adapter: which weights train.
        size: how much there is to do.
        parts: stretches of the run, in their order.
        seconds: of the whole run, on this machine when it has nothing else to do.
        tokens_per_s: training speed, padding not counted.
        memory: bytes in memory.
        disk: bytes on disk.
        machine: what it was measured on.
        cost: of the run on this machine, at the price given; None without a price.
        gpu: what another GPU would do; None: not asked.
        notes: what else is worth knowing.
        waited_share: share of the time that the plan took in which other programs had the processors.
        took_s: seconds that the plan took.
    """

    task: str
    base: str
    adapter: str
    size: Size
    parts: tuple[Part, ...]
    seconds: Span
    tokens_per_s: float
    memory: Memory
    disk: Disk
    machine: str
    cost: Span | None
    gpu: OnGpu | None
    notes: tuple[str, ...]
    waited_share: float
    took_s: float

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "memory": {**asdict(self.memory), "rest": self.memory.rest}}

    def __str__(self) -> str:
        """As the terminal shows it, without colour."""
        from tunesmith.planning.terminal import plain

        return plain(self)
