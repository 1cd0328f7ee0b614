"""Lines that go to a file or a pipe from a thread of their own, so that a full disk or a slow reader stops nobody else."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress

_MOST_BYTES = 16 << 20
_PAUSE_S = 0.1


class Lines:
    """Takes lines at once and writes them when it can; those that there is no room for, or that fail, are lost and counted.

    Args:
        place: an open file descriptor, or a file to append to, which is opened anew where it was moved away.
        most_bytes: that may wait.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, place: int | str, most_bytes: int = _MOST_BYTES) -> None:
        self._place, self._most_bytes = place, most_bytes
        self._descriptor = place if isinstance(place, int) else _opened(place)
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._writing = self._is_cut = False
        self.lost = 0
        threading.Thread(target=self._live, name="tunesmith log", daemon=True).start()

    def put(self, line: str) -> None:
        """Have a line written, without its end; never waits for a disk or a reader."""
        content = f"{line}\n".encode("utf-8", "backslashreplace")
        with self._changed:
            if self._bytes + len(content) > self._most_bytes:
                self.lost += 1
                return
            self._waiting.append(content)
            self._bytes += len(content)
            self._changed.notify()

    def flush(self, timeout_s: float) -> None:
        """Wait until all is written, no longer than this."""
        until = time.monotonic() + timeout_s
        while (self._waiting or self._writing) and time.monotonic() < until:
            time.sleep(0.005)

    def _live(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                self._writing = True
                content = self._waiting.popleft()
            try:
                self._write(content)
            except OSError:
                self.lost += 1
                time.sleep(
                    _PAUSE_S if len(self._waiting) < 100 else 0.0
                )  # a full disk is not asked in vain all the time
            finally:
                with self._changed:
                    self._bytes -= len(content)
                    self._writing = False

    def _write(self, content: bytes) -> None:
        """All of it; where a line before was cut short, it is ended first."""
        if isinstance(self._place, str) and _is_elsewhere(self._place, self._descriptor):
            made = _opened(self._place)
            os.close(self._descriptor)
            self._descriptor, self._is_cut = made, False
        left = memoryview(b"\n" + content if self._is_cut else content)
        while left:
            written = os.write(self._descriptor, left)
            left = left[written:]
            self._is_cut = bool(left)


def _opened(file: str) -> int:
    return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _is_elsewhere(file: str, descriptor: int) -> bool:
    """Whether a file was moved away, as those do that begin a new log each day."""
    with suppress(FileNotFoundError):
        there, here = os.stat(file), os.fstat(descriptor)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
    return True
