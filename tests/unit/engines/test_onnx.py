"""The ONNX engine answers where there is no PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tunesmith
from tunesmith import exporting
from tunesmith.train.run import Run

WITHOUT = """
import sys

class NoTorch:
    def find_spec(self, name, *args):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTorch())
from tunesmith.cli import main
code = main(sys.argv[1:])
loaded = [name for name in ("torch", "transformers", "peft", "accelerate", "sklearn", "matplotlib") if name in sys.modules]
print(code, loaded)
"""


@pytest.mark.parametrize("kind", ["binary", "alike", "questions", "chain", "marked", "triples"])
def test_it_needs_no_pytorch(run: Callable[..., Run], kind: str, tmp_path: Path) -> None:
    folder = run(kind, count=80, **{"train.max_steps": 2}).folder
    exporting.export(folder, "onnx", tmp_path / "out")
    text = {"questions": '{"question": "the food thing", "context": "they saw the soup"}'}
    text |= {"marked": "<e1>soup</e1> was with <e2>coin</e2>"}
    words = ["predict", str(tmp_path / "out"), text.get(kind, "the film was fine")]
    environment = {**os.environ, "PYTHONPATH": str(Path(tunesmith.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT, *words],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 []"
    assert done.stdout.startswith("{")
    assert not done.stderr
