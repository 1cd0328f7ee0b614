"""The systemd unit: it starts what is understood, may drain, and is closed off."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployed import DEPLOY, LONGEST_END_S, understood

UNIT = DEPLOY / "tunesmith.service"


def section(name: str) -> configparser.SectionProxy:
    reader = configparser.ConfigParser(interpolation=None, strict=True)
    reader.optionxform = str  # type: ignore[assignment,method-assign]
    reader.read_string(UNIT.read_text(encoding="utf-8"))
    return reader[name]


def test_the_server_that_it_starts_is_understood() -> None:
    program, *words = shlex.split(section("Service")["ExecStart"])
    assert program == "/opt/tunesmith/bin/tunesmith"
    options = understood(words).options
    assert options.host == "127.0.0.1"
    held, _, kept = section("Service")["LoadCredential"].partition(":")
    assert options.keys == f"${{CREDENTIALS_DIRECTORY}}/{held}"
    assert kept.startswith("/etc/")
    assert options.prediction_log == f"sqlite:////var/lib/{section('Service')['StateDirectory']}/log.db"
    assert float(section("Service")["TimeoutStopSec"]) >= options.drain_timeout_s + LONGEST_END_S


def test_it_comes_back_and_is_closed_off() -> None:
    service = section("Service")
    assert service["Restart"] == "on-failure"
    on = ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces")
    assert {service[name] for name in on} == {"yes"}
    assert service["ProtectSystem"] == "strict"
    assert section("Install")["WantedBy"] == "multi-user.target"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_has_nothing_to_say_against_it(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("/opt/tunesmith/bin/tunesmith serve", f"{sys.executable} serve")
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / UNIT.name], capture_output=True, text=True)
    assert (done.returncode, done.stderr + done.stdout) == (0, "")
