"""Dividing rows into train, validation and test: in proportion of the labels, seeded, no group on two sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.errors import DataError, UsageError

_COMMON_ROWS = 50
_BINS = 20
_TRAIN, _VALIDATION, _TEST = range(3)


@dataclass(frozen=True)
class Strata:
    """The labels of each row.

    Args:
        ids: label numbers of all rows, one row after another; int, shape (labels of all rows,).
        offsets: row ``i`` has the labels ``ids[offsets[i] : offsets[i + 1]]``; int64, shape (rows + 1,).
    """

    ids: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def one_each(cls, ids: np.ndarray) -> Strata:
        """Strata of rows that have one label each."""
        return cls(np.asarray(ids), np.arange(len(ids) + 1))

    @classmethod
    def of_numbers(cls, values: np.ndarray) -> Strata:
        """Strata of a regression: quantiles of its values."""
        edges = np.unique(np.quantile(values, np.linspace(0, 1, min(_BINS, len(values)) + 1)[1:-1]))
        return cls.one_each(np.searchsorted(edges, values))

    def take(self, rows: np.ndarray) -> Strata:
        """Strata of some of the rows, in their order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        starts = np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return Strata(self.ids[starts + np.arange(offsets[-1])], offsets)

    def sets(self) -> np.ndarray:
        """A number for each row that is the same where the labels are the same; int64, shape (rows,)."""
        if len(self.ids) == len(self) and np.all(np.diff(self.offsets) == 1):
            return np.unique(self.ids, return_inverse=True)[1].astype(np.int64)
        names = np.random.default_rng(0).integers(1, 2**63, size=int(self.ids.max(initial=0)) + 1, dtype=np.uint64)
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(names[self.ids], dtype=np.uint64)))
        return np.unique(sums[self.offsets[1:]] - sums[self.offsets[:-1]], return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class Split:
    """Ascending row numbers of each side; int64."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split(
    labels: Strata, groups: np.ndarray | None = None, *, validation_share: float, test_share: float, seed: int
) -> Split:
    """Divide rows in proportion of their labels.

    Rows of one label, and rows whose set of labels is common, are dealt out exactly. Rare sets of labels and groups are
    dealt out by iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label
    data"). A label's only row (or group) goes to train.

    Args:
        labels: of each row.
        groups: a group number for each row, shape (rows,); rows of one group stay together.
        validation_share: share of all rows, in [0, 1).
        test_share: share of all rows, in [0, 1); together under 1.
        seed: of the draw.

    Raises:
        UsageError: the shares leave nothing to train on.
        DataError: there are too few rows or groups to fill every side.
    """
    if validation_share + test_share >= 1:
        message = (
            f"data.validation_share {validation_share:g} and data.test_share {test_share:g} leave nothing to train on"
        )
        raise UsageError(message, hint="legal: together under 1")
    shares = (1 - validation_share - test_share, validation_share, test_share)
    random = np.random.default_rng(seed)
    side = _by_sets(labels, shares, random) if groups is None else _by_groups(labels, groups, shares, random)
    found = Split(*(np.flatnonzero(side == number) for number in range(3)))
    for name, share, rows in zip(
        ("train", "validation", "test"), shares, (found.train, found.validation, found.test), strict=True
    ):
        if share and not len(rows):
            raise DataError(f"too few rows, or groups of rows, to split off a {name} set", hint=_advice(labels, name))
    return found


def folds(labels: Strata, groups: np.ndarray, *, count: int, seed: int) -> np.ndarray:
    """Divide rows into folds of about equal size in proportion of their labels; see ``split``.

    Args:
        labels: of each row.
        groups: a group number for each row; rows of one group are in one fold.
        count: of folds, at least 2.
        seed: of the draw.

    Returns:
        The fold of each row, 0 to ``count`` - 1; int64, shape (rows,).

    Raises:
        DataError: there are too few rows or groups to fill every fold.
    """
    found = np.full(len(labels), count - 1, np.int64)
    rest = np.arange(len(labels))
    for fold in range(count - 1):
        try:
            share = 1 / (count - fold)
            parts = split(labels.take(rest), groups[rest], validation_share=share, test_share=0.0, seed=seed + fold)
        except DataError:
            message = f"too few rows, or groups of rows, for {count} folds"
            raise DataError(message, where="train.folds", hint="take fewer folds, or give more rows") from None
        found[rest[parts.validation]] = fold
        rest = rest[parts.train]
    return found


def _advice(labels: Strata, side: str) -> str:
    if len(labels) > 2 and len(np.unique(labels.ids)) > len(labels) / 2:
        return "most labels have a single row: is it the right label column? for numbers: --task.kind regression"
    return f"give more rows, or a {side} file: --data.{side}"


def sample(labels: Strata, count: int, seed: int) -> np.ndarray:
    """Ascending numbers of ``count`` rows (all, if there are fewer), drawn at random in proportion of their labels."""
    if count >= len(labels):
        return np.arange(len(labels))
    random = np.random.default_rng(seed)
    order = _shuffled_by(labels.sets(), random)
    return np.sort(order[_evenly(len(order), count, random)])


def _by_sets(labels: Strata, shares: tuple[float, float, float], random: np.random.Generator) -> np.ndarray:
    """Side of each row: exact for common sets of labels, iterative for the rest."""
    sets = labels.sets()
    sizes = np.bincount(sets, minlength=1)
    single = len(labels.ids) == len(labels) and bool(np.all(np.diff(labels.offsets) == 1))
    exact = (sizes[sets] >= 2) if single else (sizes[sets] >= _COMMON_ROWS)
    side = np.zeros(len(labels), dtype=np.int8)
    rows = np.flatnonzero(exact)
    side[rows] = _deal(sets[rows], shares, random, len(labels) if single else len(rows))
    rest = np.flatnonzero(~exact)
    if not single and len(rest):
        side[rest] = _iterative(labels.take(rest), np.arange(len(rest)), shares, random)
    return side


def _deal(sets: np.ndarray, shares: tuple[float, float, float], random: np.random.Generator, total: int) -> np.ndarray:
    """Sides in proportion within each set; every set keeps a row in train."""
    side = np.zeros(len(sets), dtype=np.int8)
    order = _shuffled_by(sets, random)
    wanted = [min(_count(total, share), len(sets)) for share in shares[1:]]
    picked = _evenly(len(order), min(sum(wanted), len(order)), random)
    test = picked[_evenly(len(picked), min(wanted[1], len(picked)), random)]
    side[order[picked]] = _VALIDATION
    side[order[test]] = _TEST
    present = np.bincount(sets[side == _TRAIN], minlength=int(sets.max(initial=-1)) + 1)
    for lost in np.flatnonzero((present == 0) & (np.bincount(sets, minlength=len(present)) > 0)):
        side[np.flatnonzero(sets == lost)[0]] = _TRAIN
    return side


def _count(total: int, share: float) -> int:
    """Rows of a side: at least one of a side that is wanted."""
    return max(1, round(total * share)) if share else 0


def _shuffled_by(keys: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Row numbers sorted by key, in random order within a key."""
    order = random.permutation(len(keys))
    return order[np.argsort(keys[order], kind="stable")]


def _evenly(total: int, count: int, random: np.random.Generator) -> np.ndarray:
    """``count`` of ``total`` positions at even distances from a random start (systematic sampling)."""
    if not count:
        return np.zeros(0, dtype=np.int64)
    steps = np.floor(np.arange(total + 1) * (count / total) + random.random() * (1 - 1e-9) + 1e-12)
    return np.flatnonzero(np.diff(steps))[:count]


def _by_groups(
    labels: Strata, groups: np.ndarray, shares: tuple[float, float, float], random: np.random.Generator
) -> np.ndarray:
    """Side of each row, the same for all rows of a group; rows that are a group by themselves are dealt out exactly."""
    units, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    alone = sizes[units] == 1
    if alone.all():
        return _by_sets(labels, shares, random)
    side = np.zeros(len(labels), dtype=np.int8)
    single, together = np.flatnonzero(alone), np.flatnonzero(~alone)
    if len(single):
        side[single] = _by_sets(labels.take(single), shares, random)
    numbers = np.unique(units[together], return_inverse=True)[1]
    side[together] = _iterative(labels.take(together), numbers, shares, random)[numbers]
    return _filled(side, units, sizes, shares)


def _filled(side: np.ndarray, units: np.ndarray, sizes: np.ndarray, shares: tuple[float, float, float]) -> np.ndarray:
    """Give each side that is wanted and empty the smallest group of train."""
    for number, share in enumerate(shares):
        groups = np.unique(units[side == _TRAIN])
        if share and number != _TRAIN and not (side == number).any() and len(groups) > 1:
            side[units == groups[np.argmin(sizes[groups])]] = number
    return side


def _iterative(
    labels: Strata, units: np.ndarray, shares: tuple[float, float, float], random: np.random.Generator
) -> np.ndarray:
    """Side of each unit: from the rarest label on, each unit goes where its label is wanted most.

    Args:
        labels: of each row; a row without any counts as having a label of its own kind.
        units: unit number of each row, 0 to the number of units - 1.
        shares: of train, validation and test.
        random: source of the draws.
    """
    total, owner, label, count = _label_counts(labels, units)
    sizes = np.bincount(units, minlength=total)
    amounts = np.bincount(label, weights=count)
    wanted = [[share * amount for amount in amounts] for share in shares]
    room = [share * float(len(units)) for share in shares]
    members, starts = _members(owner, label, sizes, random)
    bounds = np.searchsorted(owner, np.arange(total + 1))
    left = np.bincount(label)
    side = np.full(total, -1, dtype=np.int8)
    open_labels = left > 0
    for _ in range(int(open_labels.sum())):
        current = int(np.argmin(np.where(open_labels, left, np.iinfo(np.int64).max)))
        open_labels[current] = False
        mine = members[starts[current] : starts[current + 1]]
        only = len(mine) == 1
        for unit in mine.tolist():
            if side[unit] >= 0:
                continue
            best = _TRAIN if only else max(range(3), key=lambda k: (wanted[k][current], room[k]))
            side[unit] = best
            room[best] -= sizes[unit]
            for at in range(bounds[unit], bounds[unit + 1]):
                wanted[best][label[at]] -= count[at]
                left[label[at]] -= 1
    return side


def _label_counts(labels: Strata, units: np.ndarray) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Number of units, and, ascending by unit: unit, label and how many of its rows have it."""
    lengths = np.diff(labels.offsets)
    nothing = int(labels.ids.max(initial=-1)) + 1
    rows = np.concatenate((np.repeat(units, lengths), units[lengths == 0])).astype(np.int64)
    ids = np.concatenate((labels.ids, np.full(int((lengths == 0).sum()), nothing))).astype(np.int64)
    keys, count = np.unique(rows * (nothing + 1) + ids, return_counts=True)
    return int(units.max()) + 1, keys // (nothing + 1), keys % (nothing + 1), count


def _members(
    owner: np.ndarray, label: np.ndarray, sizes: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Units of each label, large ones first, equal ones shuffled; and where each label's units start."""
    order = random.permutation(len(owner))
    order = order[np.lexsort((-sizes[owner[order]], label[order]))]
    return owner[order], np.searchsorted(label[order], np.arange(int(label.max()) + 2))
