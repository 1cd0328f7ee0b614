"""How a scheduler is doing, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """What there is now, and what there has been since the start; a value of one moment, which any thread may read.

    running, reading, waiting: requests whose rows go on, whose prompts are being read, that wait for rows.
    rows: of the batch, in use. columns: that these rows span. room: rows and columns that memory is held for.
    finished, cancelled, failed: requests that ended so. generated_tokens: of all rows, beams too.
    prompt_tokens: read by the network. reused_tokens: of prompts, not read anew. prefix_hits: requests that had some.
    prefix_bytes: that remembered beginnings take.
    """

    running: int = 0
    reading: int = 0
    waiting: int = 0
    rows: int = 0
    columns: int = 0
    room: tuple[int, int] = (0, 0)
    finished: int = 0
    cancelled: int = 0
    failed: int = 0
    generated_tokens: int = 0
    prompt_tokens: int = 0
    reused_tokens: int = 0
    prefix_hits: int = 0
    prefix_bytes: int = 0
