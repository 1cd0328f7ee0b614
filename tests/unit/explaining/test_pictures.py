"""Pictures of what was found."""

from __future__ import annotations

import dataclasses
import re
import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tunesmith.explaining import pictures, printed
from tunesmith.explaining.found import Column, Found, Sample
from tunesmith.explaining.phrases import say


def found(values: Any = (0.5, 0.7, 1.0), **more: Any) -> Found:
    columns = (
        Column("entropy", say("entropy"), (0.1, 0.5, 1.2), 1.2),
        Column("cut", say("cut"), (0.4, 0.1, 0.0), 0.0, "share", ((0.3, 0.5), (0.0, 0.2), None)),
        Column("nucleus", say("nucleus"), (1, 30, 4000), 4000, "count"),
        Column("lost", say("lost"), (None, 0.0, 0.0), 0.0, "share"),
    )
    told: Any = {
        "usual": 1.0,
        "held": {"top_k": 5},
        "sentences": (say("flips nowhere", name="top_p"),),
        "largest": 0.4,
        "inert": False,
        **more,
    }
    return Found("top_p", "runs/chat", "chat", say("read once", inputs=9), values, columns=columns, **told)


@pytest.mark.parametrize("values", [(0.5, 0.7, 1.0), (1, 10, 100), ("mean", None, True)])
def test_an_svg_is_a_file_of_its_own(values: Any, tmp_path: Path) -> None:
    pictures.save(found(values), tmp_path / "one.svg")
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    used = set(re.findall(r"var\(--(\w+)\)", text))
    assert used
    assert all(f"--{name}:" in text for name in used)
    assert "prefers-color-scheme" in text
    assert "entropy of the next token, mean, nats" in text
    assert "#0a0b" not in text
    assert [file.name for file in tmp_path.iterdir()] == ["one.svg"]
    pictures.save(found(values), tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == text


def test_places_are_rounded_and_numbers_on_axes_are_not(tmp_path: Path) -> None:
    small = Column("entropy", say("entropy"), (0.1111, 0.1122, 0.1138), 0.1111)
    pictures.save(dataclasses.replace(found(), columns=(small,)), tmp_path / "one.svg")
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    written = [one.strip() for one in re.findall(r">([^<>]+)</text>", text)]
    assert any(re.fullmatch(r"0\.11\d+", one) for one in written)
    assert not re.search(r'[xyd]="[^"]*\d\.\d{3}', text)
    assert len(text) < 20_000


def test_a_png_has_the_colours_of_a_light_page(tmp_path: Path) -> None:
    from matplotlib.image import imread

    pictures.save(found(), tmp_path / "one.png")
    content = (tmp_path / "one.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24])[0] == 1500
    pixels = imread(tmp_path / "one.png")
    assert pixels[0, 0, :3].tolist() == [1, 1, 1]
    blue = (abs(pixels[..., :3] - [0x3B / 255, 0x5B / 255, 0xDB / 255]) < 0.02).all(2)
    assert blue.sum() > 100


def test_it_is_printed_with_bars_numbers_and_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    printed.found(found(samples=(Sample(0.5, "a [b]", "yes", 0.25),)))
    text = capsys.readouterr().out
    assert "9 inputs, read once, top_k 5; compared with top_p 1" in text
    assert re.search(r"entropy\s+▁▄█\s+0.100 … 1.200", text)
    assert re.search(r"0.5\s+0.100\s+40.0 %\s+1\s+-", text)
    assert "a [b]" in text
    assert text.rstrip().endswith("top_p changes the likeliest token nowhere.")


def test_a_picture_speaks_the_language_it_is_given(tmp_path: Path) -> None:
    words = {
        **dict.fromkeys(("cut", "nucleus", "lost"), "数"),
        "entropy": "熵；均值",
        "read once": "{inputs} 条",
        "without": "虚线",
    }
    pictures.save(found(), tmp_path / "one.svg", words)
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert ">熵<" in text  # conditions are left out of headings
    assert ">9 条<" in text
    assert "· 虚线<" in text
    assert "entropy" not in text
