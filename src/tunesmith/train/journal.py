"""What a run tells while it goes: log.jsonl always, a live bar or plain lines, and any experiment trackers."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tunesmith.appending import whole_lines

_LINE_EVERY_S = 15.0


class Journal:
    """One run's log. Messages go to stderr, so that stdout stays for results.

    Args:
        file: the log.jsonl to append to.
        accelerator: whose trackers also get every number; None: no trackers.
        quiet: show nothing, only write.
    """

    def __init__(self, file: Path, accelerator: Accelerator | None = None, *, quiet: bool = False) -> None:
        self._file = file
        self._accelerator = accelerator
        self._writes = accelerator is None or accelerator.is_main_process
        self._console = Console(stderr=True, quiet=quiet or not self._writes)
        self._bar: Progress | None = None
        self._shown = 0.0
        self._score = ""
        if self._writes:
            whole_lines(file)

    def beside(self, file: Path) -> Journal:
        """A journal of a part of the run: shown alike, written to a file of its own, kept from the trackers."""
        found = Journal(file, quiet=self._console.quiet)
        found._writes = self._writes
        return found

    def note(self, message: str) -> None:
        """Say something that happened once."""
        self._write({"event": "note", "message": message})
        self._say(message)

    def step(self, step: int, total: int, epoch: float, values: dict[str, float], tokens: int, seconds: float) -> None:
        """Log a training step."""
        self._write(
            {
                "event": "step",
                "step": step,
                "epoch": round(epoch, 4),
                **values,
                "tokens": tokens,
                "seconds": round(seconds, 3),
            }
        )
        self._track(values, step)
        rate = tokens / seconds if seconds else 0.0
        left = _clock(seconds / step * (total - step))
        self._show(
            step,
            total,
            f"epoch {epoch:.2f}  loss {values['loss']:.4f}  {rate:,.0f} tokens/s  {left} left  {self._score}",
        )

    def evaluation(
        self,
        step: int,
        epoch: float,
        scores: dict[str, float],
        metric: str,
        best: bool,
        seconds: float,
        *,
        averaged: bool = False,
    ) -> None:
        """Log the scores of the validation rows; ``averaged``: they are those of the weights' average."""
        self._write(
            {
                "event": "evaluation",
                "step": step,
                "epoch": round(epoch, 4),
                "scores": scores,
                "best": best,
                **({"averaged": True} if averaged else {}),
                "seconds": round(seconds, 3),
            }
        )
        self._track({f"validation/{name}": score for name, score in scores.items()}, step)
        self._score = f"{metric} {scores[metric]:.4f}"
        self._say(
            f"epoch {epoch:.2f}  step {step}  validation {self._score}{'  (best)' if best else ''}{'  (average)' if averaged else ''}"
        )

    def forget_after(self, step: int) -> None:
        """Drop the steps and evaluations after a step, because training goes on from there; -1 drops them all."""
        if not (self._writes and self._file.exists()):
            return
        kept = [entry for entry in read(self._file) if entry.get("step", -1) <= step]
        unfinished = self._file.with_name(f".{self._file.name}")
        unfinished.write_text("".join(_line(entry) for entry in kept), encoding="utf-8")
        unfinished.replace(self._file)

    @contextmanager
    def until_interrupted(self) -> Iterator[Callable[[], bool]]:
        """Inside, the first Ctrl-C only makes the yielded function say so; a second one stops at once.

        Where Ctrl-C is ignored, as in a job that a script runs in the background, it stays so.
        """
        asked = threading.Event()

        def remember(number: int, frame: Any) -> None:
            asked.set()
            signal.signal(signal.SIGINT, before)
            self._say("stopping after this step; Ctrl-C again to stop at once")

        before = signal.getsignal(signal.SIGINT)
        listening = threading.current_thread() is threading.main_thread() and before is not signal.SIG_IGN
        if listening:
            signal.signal(signal.SIGINT, remember)
        try:
            yield asked.is_set
        finally:
            if listening:
                signal.signal(signal.SIGINT, before)
            self.close()

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _write(self, entry: dict[str, Any]) -> None:
        if self._writes:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(_line(entry))

    def _track(self, values: dict[str, float], step: int) -> None:
        if self._accelerator is not None and self._accelerator.trackers:
            self._accelerator.log(values, step=step)

    def _say(self, message: str) -> None:
        self._console.print(message, highlight=False, markup=False)

    def _show(self, step: int, total: int, message: str) -> None:
        if self._console.quiet:
            return
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = Progress(
                    BarColumn(30),
                    TextColumn("{task.completed}/{task.total}"),
                    TextColumn("{task.description}"),
                    console=self._console,
                )
                self._bar.add_task("", total=total)
                self._bar.start()
            self._bar.update(self._bar.task_ids[0], completed=step, total=total, description=message)
        elif step == 1 or time.monotonic() - self._shown >= _LINE_EVERY_S:
            self._shown = time.monotonic()
            self._say(f"{step}/{total}  {message}")


def read(file: Path) -> list[dict[str, Any]]:
    """All entries of a log."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
