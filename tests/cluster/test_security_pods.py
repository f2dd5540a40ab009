"""The API server's own Pod Security admission takes every pod that our code and the chart make, and no worse one."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from dev.localcluster.apiserver import ApiServer
from dev.localcluster.tools import binary
from tests.cluster.kubectl import Kubectl
from tests.podtemplates import BREAKS, CHART, ROOT, Pod, all_pods, broken
from tests.unit.test_pod_security import NAMES

SAMPLE = ROOT / "docs/samples/networkpolicy.yaml"


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with ApiServer() as server:
        kubectl = Kubectl(server.kubeconfig)
        labels = {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/enforce-version": "latest",
        }
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict", "labels": labels}}
        kubectl.create(made)
        for name in ("default", "trainer", "prod-modelyard"):
            kubectl.ok("-n", "strict", "create", "serviceaccount", name)
        kubectl.ok("create", "priorityclass", "batch-low", "--value=1")
        runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}}
        kubectl.create({**runtime, "handler": "nvidia"})
        yield kubectl


@functools.cache
def pods() -> dict[str, Pod]:
    return all_pods()


def pod(spec: Pod) -> dict[str, Any]:
    filled: Pod = {
        kind: [{**container, "image": container.get("image") or "x"} for container in spec[kind]]
        for kind in ("initContainers", "containers")
        if kind in spec
    }
    spec = {**spec, **filled}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": "strict"}, "spec": spec}


@pytest.mark.parametrize("name", NAMES)
def test_admitted(kubectl: Kubectl, name: str) -> None:
    kubectl.create(pod(pods()[name]), "--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("name", BREAKS)
def test_a_worse_one_is_refused(kubectl: Kubectl, name: str) -> None:
    worse = pod(broken(pods()["run"], name))
    assert 'violates PodSecurity "restricted:latest"' in kubectl.refused(
        "create", "--dry-run=server", "-f", "-", stdin=worse
    )


def test_network_policies_have_the_right_schema(kubectl: Kubectl) -> None:
    """No more than that: the embedded cluster's network plugin enforces none."""
    kubectl.ok("-n", "strict", "create", "--dry-run=server", "--validate=strict", "-f", str(SAMPLE))
    values = ("--kube-version", "1.34.0", "--set", f"{CHART},networkPolicy.enabled=true", "--show-only")
    command = [str(binary("helm")), "template", "prod", str(ROOT / "charts/modelyard"), "-n", "strict", *values]
    text = subprocess.run([*command, "templates/networkpolicy.yaml"], capture_output=True, text=True, check=True).stdout
    kubectl.create(yaml.safe_load(text), "--dry-run=server", "--validate=strict")
