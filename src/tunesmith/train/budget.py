"""The time that a run may take, less what its last evaluations and its report will need."""

from __future__ import annotations

import math
import time

_REPORT_S = 6.0
_MARGIN = 1.25
_LARGEST_RESERVE = 0.6


class Budget:
    """Says when training must stop, so that the whole run ends in time.

    Args:
        max_time: seconds for the whole run; None: no limit.
        began: ``time.monotonic()`` at its start.
        final_share: tokens of the evaluations after training, in units of one validation.
        answering_s: seconds that the report's answers take beside these.
    """

    def __init__(self, max_time: float | None, began: float, final_share: float, answering_s: float = 0.0) -> None:
        self._max_time, self._began, self._final_share = max_time, began, final_share
        self._answering_s = answering_s
        self._started = time.monotonic()
        self._evaluation_s = 0.0

    def evaluated(self, seconds: float) -> None:
        """Learn how long one validation takes on this machine."""
        self._evaluation_s = max(self._evaluation_s, seconds)

    @property
    def is_over(self) -> bool:
        """Whether training must stop now."""
        return time.monotonic() >= self._deadline

    @property
    def share_used(self) -> float:
        """Share of the training time that is over, 0 to 1; 0 without a limit."""
        span = self._deadline - self._started
        return min(1.0, (time.monotonic() - self._started) / span) if span > 0 else 1.0

    @property
    def _deadline(self) -> float:
        if self._max_time is None:
            return math.inf
        reserve = _MARGIN * (self._evaluation_s * self._final_share + self._answering_s) + _REPORT_S
        return self._began + self._max_time - min(reserve, _LARGEST_RESERVE * self._max_time)
