"""The cache holds what its rows need and no more, however long the rows keep coming, and rows move without changing."""

from __future__ import annotations

import gc
import random
import weakref
from collections import deque
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from generators import Generator
from tunesmith.generation.cache import RowCache
from tunesmith.generation.decode import Job, Scheduler
from tunesmith.generation.request import GenerationRequest as Request

LAYERS, HEADS, SIZE = 2, 2, 3


def write(cache: RowCache, values: Tensor) -> None:
    """Write a column of a number a row, in all layers."""
    cache.reserve(1)
    states = values.to(torch.float32)[:, None, None, None].expand(-1, HEADS, 1, SIZE)
    for layer in range(LAYERS):
        cache.update(states, -states, layer)
    cache.advance(1)


def held(cache: RowCache) -> list[list[float]]:
    """The numbers of each row; all heads, layers and sizes agree."""
    rows = []
    for row, start in enumerate(cache.starts):
        parts = cache.states(row, 0, cache.end - start)
        for keys, values in zip(parts[::2], parts[1::2], strict=True):
            assert torch.equal(keys, -values)
            assert torch.equal(keys, parts[0][:1, :, :1].expand_as(keys))
        rows.append(parts[0][0, :, 0].tolist() if parts else [])
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_rows_keep_what_they_hold_in_any_order_of_joining_moving_and_leaving(seed: int) -> None:
    source, cache, model = random.Random(seed), RowCache(), []
    for number in range(150):
        action = source.random()
        if action < 0.3 or not model:
            lengths = [source.randrange(1, 30) for _ in range(source.randrange(1, 4))]
            other, known = RowCache(lengths), []
            unread = source.randrange(1, max(lengths) + 1)
            rows = [[1.0 + number + step / 64 for step in range(length)] for length in lengths]
            known = [
                [
                    sign * torch.tensor(row)[None, :, None].expand(HEADS, -1, SIZE)
                    for _ in range(LAYERS)
                    for sign in (1, -1)
                ]
                if len(row) > unread
                else []
                for row in rows
            ]
            other.begin(unread, known)
            for step in range(unread, 0, -1):
                write(other, torch.tensor([row[-step] if step <= len(row) else 99.0 for row in rows]))
            chosen = [source.randrange(len(rows)) for _ in range(source.randrange(1, 4))]
            cache.join(other, chosen)
            model += [list(rows[row]) for row in chosen]
        elif action < 0.6:
            sources = [source.randrange(len(model)) for _ in range(source.randrange(len(model) + 1))]
            cache.move(sources)
            model = [list(model[row]) for row in sources]
        else:
            new = [float(source.randrange(1000)) for _ in model]
            write(cache, torch.tensor(new))
            for row, value in zip(model, new, strict=True):
                row.append(value)
        assert held(cache) == model
        if model:
            longest = max(map(len, model))
            mask, width = cache.mask(), cache.width
            assert width == longest
            assert mask.sum(1).tolist() == [len(row) for row in model]


def test_what_is_no_number_stays_with_nobody() -> None:
    cache = RowCache([3, 3])
    for _ in range(3):
        write(cache, torch.tensor([float("nan"), 1.0]))
    cache.clean([0])
    assert held(cache) == [[0.0] * 3, [1.0] * 3]


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_memory_is_bounded_while_requests_overlap_without_end(
    generator: Callable[[str], Generator], family: str
) -> None:
    """A server under steady load is never idle: a thousand requests, of which some are always running."""
    source, scheduler = random.Random(0), Scheduler(*generator(family), max_rows=8, prefix_bytes=100_000)
    running: deque[Job] = deque()
    rooms = []
    for _ in range(1000):
        prompt = [source.randrange(40, 300) for _ in range(source.randrange(1, 30))]
        running.append(scheduler.submit(prompt, Request(max_tokens=source.randrange(1, 30), ignore_eos=True)))
        while len(running) > 10:
            scheduler.step()
            running = deque(job for job in running if not job.done)
            assert not scheduler.idle
        rooms.append(scheduler.counts.room)
    longest = 60
    assert max(columns for _, columns in rooms) <= 2 * longest + longest // 2 + 64
    assert {rows for rows, _ in rooms} <= {0, 1, 2, 4, 8}
    assert scheduler.counts.columns <= longest


def test_one_long_row_takes_the_room_of_one(generator: Callable[[str], Generator]) -> None:
    scheduler = Scheduler(*generator("llama"), max_rows=16)
    scheduler.submit([50] * 20, Request(max_tokens=4, ignore_eos=True))
    scheduler.step()
    assert scheduler.counts.room[0] == 1


def test_room_shrinks_when_what_needed_it_is_gone() -> None:
    cache, long, short = RowCache(), RowCache([2000]), RowCache([4])
    write(long, torch.tensor([1.0]))
    long.end = 2000
    cache.join(long, [0] * 8)
    assert cache.room[0] == 8
    assert cache.room[1] >= 2000
    cache.move([])
    assert cache.room[1] == 0  # nobody is left
    for _ in range(4):
        write(short, torch.tensor([2.0]))
    cache.join(long, [0] * 8)
    cache.join(short, [0])
    cache.move([8])
    write(cache, torch.tensor([2.0]))
    assert cache.room == (1, 5 + 1 + 64 + 1)
    assert set(held(cache)[0]) == {2.0}


def test_a_cache_that_nobody_needs_is_gone_at_once() -> None:
    cache = RowCache([2, 1])
    cache.update(torch.ones(2, 1, 2, 4), torch.ones(2, 1, 2, 4), 0)
    told = weakref.ref(cache.layers[0].buffers[0])
    gc.disable()
    try:
        del cache
        assert told() is None
    finally:
        gc.enable()
