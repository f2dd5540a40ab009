"""What the chart's values say reaches the pods, and what is left when the chart goes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.localcluster.tools import binary
from modelyard.settings import Settings
from tests.cluster.installed import CHART, VALUES, chart_installed, helm
from tests.cluster.manifests import smallest

PLACEMENT: dict[str, Any] = {
    "priorityClassName": "operators",
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}},
}  # fmt: skip


def rendered(folder: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    """What helm makes of the chart with these values."""
    (folder / "values.yaml").write_text(json.dumps(values))
    words = [
        "template",
        "prod",
        str(CHART),
        "-n",
        "ops",
        "--kube-version=1.34",
        "--set",
        VALUES,
        "-f",
        str(folder / "values.yaml"),
    ]
    done = subprocess.run([str(binary("helm")), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Pod specs by kind of what makes them."""
    made = {obj["kind"]: obj["spec"]["template"]["spec"] for obj in objects if obj["kind"] in ("Deployment", "Job")}
    assert set(made) == {"Deployment", "Job"}
    return made


def test_all_pods_of_the_chart_go_where_the_values_say(tmp_path: Path) -> None:
    values = {"operator": PLACEMENT, "image": {"pullSecrets": ["registry", "mirror"]}}
    for kind, pod in pods(rendered(tmp_path, values)).items():
        assert {name: pod.get(name) for name in PLACEMENT} == PLACEMENT, kind
        assert pod["imagePullSecrets"] == [{"name": "registry"}, {"name": "mirror"}], kind


def test_without_values_nothing_of_it_is_set(tmp_path: Path) -> None:
    for pod in pods(rendered(tmp_path, {})).values():
        assert not {*PLACEMENT, "imagePullSecrets"} & set(pod)


@pytest.mark.parametrize("sts", [{}, {"role": "arn:aws:iam::1:role/modelyard", "endpoint": "https://sts:443"}])
def test_the_token_service_reaches_the_settings(tmp_path: Path, sts: dict[str, str]) -> None:
    (container,) = pods(rendered(tmp_path, {"store": {"sts": sts}}))["Deployment"]["containers"]
    given = {entry["name"]: entry.get("value", "x") for entry in container["env"]}
    settings = Settings.from_environment(given)
    assert (settings.sts_role, settings.sts_endpoint) == (sts.get("role", ""), sts.get("endpoint", ""))


def test_uninstalled() -> None:
    with chart_installed() as installed:
        installed.admin.create(smallest("Dataset", name="rows"), "-n", "default")
        # The hook is a Job, and no pod runs here: its command has tests of its own.
        helm(installed.server, "uninstall", "prod", "--namespace", "ops", "--no-hooks")
        ours = "app.kubernetes.io/instance=prod"
        everything = "deploy,svc,secret,sa,clusterrole,clusterrolebinding,role,rolebinding,validatingadmissionpolicy"
        assert installed.admin.ok("get", everything, "-A", "-l", ours, "-o", "name") == ""
        assert installed.admin.ok("get", "dataset", "rows", "-n", "default", "-o", "name").strip()
