"""The documents are fresh, and what they show works."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import tunesmith
from tunesmith import cli, config, params, plugins

ROOT = Path(__file__).parents[2]
PACKAGE = Path(tunesmith.__file__).parent
DOCUMENTS = [
    ROOT / name for name in ("README.md", "README.zh-CN.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
]
EVERY_DOCUMENT = [path for path in [*DOCUMENTS, *sorted((ROOT / "docs").rglob("*.md"))] if path.exists()]


def generate(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    call = [sys.executable, "-m", "docs.generate", *words]
    return subprocess.run(call, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def test_reference_is_fresh() -> None:
    done = generate("--check")
    assert done.returncode == 0, done.stderr


def test_stale_reference_is_named_and_mended(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for folder in ("examples", "benchmarks"):
        (tmp_path / folder).mkdir()
    for module in (ROOT / "docs").glob("*.py"):
        (tmp_path / "docs" / module.name).write_bytes(module.read_bytes())
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- tree -->\nyesterday\n<!-- /tree -->\nafter\n", encoding="utf-8")
    orphan = tmp_path / "docs" / "reference" / "gone.md"
    assert generate(cwd=tmp_path).returncode == 0
    assert generate("--check", cwd=tmp_path).returncode == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- tree -->\n```\nsrc/tunesmith/\n")
    assert text.endswith("```\n<!-- /tree -->\nafter\n")
    assert "yesterday" not in text
    orphan.write_text("x")
    (orphan.parent / "errors.md").write_text("edited")
    done = generate("--check", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "stale: docs/reference/errors.md",
        "stale: docs/reference/gone.md",
        "run: make docs",
    ]
    assert generate(cwd=tmp_path).returncode == 0
    assert not orphan.exists()


def test_reference_names_every_parameter() -> None:
    text = (ROOT / "docs" / "reference" / "parameters.md").read_text(encoding="utf-8")
    for leaf in params.leaves(config.class_for("text-classification", "lora")):
        assert f"| `{leaf.flag}`<br>`{leaf.environment}` |" in text


# commands that are shown


def shown_calls(path: Path) -> list[str]:
    """Lines of a document that call the command line, without their comments."""
    text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    lines = re.findall(r"^\s*(?:\$ )?(tunesmith .+)$", text, flags=re.MULTILINE)
    return [line for line in lines if not line.startswith("tunesmith COMMAND")]


CALLS = [(path.name, line) for path in EVERY_DOCUMENT for line in shown_calls(path)]


def test_documents_show_calls() -> None:
    assert len(CALLS) > 5


@pytest.mark.parametrize(("document", "line"), CALLS)
def test_shown_calls_can_be_understood(document: str, line: str) -> None:
    _, verb, *words = shlex.split(line, comments=True)
    assert verb in plugins.names("commands"), line
    command = plugins.module("commands", verb)
    known = cli._kinds(command, words)
    _, flags = cli._split(words, known, cli._repeated(command))
    unknown = set(flags) - set(known)
    if "train.lerning_rate" in unknown:  # the README shows what a misspelt name leads to
        unknown.remove("train.lerning_rate")
    assert not unknown, line


def test_misspelt_calls_are_noticed() -> None:
    known = cli._kinds(plugins.module("commands", "train"), ["a.csv"])
    assert set(cli._split(["a.csv", "--train.epocs", "3"], known)[1]) - set(known) == {"train.epocs"}


@pytest.mark.parametrize("task", plugins.names("tasks"))
def test_every_task_has_a_page(task: str) -> None:
    text = (ROOT / "docs" / "tasks" / f"{task}.md").read_text(encoding="utf-8")
    assert "$ tunesmith train" in text
    assert "$ tunesmith predict" in text
    assert "(../reference/parameters.md)" in text
    answers = re.findall(r"^\$ tunesmith predict .+\n(.*)$", text, flags=re.MULTILINE)
    assert any(answer.startswith("{") and answer.endswith("}") for answer in answers), "an answer is shown"


# Python that is shown


def python_blocks() -> list[tuple[str, str]]:
    found = []
    for path in EVERY_DOCUMENT:
        blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        found += [(f"{path.name}-{number}", block) for number, block in enumerate(blocks)]
    return found


@pytest.mark.parametrize(("name", "block"), python_blocks())
def test_shown_python_uses_what_is_there(name: str, block: str) -> None:
    compile(block, name, "exec")
    for public in re.findall(r"\bts\.(\w+)", block):
        assert public in tunesmith.__all__


@pytest.mark.parametrize("path", EVERY_DOCUMENT, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


# examples in docstrings


def has_examples(path: Path) -> bool:
    lines = path.read_text(encoding="utf-8").splitlines()
    return any(">>> " in line and "+SKIP" not in line for line in lines)


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if has_examples(path)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_examples_in_docstrings(path: Path) -> None:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
