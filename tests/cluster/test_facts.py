"""Facts that the API server answers, asked as the operator asks them; Kueue's kind is a stand-in of a few lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dev.localcluster.apiserver import ApiServer
from modelyard.engine.facts.capacity import capacity
from modelyard.engine.facts.queue import queue_word
from modelyard.engine.facts.refused import refused_pod
from modelyard.engine.kube import Kube
from tests.cluster.kubectl import Kubectl

ABOUT = {"namespace": "default", "uid": "5a-uid"}


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
async def kube(server: ApiServer) -> Any:
    kube = await Kube.connect(str(server.kubeconfig))
    yield kube
    await kube.close()


def refusal(name: str, minute: int, message: str, uid: str = "5a-uid", reason: str = "FailedCreate") -> dict[str, Any]:
    about = {"apiVersion": "batch/v1", "kind": "Job", "namespace": "default", "name": "run", "uid": uid}
    at = f"2026-11-22T10:{minute:02d}:00Z"
    return {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": "default"}, "type": "Warning",
        "involvedObject": about, "reason": reason, "message": message, "firstTimestamp": at, "lastTimestamp": at,
    }  # fmt: skip


async def test_the_last_refusal_of_a_pod(server: ApiServer, kube: Kube) -> None:
    ask = refused_pod(kube)
    assert await ask(ABOUT) is None
    kubectl = Kubectl(server.kubeconfig)
    for event in (
        refusal("old", 1, "exceeded quota"),
        refusal("new", 2, "maximum memory"),
        refusal("of-another", 3, "not ours", uid="6b-uid"),
        refusal("no-refusal", 4, "made a pod", reason="SuccessfulCreate"),
    ):
        kubectl.create(event)
    assert await ask(ABOUT) == {"at": "2026-11-22T10:02:00Z", "message": "maximum memory"}


async def test_what_nodes_have_and_how_much_is_free(server: ApiServer, kube: Kube) -> None:
    kubectl = Kubectl(server.kubeconfig)
    kubectl.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    for name, cores in (("small", "2"), ("large", "3500m"), ("closed", "64")):
        kubectl.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        tell(kubectl, "node", name, {"allocatable": {"cpu": cores, "memory": "4Gi"}})
    kubectl.ok("cordon", "closed")
    for name, node, phase in (("runs", "large", "Running"), ("waits", "large", "Pending"), ("done", "small", "Failed")):
        request = {"requests": {"cpu": "1500m", "memory": "1Gi"}}
        spec = {"nodeName": node, "containers": [{"name": "x", "image": "x", "resources": request}]}
        kubectl.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        tell(kubectl, "pod", name, {"phase": phase})
    found = await capacity(kube)({})
    assert found["cpu"] == {"most": 3.5, "free": 2.0}, "0.5 are free on the large node, 2 on the small one"
    assert found["memory"] == {"most": 4.0 * (1 << 30), "free": 4.0 * (1 << 30)}


def tell(kubectl: Kubectl, kind: str, name: str, status: dict[str, Any]) -> None:
    """What a kubelet writes."""
    kubectl.ok("patch", kind, name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


@pytest.mark.parametrize("version", ["v1beta1", "v1beta2"])
async def test_what_kueue_says(server: ApiServer, kube: Kube, version: str) -> None:
    ask = queue_word(kube)
    assert await ask(ABOUT) is None
    kubectl = Kubectl(server.kubeconfig)
    kubectl.create(workloads(version))
    try:
        kubectl.ok("wait", "--for=condition=Established", "crd/workloads.kueue.x-k8s.io", "--timeout=30s")
        assert await ask(ABOUT) is None
        kubectl.ok("create", "-f", "-", stdin=workload(version))
        assert await ask(ABOUT) == "insufficient unused quota for cpu in flavor default, 1 more needed"
        assert await ask({**ABOUT, "uid": "6b-uid"}) is None
    finally:
        kubectl.ok("delete", "crd", "workloads.kueue.x-k8s.io", "--wait")


def workload(version: str) -> dict[str, Any]:
    message = "insufficient unused quota for cpu in flavor default, 1 more needed"
    labels = {"kueue.x-k8s.io/job-uid": "5a-uid"}
    return {
        "apiVersion": f"kueue.x-k8s.io/{version}", "kind": "Workload",
        "metadata": {"name": "job-run", "namespace": "default", "labels": labels},
        "status": {"conditions": [{"type": "QuotaReserved", "status": "False", "message": message}]},
    }  # fmt: skip


def workloads(version: str) -> dict[str, Any]:
    """A kind of that name that takes anything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "workloads", "singular": "workload", "kind": "Workload", "listKind": "WorkloadList"}
    spec = {"group": "kueue.x-k8s.io", "scope": "Namespaced", "names": names, "versions": [served]}
    meta = {"name": "workloads.kueue.x-k8s.io"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta, "spec": spec
    }  # fmt: skip
