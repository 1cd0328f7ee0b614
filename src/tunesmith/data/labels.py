"""The labels of all splits under one numbering, and what is suspicious about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from tunesmith.data import store
from tunesmith.data.finding import MOST_EXAMPLES, Finding
from tunesmith.data.split import Strata

RARE_ROWS = 5
_IMBALANCE = 10
_MOST_NAMED = 10
_MOSTLY = 0.9
_MANY_VALUES = 12

StrataOf = Callable[[pa.Table], Sequence[Sequence[str]]]


@dataclass
class Labels:
    """Label names with their numbers, and the labels of each row of each split.

    Args:
        names: in order of their numbers.
        splits: name of the split to its rows' labels.
    """

    names: list[str] = field(default_factory=list)
    splits: dict[str, Strata] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, split: str, table: pa.Table, strata: StrataOf) -> None:
        """Number the labels of a split, batch by batch."""
        ids, lengths = [np.zeros(0, np.int32)], [np.zeros(1, np.int64)]
        for _, batch in store.batches(table):
            rows = strata(pa.Table.from_batches([batch]))
            ids.append(np.fromiter((self._number(label) for row in rows for label in row), np.int32))
            lengths.append(np.fromiter(map(len, rows), np.int64, len(rows)))
        self.splits[split] = Strata(np.concatenate(ids), np.cumsum(np.concatenate(lengths)))

    def counts(self, split: str) -> np.ndarray:
        """Rows of each label in a split; int64, shape (labels,)."""
        return np.bincount(self.splits[split].ids, minlength=len(self.names))

    def first_row(self, split: str, label: int) -> int:
        """The first row of a split that has a label."""
        strata = self.splits[split]
        return int(np.searchsorted(strata.offsets, np.flatnonzero(strata.ids == label)[0], side="right")) - 1

    def divided(self, sides: Mapping[str, tuple[str, np.ndarray]]) -> Labels:
        """The labels of other splits: of each, the name of the split that holds its rows, and their numbers there."""
        return Labels(
            self.names, {side: self.splits[name].take(rows) for side, (name, rows) in sides.items()}, self._numbers
        )

    def _number(self, label: str) -> int:
        number = self._numbers.get(label)
        if number is None:
            number = self._numbers[label] = len(self.names)
            self.names.append(label)
        return number


def variants(labels: Labels) -> dict[str, str]:
    """Labels that differ from another only in case or in spaces around them, each with the commonest way to write it."""
    totals = sum((labels.counts(split) for split in labels.splits), np.zeros(len(labels.names), np.int64))
    families: dict[str, list[str]] = {}
    for name in (name for name, total in zip(labels.names, totals, strict=True) if total):
        families.setdefault(" ".join(name.split()).casefold(), []).append(name)
    number = {name: index for index, name in enumerate(labels.names)}
    best = {key: max(names, key=lambda name: totals[number[name]]).strip() for key, names in families.items()}
    return {name: best[key] for key, names in families.items() for name in names if name != best[key]}


def merge(table: pa.Table, renamed: Mapping[str, str], path: Path, column: str = "label") -> pa.Table:
    """Rewrite a table with labels renamed; a row that would have a label twice has it once."""

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        cells = [_renamed(cell, renamed) for cell in batch[column].to_pylist()]
        index = batch.schema.get_field_index(column)
        return batch.set_column(index, batch.schema.field(index), pa.array(cells, batch.schema.field(index).type))

    return store.rewrite(table, change, path)


def _renamed(cell: str | list[str], renamed: Mapping[str, str]) -> str | list[str]:
    if isinstance(cell, str):
        return renamed.get(cell, cell)
    return list(dict.fromkeys(renamed.get(name, name) for name in cell))


def label_findings(labels: Labels, tables: Mapping[str, pa.Table], *, dropped: bool) -> Iterator[Finding]:
    """What is suspicious about labels that are names.

    Args:
        labels: of all splits, ``train`` among them.
        tables: the rows of those splits.
        dropped: whether rows with labels that training lacks are left out.
    """
    yield from _variant_findings(labels, tables)
    train = labels.counts("train")
    present = int((train > 0).sum())
    if present < 2:
        yield Finding(
            "error", "one_class", f"all training rows have the same label: {_named(labels, train > 0)}", present
        )
    if present > max(50, len(tables["train"]) / 2):
        hint = "is it the right column? for numbers: --task.kind regression"
        yield Finding(
            "warning",
            "many_labels",
            f"{present:,} labels for {len(tables['train']):,} training rows",
            present,
            hint=hint,
        )
    yield from _split_findings(labels, tables, dropped)
    rare = (train > 0) & (train < RARE_ROWS)
    if rare.any() and present >= 2:
        message = f"{int(rare.sum())} of {present} labels have under {RARE_ROWS} training rows: {_named(labels, rare)}"
        yield Finding(
            "warning",
            "rare_label",
            message,
            int(rare.sum()),
            hint="collect more rows for them; a label's only row always trains",
        )
    most, least = int(train.max(initial=0)), int(train[train > 0].min()) if present else 0
    if present >= 2 and most >= _IMBALANCE * least:
        message = f"the commonest label has {most / least:,.0f} times the rows of the rarest ({most:,} and {least:,})"
        yield Finding(
            "note", "imbalance", message, present, hint="consider --task.class_weights balanced, or read f1_macro"
        )


def unseen(labels: Labels, split: str) -> np.ndarray:
    """Which rows of a split have a label that no training row has; bool, shape (rows,)."""
    strata = labels.splits[split]
    missing = np.concatenate(([0], np.cumsum(labels.counts("train")[strata.ids] == 0)))
    unknown: np.ndarray = np.diff(missing[strata.offsets]) > 0
    return unknown


def number_findings(values: np.ndarray, table: pa.Table) -> Iterator[Finding]:
    """What is suspicious about labels that are numbers: none but one value, and values far outside the others."""
    if len(np.unique(values)) < 2:
        yield Finding("error", "one_value", f"all training rows have the same value: {values[0]:g}")
        return
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 3 * (high - low) or 6 * values.std()
    far = np.flatnonzero((values < low - reach) | (values > high + reach))
    if len(far):
        examples = tuple(f"{store.where(table, row)}: {values[row]:g}" for row in far[:MOST_EXAMPLES])
        message = f"{len(far):,} values lie far outside {low - reach:g} to {high + reach:g}"
        yield Finding(
            "warning",
            "outlier",
            message,
            len(far),
            examples,
            "the squared loss lets them dominate: correct or remove them",
        )


def almost_numbers(labels: Labels, tables: Mapping[str, pa.Table], kind: str) -> Iterator[Finding]:
    """Label columns of a regression, or of what looks like one, that hold other things than numbers.

    Args:
        labels: of all splits.
        tables: the rows of those splits.
        kind: what the user says the labels are: ``regression``, ``auto`` (nothing said), or names.
    """
    numeric = np.array([_is_number(name) for name in labels.names], dtype=bool)
    counts = labels.counts("train")
    share = counts[numeric].sum() / max(1, counts.sum())
    others = np.flatnonzero(~numeric & (counts > 0))
    looks = kind == "auto" and share > _MOSTLY and numeric.sum() > _MANY_VALUES
    if len(others) and (kind == "regression" or looks):
        examples = tuple(_first(labels, tables, "train", int(label)) for label in others[:MOST_EXAMPLES])
        message = f"{share:.1%} of the labels are numbers, these are not"
        hint = "correct them, or say that the labels are names: --task.kind multi-class"
        yield Finding("error", "not_a_number", message, len(others), examples, hint)


def _variant_findings(labels: Labels, tables: Mapping[str, pa.Table]) -> Iterator[Finding]:
    found = variants(labels)
    if found:
        number = {name: index for index, name in enumerate(labels.names)}
        examples = []
        for name, best in list(found.items())[:MOST_EXAMPLES]:
            split = next(split for split in labels.splits if labels.counts(split)[number[name]])
            examples.append(f"{_first(labels, tables, split, number[name])}, elsewhere {best!r}")
        message = "labels differ only in case or in spaces around them, and count as different"
        yield Finding(
            "warning", "label_variant", message, len(found), tuple(examples), "one label each: --data.merge_labels true"
        )


def _split_findings(labels: Labels, tables: Mapping[str, pa.Table], dropped: bool) -> Iterator[Finding]:
    train = labels.counts("train") > 0
    for split in labels.splits:
        if split == "train":
            continue
        here = labels.counts(split) > 0
        if (here & ~train).any():
            rows = int(unseen(labels, split).sum())
            examples = tuple(
                _first(labels, tables, split, int(label)) for label in np.flatnonzero(here & ~train)[:MOST_EXAMPLES]
            )
            message = f"{int((here & ~train).sum())} labels of {split} are on no training row: {_named(labels, here & ~train)}"
            message += f"; {rows:,} {split} rows {'left out' if dropped else 'cannot be scored'}"
            hint = None if dropped else "correct them, or leave those rows out with --data.bad_rows drop"
            yield Finding("warning" if dropped else "error", "unseen_label", message, rows, examples, hint)
        if (train & ~here).any():
            message = f"{int((train & ~here).sum())} labels are on no row of {split}: {_named(labels, train & ~here)}"
            yield Finding(
                "warning",
                "missing_label",
                message,
                int((train & ~here).sum()),
                hint=f"{split} cannot tell how well they are learned",
            )


def _named(labels: Labels, which: np.ndarray) -> str:
    names = [repr(labels.names[index]) for index in np.flatnonzero(which)]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _first(labels: Labels, tables: Mapping[str, pa.Table], split: str, label: int) -> str:
    return f"{store.where(tables[split], labels.first_row(split, label))}: {labels.names[label]!r}"


def _is_number(name: str) -> bool:
    try:
        return bool(np.isfinite(float(name)))
    except ValueError:
        return False
