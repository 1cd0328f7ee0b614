"""A folder is a registry, and so is a module of functions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith import plugins
from tunesmith.errors import UsageError

ROOT = Path(plugins.__file__).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT.parent)}


@pytest.mark.parametrize("kind", ["tasks", "adapters", "engines", "commands"])
def test_every_file_of_a_folder_is_a_plugin(kind: str) -> None:
    files = {path.stem for path in (ROOT / kind).glob("*.py")} - {"__init__", "base"}
    assert plugins.names(kind) == tuple(sorted(name.replace("_", "-") for name in files))


@pytest.mark.parametrize("kind", ["tasks", "adapters", "engines"])
def test_plugins_of_a_folder_are_classes(kind: str) -> None:
    for name in plugins.names(kind):
        found = plugins.load(kind, name)
        assert found.__name__ == plugins.singular(kind).capitalize()
        assert found.__module__ == f"tunesmith.{kind}.{name.replace('-', '_')}"


@pytest.mark.parametrize("kind", ["train.optimizers", "train.schedules", "data.formats"])
def test_plugins_of_a_module_are_its_public_functions(kind: str) -> None:
    assert plugins.names(kind)
    for name in plugins.names(kind):
        found = plugins.load(kind, name)
        assert found.__name__ == name.replace("-", "_")
        assert found is getattr(plugins.module(kind, name), found.__name__)


@pytest.mark.parametrize("kind", ["tasks", "adapters", "engines", "commands", "train.optimizers", "train.schedules"])
def test_every_plugin_has_a_summary(kind: str) -> None:
    for name in plugins.names(kind):
        assert plugins.summary(kind, name).endswith((".", ":", "kept on disk.")), name


def test_summary_is_the_first_line_of_the_documentation() -> None:
    assert (
        plugins.summary("train.schedules", "inverse-sqrt")
        == plugins.load("train.schedules", "inverse-sqrt").__doc__.splitlines()[0].strip()
    )
    assert plugins.summary("adapters", "full") == plugins.module("adapters", "full").__doc__


def test_unknown_plugin_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown optimizer 'adamww'\n    did you mean 'adamw'") as caught:
        plugins.load("train.optimizers", "adamww")
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="unknown task 'text_classification'\n    did you mean 'text-classification'"):
        plugins.module("tasks", "text_classification")


def test_a_new_function_is_there_without_reloading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_ROOT", tmp_path)
    module = tmp_path / "ways.py"
    module.write_text('def one_way():\n    """First."""\n\n\ndef _hidden():\n    pass\n')
    assert plugins.names("ways") == ("one-way",)
    module.write_text(module.read_text() + '\n\ndef other():\n    """Second.\n\n    More.\n    """\n')
    assert plugins.names("ways") == ("one-way", "other")
    assert plugins.summary("ways", "other") == "Second."
    assert plugins.singular("train.ways") == "way"


def test_names_and_summaries_import_nothing() -> None:
    code = (
        "import sys; from tunesmith import plugins; before = set(sys.modules);"
        "[plugins.summary(k, n) for k in ('tasks', 'train.optimizers', 'engines') for n in plugins.names(k)];"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.strip() == "[]"
