"""The Kubernetes manifests: what one names another has, probes meet routes that need no key, pods may drain."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from deployed import DEPLOY, LONGEST_END_S, parsed, understood
from tunesmith.serving import endpoint
from tunesmith.serving.keys import read

FOLDER = "kubernetes"


def objects() -> dict[str, dict[str, Any]]:
    files = parsed(f"{FOLDER}/kustomization.yaml")[0]["resources"]
    found = [one for file in files for one in parsed(f"{FOLDER}/{file}")]
    return {one["kind"]: one for one in found}


def pod() -> dict[str, Any]:
    found: dict[str, Any] = objects()["Deployment"]["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    found: dict[str, Any] = pod()["containers"][0]
    return found


def test_every_file_is_listed_and_every_kind_is_there() -> None:
    listed = parsed(f"{FOLDER}/kustomization.yaml")[0]["resources"]
    assert sorted([*listed, "kustomization.yaml"]) == sorted(file.name for file in (DEPLOY / FOLDER).iterdir())
    wanted = {"Deployment", "Service", "Secret", "PersistentVolumeClaim", "HorizontalPodAutoscaler", "PodDisruptionBudget"}  # fmt: skip
    assert set(objects()) == wanted


def test_the_server_that_it_starts_is_understood() -> None:
    call = understood(container()["args"])
    assert call.options.host == "0.0.0.0"
    assert call.options.port == container()["ports"][0]["containerPort"]
    mounts = {one["name"]: one for one in container()["volumeMounts"]}
    assert call.folders["model"].startswith(mounts["bundles"]["mountPath"] + "/")
    assert call.options.keys == f"{mounts['keys']['mountPath']}/keys.json"


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_meet_routes_that_need_no_key_and_answer_always(probe: str) -> None:
    asked = container()[probe]["httpGet"]
    assert asked["port"] == container()["ports"][0]["name"]
    (route,) = [one for one in endpoint.every() if one.path == asked["path"]]
    assert (route.method, route.scope, route.always) == ("GET", None, True)
    assert route.path == ("/health" if probe == "livenessProbe" else "/ready")


def test_a_pod_may_drain() -> None:
    pause_s = float(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    drain_s = understood(container()["args"]).options.drain_timeout_s
    assert pod()["terminationGracePeriodSeconds"] >= pause_s + drain_s + LONGEST_END_S


def test_it_is_closed_off_and_bounded() -> None:
    own, whole = container()["securityContext"], pod()["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"]["drop"] == ["ALL"]
    assert whole["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    assert set(container()["resources"]) == {"requests", "limits"}
    cores = next(one["value"] for one in container()["env"] if one["name"] == "OMP_NUM_THREADS")
    assert cores == container()["resources"]["limits"]["cpu"]


def test_what_one_names_another_has() -> None:
    found = objects()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == container()["ports"][0]["name"]
    scaled = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", found["Deployment"]["metadata"]["name"])
    volumes = {one["name"]: one for one in pod()["volumes"]}
    assert volumes["keys"]["secret"]["secretName"] == found["Secret"]["metadata"]["name"]
    assert volumes["bundles"]["persistentVolumeClaim"]["claimName"] == found["PersistentVolumeClaim"]["metadata"]["name"]  # fmt: skip
    assert set(volumes) == {one["name"] for one in container()["volumeMounts"]}
    assert "replicas" not in found["Deployment"]["spec"], "the autoscaler says how many"
    assert found["HorizontalPodAutoscaler"]["spec"]["minReplicas"] > found["PodDisruptionBudget"]["spec"]["minAvailable"]  # fmt: skip


def test_the_keys_in_it_let_nobody_in(tmp_path: Any) -> None:
    held = objects()["Secret"]["stringData"]["keys.json"]
    assert json.loads(held) == {"keys": []}
    (tmp_path / "keys.json").write_text(held)
    assert read(tmp_path / "keys.json") == ()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")
def test_kustomize_makes_all_of_them() -> None:
    done = subprocess.run(["kubectl", "kustomize", DEPLOY / FOLDER], capture_output=True, text=True, check=True)
    assert {one["kind"] for one in yaml.safe_load_all(done.stdout)} == set(objects())
