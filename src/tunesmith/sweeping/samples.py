"""Every answer of a sweep, a JSON line each: what makes it resumable and its table repeatable."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tunesmith.appending import whole_lines
from tunesmith.errors import UsageError

FILE = "samples.jsonl"


@dataclass(frozen=True)
class Sample:
    """An answer.

    Args:
        setting: number of the setting.
        row: number of the row in the data.
        sample: number among the answers of the setting to the row.
        text: as it is compared with the truth.
        tokens: how many were generated.
        finish_reason: ``stop``, ``length`` or ``error``.
        seconds: from its place in the batch to its end, among the others of the study.
    """

    setting: int
    row: int
    sample: int
    text: str
    tokens: int
    finish_reason: str
    seconds: float


class Kept:
    """The answers in a study's folder; a new one replaces an earlier one of the same place."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._found: dict[tuple[int, int], dict[int, Sample]] = {}
        whole_lines(self._file)
        if self._file.exists():
            self._read()

    def add(self, samples: Iterable[Sample]) -> None:
        """Keep answers, in the file too."""
        new = list(samples)
        with self._file.open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in new)
        for one in new:
            self._place(one)

    def of(self, setting: int, row: int) -> list[Sample]:
        """A setting's answers to a row, in their order."""
        found = self._found.get((setting, row), {})
        return [found[number] for number in sorted(found)]

    def __len__(self) -> int:
        return sum(map(len, self._found.values()))

    def _place(self, one: Sample) -> None:
        self._found.setdefault((one.setting, one.row), {})[one.sample] = one

    def _read(self) -> None:
        with self._file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    self._place(Sample(**json.loads(line)))
                except (ValueError, TypeError):
                    hint = "begin another study"
                    raise UsageError("the line is no answer", where=f"{self._file}:{number}", hint=hint) from None
