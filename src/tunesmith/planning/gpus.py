"""GPUs by name: what they hold and how fast they compute, as their makers rate them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tunesmith.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Args:
        name: as it is sold.
        memory: bytes.
        flops: floating point operations a second, dense, in the format that training takes there (bf16; fp32 on GPUs that
            do not compute bf16); None: not known.
        precision: that format.
    """

    name: str
    memory: int
    flops: float | None
    precision: str = "bf16"


_KNOWN: Mapping[str, tuple[float, float]] = {  # GB, teraflops
    "T4": (16, 8.1),
    "V100": (16, 15.7),
    "V100-32": (32, 15.7),
    "P100": (16, 9.3),
    "L4": (24, 121),
    "A10": (24, 125),
    "A10G": (24, 70),
    "A6000": (48, 155),
    "A40": (48, 150),
    "L40S": (48, 362),
    "A100-40": (40, 312),
    "A100-80": (80, 312),
    "H100": (80, 989),
    "H200": (141, 989),
    "B200": (180, 2250),
    "RTX 3060": (12, 25),
    "RTX 3080": (10, 60),
    "RTX 3090": (24, 71),
    "RTX 4070": (12, 58),
    "RTX 4080": (16, 97),
    "RTX 4090": (24, 165),
    "RTX 5090": (32, 210),
}
_WITHOUT_BF16 = ("T4", "V100", "V100-32", "P100")
_GIGABYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:gb|gib|g)\s*", re.IGNORECASE)


def find(text: str) -> Gpu:
    """The GPU of a name or of a size of memory.

    >>> find("rtx4090").name, find("24 GB").memory
    ('RTX 4090', 24000000000)

    Raises:
        UsageError: it is neither; the known names are told.
    """
    if size := _GIGABYTES.fullmatch(text):
        if not float(size[1]):
            raise UsageError("a GPU without memory", where="--gpu", hint="write a size such as 24GB")
        return Gpu(f"a GPU of {float(size[1]):g} GB", int(float(size[1]) * 1e9), None)
    by_key = {_key(name): name for name in _KNOWN}
    if _key(text) not in by_key:
        nearest = did_you_mean(text, list(_KNOWN))
        raise UsageError(f"no GPU '{text}' is known", where="--gpu", hint=f"{nearest}; or write a size such as 24GB")
    name = by_key[_key(text)]
    memory, teraflops = _KNOWN[name]
    return Gpu(name, int(memory * 1e9), teraflops * 1e12, "fp32" if name in _WITHOUT_BF16 else "bf16")


def _key(name: str) -> str:
    """A name as people write it: in any case, with or without spaces, dashes and the unit of the size."""
    bare = re.sub(r"[\s_-]", "", name.lower()).removeprefix("nvidia").removeprefix("geforce").removesuffix("gb")
    return re.sub(r"^rtx(?=a\d)", "", bare)
