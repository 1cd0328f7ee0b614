"""What stands in one sequence of tokens: which tokens of a text, and the special ones around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tunesmith.errors import UsageError

LongText = Literal["keep-ends", "keep-start", "keep-end", "windows", "windows-of-second"]


@dataclass(frozen=True)
class Template:
    """The special tokens around one text or between two, with the segment number of each part.

    Args:
        ids: special ids before, (between,) and after the texts.
        types: segment numbers of those ids.
        text_types: segment number of each text's own tokens.
    """

    ids: tuple[tuple[int, ...], ...]
    types: tuple[tuple[int, ...], ...]
    text_types: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many special tokens it adds."""
        return sum(len(part) for part in self.ids)

    @property
    def uses_types(self) -> bool:
        """Whether any token is in another segment than 0; a model that is given none assumes 0."""
        return any(self.text_types) or any(any(part) for part in self.types)

    def fill(self, texts: Sequence[Sequence[int]]) -> list[int]:
        """The texts' ids with the special ids around them."""
        filled = list(self.ids[0])
        for text, after in zip(texts, self.ids[1:], strict=True):
            filled += text
            filled += after
        return filled

    def fill_types(self, texts: Sequence[Sequence[int]]) -> list[int]:
        """The segment numbers of what ``fill`` returns."""
        filled = list(self.types[0])
        for text, number, after in zip(texts, self.text_types, self.types[1:], strict=True):
            filled += [number] * len(text)
            filled += after
        return filled

    def around(self, texts: Sequence[Sequence[int]], special: int) -> list[int]:
        """A number for each token of the texts, with ``special`` at the special tokens."""
        filled = [special] * len(self.ids[0])
        for text, after in zip(texts, self.ids[1:], strict=True):
            filled += [*text, *[special] * len(after)]
        return filled


@dataclass(frozen=True)
class Cutter:
    """Which tokens of texts are read under a budget.

    Args:
        budget: tokens for all texts of a row, without special ones.
        long_text: what becomes of texts over it. ``windows`` are laid over the longer of two texts, ``windows-of-second``
            always over the second, so that all of it is read; the other text keeps its ends where it is over half the budget.
        window_overlap: tokens that neighbouring windows share.
        texts: how many texts a row has, 1 or 2.
    """

    budget: int
    long_text: LongText
    window_overlap: int = 0
    texts: int = 1

    def __post_init__(self) -> None:
        if self.budget < self.texts:
            raise UsageError(
                "model.max_length leaves no room for the text beside the special tokens",
                hint="raise --model.max_length",
            )
        room = self.budget // self.texts
        if self.long_text.startswith("windows") and self.window_overlap >= room:
            message = f"window_overlap = {self.window_overlap}: a window of {room} tokens would not move on"
            raise UsageError(message, hint=f"legal: under {room}")

    def spans(self, lengths: Sequence[int]) -> tuple[list[list[list[slice]]], int]:
        """For each encoded row and each text, the slices of its tokens; and how many tokens are in none of them."""
        if sum(lengths) <= self.budget:
            return [[[slice(0, length)] for length in lengths]], 0
        budgets = self._budgets(lengths)
        windowed = self._windowed(lengths)
        ways = [
            self._windows(length, budget) if index == windowed else self._cut(length, budget)
            for index, (length, budget) in enumerate(zip(lengths, budgets, strict=True))
        ]
        count = max(len(way) for way in ways)
        kept = sum(length if index == windowed else min(length, budgets[index]) for index, length in enumerate(lengths))
        return [[way[min(row, len(way) - 1)] for way in ways] for row in range(count)], sum(lengths) - kept

    def _windowed(self, lengths: Sequence[int]) -> int | None:
        """Which text is read in windows."""
        if self.long_text == "windows-of-second":
            return 1
        return lengths.index(max(lengths)) if self.long_text == "windows" else None

    def _budgets(self, lengths: Sequence[int]) -> list[int]:
        """The longer of two texts is cut until both are equal, then both; or the first one, down to half, for the second."""
        if len(lengths) == 1:
            return [self.budget]
        if self.long_text == "windows-of-second":
            first = min(lengths[0], max(self.budget // 2, self.budget - lengths[1]))
            return [first, self.budget - first]
        shorter = min(min(lengths), self.budget // 2)
        longer = self.budget - shorter
        return [longer, shorter] if lengths[0] >= lengths[1] else [shorter, longer]

    def _windows(self, length: int, budget: int) -> list[list[slice]]:
        if length <= budget:
            return [[slice(0, length)]]
        starts = [*range(0, length - budget, budget - self.window_overlap), length - budget]
        return [[slice(start, start + budget)] for start in starts]

    def _cut(self, length: int, budget: int) -> list[list[slice]]:
        if length <= budget:
            return [[slice(0, length)]]
        if self.long_text == "keep-start":
            return [[slice(0, budget)]]
        if self.long_text == "keep-end":
            return [[slice(length - budget, length)]]
        head = budget // 4
        return [[slice(0, head), slice(length - budget + head, length)]]
