"""Moments between tokens, counted by how long they were: a histogram that costs well under a microsecond a token."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

BOUNDS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
"""Upper ends of the buckets, each part of its own: vLLM's, and some below for models that are quicker."""


@dataclass
class Gaps:
    """Gaps of one or many requests.

    Args:
        counts: of each bucket; the last one is of what is longer than every bound.
        sum_s: of all, in seconds.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, gap_s: float) -> None:
        """Count a gap."""
        self.counts[bisect_left(BOUNDS_S, gap_s)] += 1
        self.sum_s += gap_s

    def merge(self, other: Gaps) -> None:
        """Count what another has counted."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.sum_s += other.sum_s

    @property
    def mean_s(self) -> float | None:
        """The mean gap in seconds; None: there was none."""
        return self.sum_s / count if (count := sum(self.counts)) else None

    def up_to(self) -> list[tuple[str, float]]:
        """How many gaps are no longer than each bound, as Prometheus has it."""
        names, total, found = [*map(str, BOUNDS_S), "+Inf"], 0, []
        for name, count in zip(names, self.counts, strict=True):
            total += count
            found.append((name, float(total)))
        return found
