import numpy as np
import pytest

from tunesmith.data.split import Strata, folds, sample, split
from tunesmith.errors import DataError, UsageError


def divide(labels, groups=None, validation=0.1, test=0.1, seed=0):
    return split(labels, groups, validation_share=validation, test_share=test, seed=seed)


def all_rows(found):
    return np.sort(np.concatenate([found.train, found.validation, found.test]))


def many(rows, labels, seed=0):
    random = np.random.default_rng(seed)
    sets = [np.flatnonzero(random.random(labels) < 0.3 / (1 + np.arange(labels))) for _ in range(rows)]
    return Strata(np.concatenate(sets), np.concatenate(([0], np.cumsum([len(s) for s in sets]))))


def test_shares_hold_within_each_label():
    ids = np.random.default_rng(0).choice(4, size=2000, p=[0.6, 0.3, 0.08, 0.02])
    found = divide(Strata.one_each(ids), validation=0.2)
    assert np.array_equal(all_rows(found), np.arange(2000))
    assert (len(found.validation), len(found.test)) == (400, 200)
    for label in range(4):
        expected = 0.2 * (ids == label).sum()
        assert abs((ids[found.validation] == label).sum() - expected) <= 1


def test_seeded():
    labels = Strata.one_each(np.arange(1000) % 3)
    assert np.array_equal(divide(labels, seed=1).test, divide(labels, seed=1).test)
    assert not np.array_equal(divide(labels, seed=1).test, divide(labels, seed=2).test)


def test_a_labels_only_row_trains():
    ids = np.array([0] * 50 + [1] * 50 + [2])
    for seed in range(20):
        assert 100 in divide(Strata.one_each(ids), seed=seed).train


def test_every_label_keeps_a_training_row():
    ids = np.repeat(np.arange(30), 2)
    found = divide(Strata.one_each(ids), validation=0.45, test=0.45)
    assert set(ids[found.train]) == set(range(30))


def test_no_test_set_when_its_share_is_zero():
    assert len(divide(Strata.one_each(np.arange(100) % 2), test=0.0).test) == 0


def test_no_group_on_two_sides():
    random = np.random.default_rng(0)
    groups = random.integers(0, 150, 1000)
    ids = groups % 3
    found = divide(Strata.one_each(ids), groups)
    sides = [set(groups[rows]) for rows in (found.train, found.validation, found.test)]
    assert sum(map(len, sides)) == len(set().union(*sides))
    assert 80 <= len(found.test) <= 120
    assert np.allclose(np.bincount(ids[found.test]) / len(found.test), 1 / 3, atol=0.05)


def test_few_groups_still_fill_every_side():
    found = divide(Strata.one_each(np.zeros(300, int)), np.repeat([0, 1, 2], 100))
    assert [len(rows) for rows in (found.train, found.validation, found.test)] == [100, 100, 100]


def test_groups_that_cannot_be_divided():
    with pytest.raises(DataError, match="too few rows, or groups of rows, to split off a validation set"):
        divide(Strata.one_each(np.zeros(10, int)), np.zeros(10, int))


def test_several_labels_stay_in_proportion():
    labels = many(5000, 12)
    found = divide(labels, validation=0.2)
    assert np.array_equal(all_rows(found), np.arange(5000))
    total = np.bincount(labels.ids, minlength=12)
    share = np.bincount(labels.take(found.validation).ids, minlength=12) / total
    assert np.abs(share - 0.2).max() < 0.03
    assert abs(len(found.validation) - 1000) < 25


def test_too_few_rows():
    with pytest.raises(DataError, match="too few rows"):
        divide(Strata.one_each(np.array([0])))


def test_shares_that_leave_nothing():
    with pytest.raises(UsageError, match="leave nothing to train on"):
        divide(Strata.one_each(np.zeros(10, int)), validation=0.6, test=0.4)


def test_numbers_are_stratified_by_quantiles():
    values = np.random.default_rng(0).exponential(size=1000)
    found = divide(Strata.of_numbers(values))
    assert abs(np.median(values[found.test]) - np.median(values)) < 0.1


def test_sample_in_proportion():
    ids = np.array([0] * 900 + [1] * 100)
    rows = sample(Strata.one_each(ids), 100, seed=0)
    assert len(np.unique(rows)) == 100
    assert (ids[rows] == 1).sum() == 10
    assert np.array_equal(sample(Strata.one_each(ids), 5000, seed=0), np.arange(1000))


def test_take_and_sets():
    strata = Strata(np.array([1, 2, 2, 1, 5]), np.array([0, 2, 4, 4, 5]))
    taken = strata.take(np.array([3, 1]))
    assert taken.ids.tolist() == [5, 2, 1]
    sets = strata.sets()
    assert sets[0] == sets[1]
    assert len(set(sets.tolist())) == 3


def test_folds_hold_like_shares_of_each_label_and_keep_groups_whole():
    ids = np.random.default_rng(0).choice(3, size=1000, p=[0.7, 0.25, 0.05])
    found = folds(Strata.one_each(ids), np.arange(1000), count=5, seed=0)
    assert np.bincount(found).tolist() == [200] * 5
    for label in range(3):
        counts = np.bincount(found[ids == label], minlength=5)
        assert counts.max() - counts.min() <= 3
    groups = np.arange(1000) // 4
    grouped = folds(Strata.one_each(ids), groups, count=5, seed=0)
    assert all(len(set(grouped[groups == group])) == 1 for group in range(250))
    assert np.bincount(grouped).max() - np.bincount(grouped).min() <= 20


def test_more_folds_than_rows_are_refused():
    with pytest.raises(DataError, match="too few rows"):
        folds(Strata.one_each(np.array([0, 1, 0, 1])), np.arange(4), count=6, seed=0)
