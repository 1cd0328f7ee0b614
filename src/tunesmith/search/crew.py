"""The worker processes of one call: started, watched, replaced when they die, and stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import tunesmith
from tunesmith import machine
from tunesmith.errors import Interrupted, TrainingError
from tunesmith.search.worker import Order

_POLL_S = 0.5
_MOST_DEATHS = 5
_PATIENCE_S = 60.0


@dataclass
class _Member:
    order: Order
    process: subprocess.Popen[bytes]
    log: Path


def work(order: Order, look: Callable[[], None], note: Callable[[str], None]) -> None:
    """Run the workers of an order until all have ended.

    Args:
        order: for each of them, but for their numbers.
        look: called every half a second.
        note: told what happened to them.

    Raises:
        Interrupted: Ctrl-C was pressed; the workers have put back what they were at.
        TrainingError: a worker could not go on, or too many died.
    """
    crew = [_start(replace(order, number=number)) for number in range(order.workers)]
    deaths = 0
    try:
        while crew:
            time.sleep(_POLL_S)
            for member in list(crew):
                code = member.process.poll()
                if code is None:
                    continue
                crew.remove(member)
                if code < 0:
                    deaths += 1
                    note(f"worker {member.order.number} was killed by signal {-code}; its trial is tried again")
                    if deaths > _MOST_DEATHS:
                        raise TrainingError(
                            f"{deaths} workers were killed; memory may be short", hint="lower --workers"
                        )
                    # a number of its own: by that of the dead one it would draw the same values again
                    crew.append(_start(replace(member.order, number=member.order.number + order.workers)))
                elif code == Interrupted.exit_code:
                    raise Interrupted("a worker was stopped")
                elif code > 0:
                    raise TrainingError(_last_words(member.log), where=f"worker {member.order.number}")
            look()
    except KeyboardInterrupt:
        note("stopping; Ctrl-C again to stop at once")
        _stop(crew, signal.SIGINT)
        raise Interrupted("stopped by Ctrl-C; what is finished is kept") from None
    finally:
        _stop(crew, signal.SIGINT)


def _start(order: Order) -> _Member:
    """A worker; Ctrl-C in the terminal does not reach it, since this process tells it once."""
    folder = Path(order.folder)
    log = folder / f"worker-{order.number}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tunesmith.search.worker"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=_environment(order),
            start_new_session=True,
        )
    assert process.stdin is not None
    process.stdin.write(order.to_json().encode())
    process.stdin.close()
    return _Member(order, process, log)


def _environment(order: Order) -> dict[str, str]:
    """This package where the worker looks first, its share of the cores, and a GPU of its own where there are several."""
    import torch

    paths = [str(Path(tunesmith.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    if order.threads:
        own["OMP_NUM_THREADS"] = str(order.threads)
    if (count := torch.cuda.device_count()) > 1:
        own["CUDA_VISIBLE_DEVICES"] = str(order.number % count)
    return {**os.environ, **own}


def share_of_cores(workers: int) -> int | None:
    """CPU threads of each of several workers; None: a single one decides for itself."""
    return None if workers == 1 else max(1, machine.cores() // workers)


def _stop(crew: list[_Member], number: int) -> None:
    """Ask the workers to end and wait for them; the next Ctrl-C, or a minute, ends the waiting."""
    for member in crew:
        if member.process.poll() is None:
            member.process.send_signal(number)
    try:
        for member in crew:
            member.process.wait(_PATIENCE_S)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        for member in crew:
            member.process.kill()
            member.process.wait()
    crew.clear()


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    if starts:
        return "\n".join(lines[starts[-1] :]).removeprefix("error: ")
    return f"{lines[-1] if lines else 'it ended'} (see {log})"
