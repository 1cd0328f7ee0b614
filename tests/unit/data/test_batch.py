import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.batch import Batches, SortedBatches, micro_batches, pad, padding_share

LENGTHS = np.random.default_rng(0).integers(4, 200, 10_007)


@pytest.mark.parametrize("batches", [Batches(LENGTHS), Batches(LENGTHS, batch_tokens=4096)])
def test_each_row_once_an_epoch(batches):
    rows = np.concatenate(batches.epoch(3))
    assert np.array_equal(np.sort(rows), np.arange(len(LENGTHS)))


def test_epochs_are_repeatable_and_differ():
    first, again, other = (np.concatenate(Batches(LENGTHS, seed=7).epoch(number)) for number in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_epoch_has_as_many_batches():
    batches = Batches(LENGTHS, batch_size=32)
    assert {len(batches.epoch(number)) for number in range(3)} == {len(batches)} == {-(-len(LENGTHS) // 32)}


def test_little_padding():
    batches = Batches(LENGTHS, batch_size=16)
    plain = [np.arange(start, start + 16) for start in range(0, 10_000, 16)]
    assert padding_share(LENGTHS, batches.epoch(0)) < 0.05 < 0.4 < padding_share(LENGTHS, plain)


def test_batches_come_in_random_order_of_length():
    means = [LENGTHS[batch].mean() for batch in Batches(LENGTHS).epoch(0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


def test_token_budget_of_a_batch():
    for batch in Batches(LENGTHS, batch_tokens=512).epoch(0):
        assert LENGTHS[batch].max() * len(batch) <= 512


def test_start_at_a_step():
    batches = Batches(LENGTHS, micro_tokens=1024)
    whole, rest = list(batches.steps(0)), list(batches.steps(0, start=100))
    assert len(rest) == len(whole) - 100
    assert all(np.array_equal(a, b) for x, y in zip(whole[100:], rest, strict=True) for a, b in zip(x, y, strict=True))


def test_micro_batches_keep_the_rows_under_the_budget():
    batch = np.arange(50)
    passes = micro_batches(LENGTHS[batch], batch, 1000)
    assert np.array_equal(np.sort(np.concatenate(passes)), batch)
    assert all(LENGTHS[rows].max() * len(rows) <= 1000 for rows in passes)


def test_a_row_over_the_budget_stands_alone():
    assert [rows.tolist() for rows in micro_batches(np.array([5, 900, 5]), np.arange(3), 100)] == [[1], [0, 2]]


def test_resampled_rows_may_repeat():
    rows = np.array([0, 0, 1, 1, 1])
    assert sorted(np.concatenate(Batches(LENGTHS, batch_size=2).epoch(0, rows)).tolist()) == rows.tolist()


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 600))
def test_sorted_batches_give_back_the_order(lengths, budget):
    lengths = np.array(lengths)
    found = SortedBatches.of(lengths, micro_tokens=budget)
    outputs = np.concatenate([lengths[batch] for batch in found.batches])
    assert np.array_equal(outputs[found.inverse], lengths)
    assert all(len(batch) == 1 or lengths[batch].max() * len(batch) <= budget for batch in found.batches)


def test_pad():
    found = pad([np.array([5, 6, 7]), np.array([8])], 0)
    assert found["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert found["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_pad_without_padding_has_no_mask():
    assert pad([np.array([5, 6]), np.array([7, 8])], 0)["attention_mask"] is None


def test_pad_to_a_multiple_on_the_left_with_types():
    found = pad([np.array([5, 6, 7])], 9, multiple=4, types=[np.array([0, 1, 1])], left=True)
    assert found["input_ids"].tolist() == [[9, 5, 6, 7]]
    assert found["token_type_ids"].tolist() == [[0, 0, 1, 1]]
    assert found["attention_mask"].tolist() == [[0, 1, 1, 1]]
