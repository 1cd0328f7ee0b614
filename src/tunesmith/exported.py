"""What an export leaves in a bundle: a folder with the model in another form, and ``export.json``, which tells of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tunesmith import bundle as bundles
from tunesmith.errors import BundleError

RECORD, GOLDEN = "export.json", "golden.jsonl"


@dataclass(frozen=True)
class Record:
    """What is known of an exported model.

    Args:
        to: name of the form.
        precision: number format of its weights.
        drift: how far its golden answers are from those of the network in 32 bits; None: nothing here could tell.
        size_bytes: of its files.
        metric: what ``scores`` are of; empty: nothing was compared.
        scores: of each number format that was compared, on the same labelled rows.
        rows: which rows these were, for people.
        files: digests by name.
    """

    to: str
    precision: str
    drift: float | None
    size_bytes: int
    metric: str = ""
    scores: dict[str, float] = field(default_factory=dict)
    rows: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        moved = "unknown" if self.drift is None else f"{self.drift:.1e}"
        return f"{self.to}, {self.precision}: {self.size_bytes / 1e6:.1f} MB, golden answers differ by at most {moved}"


def write(folder: Path, values: dict[str, Any]) -> Record:
    """Tell of the model in a folder; ``values`` are a record's, without size and files, which are counted here."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != RECORD]
    digests = {file.relative_to(folder).as_posix(): bundles.digest(file) for file in files}
    record = Record(size_bytes=sum(file.stat().st_size for file in files), files=digests, **values)
    bundles.write_text(folder / RECORD, json.dumps(asdict(record), indent=1, ensure_ascii=False))
    return record


def read(folder: Path) -> Record:
    """What was told of the model in a folder, whose files are whole.

    Raises:
        BundleError: there is none, or it is damaged.
    """
    try:
        record = Record(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BundleError(f"no {RECORD}: not an exported model", where=str(folder)) from None
    except (OSError, ValueError, TypeError):
        raise BundleError(f"damaged: {RECORD} does not describe a model", where=str(folder)) from None
    damaged = [name for name, digest in record.files.items() if not bundles.is_intact(folder / name, digest)]
    if damaged:
        raise BundleError(f"damaged: {', '.join(damaged)} changed or missing since the export", where=str(folder))
    return record
