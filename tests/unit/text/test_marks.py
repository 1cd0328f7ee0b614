"""Marked pairs: found in texts, written and read back."""

from __future__ import annotations

import random
import re

import pytest

from tunesmith.text import marks
from tunesmith.text.marks import Marked


def test_markers_are_taken_out_and_put_back() -> None:
    text = "The most common <e1>audits</e1> were about <e2>waste</e2>."
    marked = marks.read(text)
    assert marked.text == "The most common audits were about waste."
    assert marked.mentions == ("audits", "waste")
    assert marks.write(marked) == text


def test_the_second_may_stand_first_and_one_in_the_other() -> None:
    assert marks.read("<e2>b</e2> of <e1>a</e1>").mentions == ("a", "b")
    nested = "<e1>北京<e2>大学</e2></e1>"
    assert marks.read(nested) == Marked("北京大学", (0, 4), (2, 4))
    assert marks.write(marks.read(nested)) == nested


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no marks", "has no <e1>"),
        ("<e1>a</e1> b", "has no <e2>"),
        ("<e1>a <e2>b</e2>", "has no </e1>"),
        ("<e1>a</e1> <e1>b</e1> <e2>c</e2>", "has <e1> twice"),
        ("<e1></e1> <e2>c</e2>", "has nothing between <e1> and </e1>"),
        ("<e1>a</e1> <e2> </e2>", "has nothing between <e2> and </e2>"),
        ("</e1>a<e1> <e2>c</e2>", "has nothing between <e1> and </e1>"),
    ],
)
def test_wrong_markers_are_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        marks.read(text)


def test_any_two_places_survive_writing() -> None:
    chance = random.Random(0)
    for _ in range(500):
        text = "".join(chance.choices("ab c", k=chance.randint(4, 9))).strip().ljust(4, "d")
        places = []
        for _ in range(2):
            start = chance.randrange(len(text) - 1)
            end = chance.randint(start + 1, len(text))
            places.append((start, end))
        if any(not text[start:end].strip() for start, end in places):
            continue
        marked = Marked(text, *places)
        assert marks.read(marks.write(marked)) == marked


def test_what_a_model_reads() -> None:
    read = marks.as_read(marks.read("in <e2>Oslo</e2> lives <e1>Ann</e1>"))
    assert read.text == "in # Oslo # lives @ Ann @"
    assert read.mentions == ("@ Ann @", "# Oslo #")
    nested = marks.as_read(marks.read("<e1>北京<e2>大学</e2></e1>"))
    assert nested.text == "@ 北京# 大学 # @"
    assert nested.mentions == ("@ 北京# 大学 # @", "# 大学 #")


@pytest.mark.parametrize(
    ("text", "first", "second", "written"),
    [
        ("东方航空将与上航合并", "东方航空", "上航", "<e1>东方航空</e1>将与<e2>上航</e2>合并"),
        ("Ann met Bob, Bob left", "Ann", "Bob", "<e1>Ann</e1> met <e2>Bob</e2>, Bob left"),
        ("Ann left, Ann met Bob", "Ann", "Bob", "Ann left, <e1>Ann</e1> met <e2>Bob</e2>"),
        ("partly art by Bo", "art", "Bo", "partly <e1>art</e1> by <e2>Bo</e2>"),
        ("x and x", "x", "x", "<e1>x</e1> and <e2>x</e2>"),
        ("only x", "x", "x", "only <e1><e2>x</e2></e1>"),
        ("北京大学在北京", "北京大学", "北京", "<e1>北京大学</e1>在<e2>北京</e2>"),
    ],
)
def test_mentions_are_found(text: str, first: str, second: str, written: str) -> None:
    assert marks.write(marks.place(text, first, second)) == written


@pytest.mark.parametrize(("first", "second", "which"), [("c", "b", 0), ("a", "c", 1), ("", "b", 0)])
def test_what_does_not_occur_is_named(first: str, second: str, which: int) -> None:
    with pytest.raises(LookupError) as caught:
        marks.place("a b", first, second)
    assert caught.value.args == (which,)
