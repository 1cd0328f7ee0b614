"""The command `tunesmith models`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tiny import write_tiny
from tunesmith import sources
from tunesmith.commands.models import Arguments, main
from tunesmith.errors import SourceError, UsageError


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")


def test_table_names_every_alias(capsys: pytest.CaptureFixture[str]) -> None:
    main(Arguments())
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "kind", "parameters", "download", "licence", "languages", "cached"]
    assert rows[0].split() == ["all-MiniLM-L6-v2", "encoder", "22.7M", "83.5", "MB", "Apache-2.0", "en", "no"]
    assert len(rows) == len(sources.aliases())


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(Arguments(json=True))
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [alias.name for alias in sources.aliases()]
    assert not any(row["cached"] for row in rows)


def test_pull_says_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_tiny(tmp_path / "model")
    main(Arguments(action="pull", name=str(folder)))
    assert capsys.readouterr().out.strip().endswith(str(folder))
    main(Arguments(action="pull", name=str(folder), json=True))
    assert json.loads(capsys.readouterr().out)["path"] == str(folder)


def test_pull_mistakes() -> None:
    with pytest.raises(UsageError, match=r"which model[^$]*all-MiniLM-L6-v2"):
        main(Arguments(action="pull"))
    with pytest.raises(SourceError, match="did you mean 'all-MiniLM-L6-v2'"):
        main(Arguments(action="pull", name="all-MiniLM-L6"))


def test_listing_loads_no_heavy_library() -> None:
    script = (
        "import sys; from tunesmith.commands.models import Arguments, main; main(Arguments()); "
        "print(sorted({'torch', 'transformers', 'numpy', 'pyarrow', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
