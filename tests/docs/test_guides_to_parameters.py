"""Both guides to parameters name every parameter, say the same, and show what was measured of what is declared."""

from __future__ import annotations

import json
import os
import re
import shutil
import string
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from docs.chinese import CHINESE

import tunesmith
from docs import measured
from tunesmith.explaining import declared
from tunesmith.explaining.phrases import ENGLISH

ROOT = Path(__file__).parents[2]
ENGLISH_GUIDE, CHINESE_GUIDE = (language.guide for language in measured.LANGUAGES)
GUIDES = {path.name: path.read_text(encoding="utf-8") for path in (ENGLISH_GUIDE, CHINESE_GUIDE)}


def sections(text: str) -> list[str]:
    """Its parts between headings."""
    return re.split(r"^##+ ", text, flags=re.MULTILINE)


def named(text: str) -> list[set[str]]:
    """Of each section the names that stand in it as code."""
    return [set(re.findall(r"`([a-z_]+)", section)) for section in sections(text)]


PARAMETERS = {one.name for one in declared.every()}


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("one", declared.every(), ids=lambda one: f"{one.name}-{one.tasks[0]}")
def test_every_parameter_is_explained(one: declared.Declared, guide: str) -> None:
    for task in one.tasks if len(one.tasks) == 1 else [""]:
        parts = [
            names
            for part, names in zip(sections(GUIDES[guide]), named(GUIDES[guide]), strict=True)
            if part.startswith(task)
        ]
        assert any(one.name in names for names in parts[0 if task else 2 :]), f"{one.name} of {one.tasks}"


def test_the_guides_name_the_same_parameters_section_by_section() -> None:
    english, chinese = ([names & PARAMETERS for names in named(text)] for text in GUIDES.values())
    assert len(english) == len(chinese)
    for number, (here, there) in enumerate(zip(english, chinese, strict=True)):
        assert here == there, sections(GUIDES[ENGLISH_GUIDE.name])[number].splitlines()[0]


def test_the_guides_show_the_same_and_lead_to_each_other() -> None:
    marks = [re.findall(r"<!-- measured (\S+) -->", text) for text in GUIDES.values()]
    assert marks[0] == marks[1]
    assert set(marks[0]) == set(measured.SHOWN)
    assert len(marks[0]) == len(set(marks[0]))
    assert f"({CHINESE_GUIDE.name})" in GUIDES[ENGLISH_GUIDE.name].splitlines()[2]
    assert f"({ENGLISH_GUIDE.name})" in GUIDES[CHINESE_GUIDE.name].splitlines()[2]


def facts(words: Mapping[str, str]) -> dict[str, set[str | None]]:
    return {
        name: {field for _, field, _, _ in string.Formatter().parse(phrase) if field} for name, phrase in words.items()
    }


def test_both_languages_say_the_same_facts() -> None:
    assert facts(CHINESE) == facts(ENGLISH)


def test_chinese_parts_hold_no_english_words() -> None:
    known = {*PARAMETERS, "KL", "none", measured.WRITER, measured.READER}
    known |= {"f1_weighted", "f1_micro", "spearman"}  # metrics
    for part in measured.guides()[CHINESE_GUIDE].values():
        lines = [line for line in part.splitlines() if not line.startswith(("!", *"123456789"))]
        assert set(re.findall(r"[A-Za-z][\w-]*", " ".join(lines))) - {"e-05"} <= known


# records and pictures


def generate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(tunesmith.__file__).parents[1]), str(folder)])}
    call = [sys.executable, "-m", "docs.generate", *words]
    return subprocess.run(call, capture_output=True, text=True, cwd=folder, env=environment, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The documentation's code with one guide, which shows one record."""
    for folder in ("examples", "benchmarks", "docs/guide", "docs/records/parameters"):
        (tmp_path / folder).mkdir(parents=True)
    for module in (ROOT / "docs").glob("*.py"):
        shutil.copy(module, tmp_path / "docs")
    shutil.copy(ROOT / "docs/records/parameters/top_p.json", tmp_path / "docs/records/parameters")
    guide = tmp_path / "docs/guide/parameters.zh-CN.md"
    guide.write_text("前\n<!-- measured top_p -->\n旧\n<!-- /measured top_p -->\n后\n", encoding="utf-8")
    done = generate(tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_a_guide_is_told_and_drawn_from_its_records(tree: Path) -> None:
    text = (tree / "docs/guide/parameters.zh-CN.md").read_text(encoding="utf-8")
    assert "- top_p 在任何位置都不改变最可能的词元。\n" in text
    assert "旧" not in text
    assert [path.name for path in (tree / "docs/images/parameters").iterdir()] == ["top_p.zh-CN.svg"]
    assert generate(tree, "--check").returncode == 0


def test_what_is_stale_is_named_without_being_measured(tree: Path) -> None:
    record, picture = tree / "docs/records/parameters/top_p.json", tree / "docs/images/parameters/top_p.zh-CN.svg"
    orphan = picture.with_name("gone.svg")
    orphan.write_text("<svg/>")
    drawn = picture.read_text(encoding="utf-8")
    kept = json.loads(record.read_text(encoding="utf-8"))
    kept["found"]["columns"][0]["numbers"][0] += 1
    record.write_text(json.dumps(kept))
    stale = [
        "stale: docs/images/parameters/top_p.zh-CN.svg",
        "stale: docs/images/parameters/gone.svg",
        "run: make docs",
    ]
    assert generate(tree, "--check").stderr.splitlines() == stale
    assert generate(tree).returncode == 0
    assert picture.read_text(encoding="utf-8") != drawn
    assert not orphan.exists()
    kept["asked"]["tokens"] += 1
    record.write_text(json.dumps(kept))
    assert generate(tree, "--check").stderr.splitlines() == [
        "stale: docs/records/parameters/top_p.json",
        "run: make docs",
    ]


def test_the_check_needs_no_model() -> None:
    code = "import sys; from docs import measured; measured.stale(), measured.guides(); print(*{'torch', 'matplotlib'} & set(sys.modules))"
    call = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(tunesmith.__file__).parents[1]), str(ROOT)])}
    done = subprocess.run(call, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "\n"
