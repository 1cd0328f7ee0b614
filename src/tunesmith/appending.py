"""Files that grow line by line and may have been cut short by a crash."""

from __future__ import annotations

from pathlib import Path

_PIECE_BYTES = 1 << 20


def whole_lines(file: Path) -> int:
    """Cut a half-written last line off a file and count the lines that are left; 0 if there is no file."""
    if not file.exists():
        return 0
    count = end = position = 0
    with file.open("rb+") as content:
        while piece := content.read(_PIECE_BYTES):
            count += piece.count(b"\n")
            if b"\n" in piece:
                end = position + piece.rindex(b"\n") + 1
            position += len(piece)
        if end < position:
            content.truncate(end)
    return count
