"""compose.yaml: each server is understood, closed off, and has the time to drain."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deployed import DEPLOY, LONGEST_END_S, ROOT, instructions, parsed, understood
from tunesmith.serving import endpoint

SERVERS = ["slim", "full"]


def compose() -> dict[str, Any]:
    return parsed("compose.yaml")[0]


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_understood_and_its_image_is_there(name: str) -> None:
    service = compose()["services"][name]
    assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
    assert instructions((ROOT / service["build"]["dockerfile"]).name)
    call = understood(service["command"])
    assert list(call.folders) == ["model"]
    assert call.options.keys == f"/run/secrets/{service['secrets'][0]}"
    mounts = {target: source for source, target in (one.split(":")[:2] for one in service["volumes"])}
    assert call.folders["model"].startswith("/bundles/")
    assert "/bundles" in mounts
    log = re.fullmatch(r"sqlite:///(/predictions)/.*", call.options.prediction_log or "")
    assert log
    assert log[1] in mounts
    assert service["ports"] == [f"127.0.0.1:8000:{call.options.port}"]


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_closed_off_and_may_drain(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    drain_s = understood(service["command"]).options.drain_timeout_s
    assert int(service["stop_grace_period"].removesuffix("s")) >= drain_s + LONGEST_END_S


def test_what_is_named_is_declared() -> None:
    found = compose()
    for service in found["services"].values():
        assert set(service.get("secrets", ())) <= set(found["secrets"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source.startswith("./") or source in found["volumes"]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for secret in found["secrets"].values():
        assert f"deploy/{secret['file'].removeprefix('./')}" in ignored


def test_only_the_slim_server_starts_unasked() -> None:
    services = compose()["services"]
    assert [name for name, service in services.items() if "profiles" not in service] == ["slim"]
    assert services["prometheus"]["profiles"] == ["monitoring"]


def test_prometheus_asks_the_server_as_the_key_allows() -> None:
    (scrape,) = parsed("prometheus.yaml")[0]["scrape_configs"]
    services = compose()["services"]
    host, port = scrape["static_configs"][0]["targets"][0].split(":")
    assert services[host]["ports"][0].endswith(f":{port}")
    assert scrape["authorization"]["credentials_file"] == f"/run/secrets/{services['prometheus']['secrets'][0]}"
    mounted = services["prometheus"]["volumes"][0].split(":")[0]
    assert (DEPLOY / mounted).is_file()
    paths = {one.path: one.scope for one in endpoint.every()}
    assert paths.get(scrape["metrics_path"], "metrics") == "metrics"
