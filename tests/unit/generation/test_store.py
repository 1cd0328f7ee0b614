"""What was read is found again by its tokens, within its bytes, the oldest going first."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from tunesmith.generation.store import BLOCK, PrefixStore

HEADS, SIZE, LAYERS = 2, 3, 2
BLOCK_BYTES = LAYERS * 2 * HEADS * BLOCK * SIZE * 4


def of(tokens: list[int]) -> list[Tensor]:
    """States that tell their token and place apart."""
    row = torch.tensor([[token + 1000 * place] for place, token in enumerate(tokens)], dtype=torch.float32)
    return [
        (row + 0.5 * number).expand(-1, SIZE).expand(HEADS, -1, -1) + torch.arange(HEADS)[:, None, None]
        for number in range(2 * LAYERS)
    ]


def keep(store: PrefixStore, tokens: list[int], owner: object = None) -> list[tuple[int, int]]:
    asked: list[tuple[int, int]] = []

    def read(first: int, last: int) -> list[Tensor]:
        asked.append((first, last))
        return [state[:, first:last] for state in of(tokens)]

    store.keep(tokens, read, owner)
    return asked


def text(seed: int, length: int) -> list[int]:
    source = random.Random(seed)
    return [source.randrange(50) for _ in range(length)]


def test_the_longest_beginning_comes_back_as_it_was() -> None:
    store, tokens = PrefixStore(1 << 20), text(0, 150)
    keep(store, tokens)
    other = [*tokens[:100], *text(1, 60)]
    assert store.known(tokens) == 128
    assert store.known(other) == 96
    assert store.known(text(2, 90)) == store.known(tokens[:31]) == 0
    for found, kept in zip(store.states(other), of(tokens), strict=True):
        assert torch.equal(found, kept[:, :96])
    assert store.states(text(2, 90)) == []


def test_only_what_is_new_is_read_and_shared_blocks_are_kept_once() -> None:
    store, tokens = PrefixStore(1 << 20), text(0, 128)
    assert keep(store, tokens) == [(0, 128)]
    assert keep(store, tokens) == []
    other = [*tokens[:64], *text(1, 70)]
    assert keep(store, other) == [(64, 128)]
    assert store.bytes == 6 * BLOCK_BYTES
    for found, kept in zip(store.states(other), of(other), strict=True):
        assert torch.equal(found, kept[:, :128])


def test_owners_share_nothing_and_can_be_forgotten() -> None:
    store, tokens = PrefixStore(1 << 20), text(0, 64)
    keep(store, tokens, "a")
    assert store.known(tokens) == store.known(tokens, "b") == 0
    assert store.known(tokens, "a") == 64
    keep(store, tokens)
    store.forget("a")
    assert (store.known(tokens, "a"), store.known(tokens)) == (0, 64)
    assert store.bytes == 2 * BLOCK_BYTES


def test_the_next_key_tells_who_would_read_the_same() -> None:
    store, tokens = PrefixStore(1 << 20), text(0, 100)
    first, other = store.next_key(tokens), store.next_key([*tokens[:40], *text(1, 60)])
    assert first == other
    assert first is not None
    keep(store, tokens[:64])
    assert store.next_key(tokens) != store.next_key([*tokens[:40], *text(1, 60)])
    assert store.next_key(tokens[:70]) is None


def test_the_oldest_goes_first_and_never_a_block_that_others_need() -> None:
    store = PrefixStore(6 * BLOCK_BYTES)
    shared = text(0, 64)
    texts = [[*shared, *text(number, 32)] for number in range(1, 5)]
    for tokens in texts:
        keep(store, tokens)
    assert [store.known(tokens) for tokens in texts] == [96] * 4
    store.states(texts[0])  # used now
    keep(store, [*shared, *text(9, 32)])
    assert [store.known(tokens) for tokens in texts] == [96, 64, 96, 96]


def test_bytes_stay_within_the_limit_whatever_comes() -> None:
    source, limit = random.Random(0), 10 * BLOCK_BYTES
    store = PrefixStore(limit)
    for _ in range(400):
        tokens = [*text(source.randrange(3), source.randrange(200)), *text(source.randrange(40), source.randrange(500))]
        owner = source.choice(["a", "b", None])
        if source.random() < 0.05:
            store.forget("a")
        elif source.random() < 0.3:
            store.keep_source(tokens, torch.zeros(len(tokens), 3), "source")
        else:
            keep(store, tokens, owner)
            known = store.known(tokens, owner)
            assert known == min(len(tokens) // BLOCK, 10) * BLOCK  # the beginning of what is longer than all there is
            for found, kept in zip(store.states(tokens, owner), of(tokens), strict=False):
                assert torch.equal(found, kept[:, :known])
        assert store.bytes <= limit
        assert store.bytes == sum(kept.size for kept in store._kept.values())


def test_a_whole_source_text_is_known_or_nothing_of_it() -> None:
    store, tokens = PrefixStore(1 << 20), text(0, 50)
    states = torch.rand(50, 4)
    store.keep_source(tokens, states, "a")
    found = store.source(tokens, "a")
    assert found is not None
    assert torch.equal(found, states)
    assert store.source(tokens) is store.source(tokens[:40], "a") is None


def test_a_store_of_no_bytes_keeps_nothing() -> None:
    store = PrefixStore(0)
    keep(store, text(0, 64))
    store.keep_source([1], torch.zeros(1, 4))
    assert (store.is_on, store.bytes, store.known(text(0, 64)), store.source([1])) == (False, 0, 0, None)
