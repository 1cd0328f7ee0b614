"""What this machine is and how best to use it: device, number format, threads, memory."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Machine:
    """Where a network runs: ``device`` (``cpu``, ``cuda``), ``precision`` (``fp32``, ``bf16``) and CPU ``threads``."""

    device: str
    precision: str
    threads: int

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the forward pass."""
        import torch

        return torch.bfloat16 if self.precision == "bf16" else torch.float32


def prepare(precision: str = "auto", threads: int | None = None) -> Machine:
    """Choose the device and the number format, and set up threads."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = threads or cores()
    if torch.get_num_threads() != chosen:
        torch.set_num_threads(chosen)
    return Machine(device, native_precision(device) if precision == "auto" else precision, chosen)


def cores() -> int:
    """CPU cores that this process may use: as ``OMP_NUM_THREADS`` says, where it is set, or as many as there are."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def physical_cores() -> int:
    """As ``cores``, but no more than there are, where some are halves of one: two threads on one core gain nothing."""
    pairs, place = set(), ""
    for line in _cpu_lines().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "physical id":
            place = value.strip()
        elif name.strip() == "core id":
            pairs.add((place, value.strip()))
    return min(cores(), len(pairs) or cores())


@functools.cache
def native_precision(device: str) -> str:
    """``bf16`` where the processor multiplies it in hardware: elsewhere it is emulated and slower than ``fp32``."""
    if device == "cuda":
        import torch

        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    flags = _cpu_lines()
    return "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "fp32"


def processor() -> str:
    """What the processor calls itself; empty where the system does not say."""
    names = (line.partition(":")[2].strip() for line in _cpu_lines().splitlines() if line.startswith("model name"))
    return next(names, platform.processor())


def _cpu_lines() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def peak_memory_bytes() -> int:
    """Most memory that this process has held so far; on a GPU, of the GPU."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def waited_s() -> float:
    """Seconds since its start that this process was ready and had no processor, because others had it; 0 if unknown."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def forget_peak_memory() -> None:
    """Let ``peak_memory_bytes`` count from what is held now, where the system can do that (CUDA, Linux)."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def give_back_memory() -> None:
    """Collect what nothing refers to, and give the system what the allocator kept of it (glibc alone can)."""
    import gc

    settled = gc.get_freeze_count()
    gc.unfreeze()
    gc.collect()
    if settled:
        gc.freeze()
    trim()


def settle() -> None:
    """Have what is there now left alone by collections of garbage, which else look through every object of every library."""
    import gc

    gc.collect()
    gc.freeze()


def trim() -> None:
    """Give the system what the allocator kept of freed memory (glibc alone can); takes some 20 ms, and other threads go on."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def free_disk_bytes(folder: Path) -> int:
    """Space left where a folder is or will be."""
    existing = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    return shutil.disk_usage(existing).free


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on a GPU or on the CPU."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
