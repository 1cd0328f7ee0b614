"""Matplotlib figures as SVG that sits in a page: its colours follow the page's, its text stays text.

Text is not turned into outlines, so the reader's own fonts draw it: Chinese names need no font on this machine.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure

# Stand-ins that no other colour equals; `as_svg` turns each into the page's CSS variable of that name.
INK, MUTED, GRID, ACCENT, WARM, PAPER = (f"#0a0b{number:02x}" for number in range(0x0C, 0x12))
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", ACCENT: "accent", WARM: "warm", PAPER: "paper"}

SERIES = ("#5b7cfa", "#e5794f", "#2aa198", "#b26bd6", "#c9971c", "#4aa3df", "#8a94a6", "#d64f6b")
"""Colours of lines that are told apart by name; legible on light and on dark."""

BLUE, ORANGE = to_rgb("#5b7cfa"), to_rgb("#e5794f")
"""Right and wrong where shades of a colour tell how much."""

WIDE, HALF = 10.0, 4.8
"""Widths of pictures in inches, of a whole and of half a page."""

_MOST_POINTS = 1200

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "text.parse_math": False,
}


@contextmanager
def style(name: str) -> Iterator[None]:
    """Inside, figures are made in the page's style; ``name`` keeps identifiers of several pictures apart."""
    with rc_context({**_STYLE, "svg.hashsalt": f"tunesmith-{name}"}), warnings.catch_warnings():
        # the reader's fonts draw the text; that matplotlib's own lack a character only makes its widths a guess
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def as_svg(name: str, figure: Figure) -> str:
    """A figure as an ``<svg>`` element that scales with its container; the same figure gives the same text."""
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return _embedded(target.getvalue(), name)


def save(name: str, figure: Figure, file: Path) -> None:
    """Write a figure as a file of its own, all at once: SVG that is light or dark as its reader, or a light PNG."""
    unfinished = file.with_name(f".new-{file.name}")
    if file.suffix.lower() == ".svg":
        unfinished.write_text(_alone(as_svg(name, figure)), encoding="utf-8")
    else:
        _colour(figure, _LIGHT)
        figure.savefig(unfinished, format="png", dpi=150, facecolor=_LIGHT["paper"])
    unfinished.replace(file)


def cloud(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Points, or where there are many, how dense they lie."""
    if len(x) <= _MOST_POINTS:
        axes.scatter(x, y, s=9, color=ACCENT, alpha=0.45, linewidth=0)
        return
    dense = LinearSegmentedColormap.from_list("dense", [(*BLUE, 0.12), (*BLUE, 1.0)])
    axes.hexbin(x, y, gridsize=42, mincnt=1, bins="log", cmap=dense, linewidth=0)


_LIGHT = {
    "ink": "#1d2330",
    "muted": "#667085",
    "grid": "#dfe3ea",
    "accent": "#3b5bdb",
    "warm": "#d9622b",
    "paper": "#ffffff",
}
_DARK = {
    "ink": "#e8ebf2",
    "muted": "#98a2b3",
    "grid": "#303846",
    "accent": "#8da2ff",
    "warm": "#f0a070",
    "paper": "#14181f",
}


def _alone(svg: str) -> str:
    """An SVG element as a file, with the colours that a page would give it."""
    light, dark = (";".join(f"--{name}:{colour}" for name, colour in colours.items()) for colours in (_LIGHT, _DARK))
    sheet = (
        f"<style>svg{{{light};--font:system-ui,sans-serif;background:var(--paper)}}"
        f"@media (prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    )
    spaces = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    head, end, rest = svg.replace("<svg ", spaces, 1).partition(">")
    return f"{head}{end}{sheet}{_short(rest)}\n"


def _short(svg: str) -> str:
    """The same with places to a hundredth of a point, and without the spaces between elements; what is written stays."""
    return re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), re.sub(r">\s+<", "><", svg))


def _colour(figure: Figure, colours: dict[str, str]) -> None:
    """Give everything in a figure real colours."""
    for artist in figure.findobj():
        for kind in ("color", "facecolor", "edgecolor"):
            if not (hasattr(artist, f"get_{kind}") and hasattr(artist, f"set_{kind}")):
                continue
            try:
                found = to_hex(getattr(artist, f"get_{kind}")())
            except ValueError:  # several colours
                continue
            if found in _VARIABLES:
                getattr(artist, f"set_{kind}")(colours[_VARIABLES[found]])


def _embedded(text: str, name: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img" data-picture="NAME">', text, count=1
    )
    text = text.replace("NAME", name, 1)
    text = re.sub(r"(font: [^;\"']*?[\d.]+px) '[^;\"]*", r"\1 var(--font)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return text.strip()


def clipped(name: str, most: int = 26) -> str:
    """A name cut to a width on the page, wide characters counting twice; what is cut shows as an ellipsis.

    >>> clipped("abcdefgh", 5), clipped("手机数码", 5)
    ('abcd…', '手机…')
    """
    if sum(map(_width, name)) <= most:
        return name
    kept = ""
    for character in name:
        if sum(map(_width, kept)) + _width(character) > most - 1:
            break
        kept += character
    return f"{kept}…"


def _width(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
