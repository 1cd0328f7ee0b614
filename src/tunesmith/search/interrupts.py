"""Ctrl-C as something that can wait: what must be done whole is done before it is heard."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any


@contextmanager
def put_off() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Inside, Ctrl-C waits for the end; within what the yielded function makes it is heard at once, also if it came before.

    Where Ctrl-C is ignored, and in other threads than the main one, which do not hear it, nothing changes.

    Raises:
        KeyboardInterrupt: it was pressed meanwhile.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield nullcontext
        return
    pressed: list[int] = []

    def remember(number: int, frame: Any) -> None:
        pressed.append(number)

    @contextmanager
    def at_once() -> Iterator[None]:
        signal.signal(signal.SIGINT, before)
        try:
            if pressed:
                pressed.clear()
                raise KeyboardInterrupt
            yield
        finally:
            signal.signal(signal.SIGINT, remember)

    signal.signal(signal.SIGINT, remember)
    try:
        yield at_once
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
