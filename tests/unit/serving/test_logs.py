"""The log of a process: JSON, whole, and from whoever logs, warns or prints."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith import params
from tunesmith.errors import UsageError
from tunesmith.serving.logs import Logs, told
from tunesmith.serving.options import Options

SPEAKS = """
import logging, sys, warnings
from tunesmith import params
from tunesmith.serving.logs import Logs
from tunesmith.serving.options import Options
logs = Logs(params.check(Options, {"log-level": "info", "log-file": sys.argv[1]}))
logs.start()
logging.getLogger("tunesmith.serving").info("one")
logging.getLogger("tunesmith.serving").debug("left out")
logging.getLogger("uvicorn.error").info("left out")
logging.getLogger("uvicorn.error").error("two")
logging.getLogger("somebody").warning("three %s", "x")
warnings.warn("four")
print("five", file=sys.stderr)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("tunesmith").exception("six")
logs.stop()
print("seven", file=sys.stderr)
"""


def test_everything_that_is_said_is_a_line_of_json(tmp_path):
    file = tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", SPEAKS, str(file)], capture_output=True, text=True, check=True)
    *lines, last = done.stderr.splitlines()
    assert last == "seven"
    assert file.read_text().splitlines() == lines
    found = [json.loads(line) for line in lines]
    assert [one["message"].split()[0] for one in found[:3]] == ["one", "two", "three"]
    assert [one["level"] for one in found[:3]] == ["info", "error", "warning"]
    assert "four" in found[3]["message"]
    assert (found[4]["message"], found[4]["logger"]) == ("five", "tunesmith.printed")
    assert found[5]["error"]["type"] == "ZeroDivisionError"
    assert "1 / 0" in found[5]["error"]["traceback"] or "line" in found[5]["error"]["traceback"]
    assert len(found) == 6


@pytest.mark.parametrize("place", ["/dev/full", "a pipe", "closed"])
def test_whoever_does_not_take_the_log_holds_nobody_up(tmp_path, place):
    file = tmp_path / "log"
    reading, writing = os.pipe()
    output = {
        "/dev/full": lambda: os.open("/dev/full", os.O_WRONLY),
        "a pipe": lambda: writing,
        "closed": lambda: None,
    }[place]()
    words = [
        sys.executable,
        "-c",
        SPEAKS.replace('"one")', '"one" * 100_000)').replace('print("seven", file=sys.stderr)', ""),
        str(file),
    ]
    if output is None:
        words = ["sh", "-c", 'exec "$@" 2>&-', "sh", *words]
    done = subprocess.run(words, stderr=output, timeout=30, check=False)
    os.close(reading)
    assert done.returncode == 0
    assert len(file.read_text().splitlines()) == 6


def test_a_line_tells_fields_beside_its_message_and_survives_what_is_no_json():
    record = logging.LogRecord("a", logging.INFO, "f.py", 1, "said %s", ("it",), None)
    record.fields = {"status": 200, "odd": {1, 2} and Path("x"), "text": "é\n"}
    found = json.loads(told(record))
    assert (found["message"], found["status"], found["odd"], found["text"]) == ("said it", 200, "x", "é\n")
    assert found["time"].endswith("+00:00")
    assert "\n" not in told(record)


def test_a_message_that_cannot_be_told_is_counted(tmp_path):
    logs = Logs(params.check(Options, {"log-file": str(tmp_path / "log")}))
    before = logs.lost
    logs.handle(logging.LogRecord("a", logging.INFO, "f.py", 1, "%d", ("no number",), None))
    assert logs.lost == before + 1


def test_a_file_that_cannot_be_written_is_a_users_mistake(tmp_path):
    with pytest.raises(UsageError, match="--log-file"):
        Logs(params.check(Options, {"log-file": str(tmp_path / "none" / "log")}))
