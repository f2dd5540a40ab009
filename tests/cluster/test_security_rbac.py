"""Every permission of the operator is used in a life that a real API server sees, and none is missing.

The audit log says what the operator's account asked for. Beside a real API server, a real controller manager and a real
store stand no nodes: the test publishes what pods would publish.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from dev.localcluster.children import free_port
from dev.localcluster.minio import MinioServer
from dev.localcluster.waiting import wait_until
from modelyard import names
from modelyard.api.dataset import DatasetSpec
from modelyard.engine.kube import RESOURCES, Kube
from modelyard.resources.dataset.prepare_job import job_name
from modelyard.storage.store import Store
from tests.cluster import audit
from tests.cluster.harness import OperatorHarness, fill_base, prepare, succeed
from tests.cluster.installed import ACCOUNT, Installed, chart_installed
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import operator_process

NAMESPACE = "team-a"
BUCKET = "modelyard"
KSERVE = {
    "InferenceService": ("v1beta1", "Namespaced"),
    "ClusterServingRuntime": ("v1alpha1", "Cluster"),
    "ClusterStorageContainer": ("v1alpha1", "Cluster"),
}
TOGGLES: list[tuple[str, str, tuple[dict[str, Any], ...]]] = [
    ("FineTuneJob", "held", ({"checkpoint": {"keep": 3}}, {"checkpoint": {"keep": 2}})),
    ("Dataset", "taken", ({"resources": {"cpu": 2}}, {"resources": {"cpu": 1}})),
    ("ModelVersion", "reviews-2", ({"deletionPolicy": "delete"}, {"deletionPolicy": "retain"})),
    ("ModelDeployment", "second", ({"serve": {"replicas": {"min": 2}}}, {"serve": {"replicas": {"min": 1}}})),
    ("TrainingProfile", "default", ({"retries": 4}, {"retries": 3})),
    ("ServingProfile", "default", ({"pod": {"sharedMemory": "1Gi"}}, {"pod": {"sharedMemory": "2Gi"}})),
]
FILES = {"model.onnx": "x", "model.safetensors": "x", "tokenizer.json": "{}", "config.json": "{}"}


@pytest.fixture(scope="module")
def minio() -> Iterator[MinioServer]:
    with MinioServer() as server:
        yield server


@pytest.fixture(scope="module")
def harness(minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorHarness]:
    folder = tmp_path_factory.mktemp("operator")
    store = Store.connect(minio.url, minio.access_key, minio.secret_key)
    fill_base(store, "team-a")
    port = free_port()
    settings = {
        "MODELYARD_STORE_ENDPOINT": minio.url,
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
        "MODELYARD_ENDPOINT_PORT": str(port),
        "MODELYARD_LEASE_SECONDS": "5",
    }
    with chart_installed(audit=True, controller_manager=True) as installed:
        installed.admin.ok("create", "namespace", NAMESPACE)
        with operator_process(installed.operator.kubeconfig, "ops", folder / "first", settings) as first:
            wait_until(first.ready, "operator", 60)
        with operator_process(installed.operator.kubeconfig, "ops", folder / "second", settings) as second:
            wait_until(second.ready, "operator with Lease, CA and profile of the first", 60)
            found = OperatorHarness(installed, second, port, store, folder)
            live(found)
        release(installed)
        yield found


def live(harness: OperatorHarness) -> None:
    """The whole life, in the order of a model's."""
    offer_by_label(harness)
    prepare(harness)
    train(harness)
    write_in_place(harness)
    serve(harness, "reviews", "deployment")
    ask_why_no_pod_comes(harness)
    wait_in_a_queue(harness)
    bring_kserve(harness)
    serve(harness, "second", "inferenceservice")
    meet_foreign_children(harness)
    suspend(harness)
    post_to_the_endpoint(harness)
    asyncio.run(write_at_the_same_time(harness))


def offer_by_label(harness: OperatorHarness) -> None:
    harness.kube("label", "namespace", NAMESPACE, "team=a")
    harness.patch("trainingprofile", "default", {"namespaces": {"matchLabels": {"team": "a"}}})
    harness.create(smallest("ServingProfile", name="default", namespaces={"matchLabels": {"team": "a"}}))


def train(harness: OperatorHarness) -> None:
    """Two runs; the Job of the first is made again for other resources before a pod ran."""
    harness.create(smallest("FineTuneJob", dataset={"ref": "rows"}))
    harness.until("the Job", lambda: bool(harness.children("job", "reviews")))
    before = uids(harness, "job", "reviews")
    harness.patch("finetunejob", "reviews", {"resources": {"cpu": 1}})
    harness.until(
        "another Job", lambda: bool(uids(harness, "job", "reviews")) and not before & uids(harness, "job", "reviews")
    )
    succeed(harness, "reviews", 1)
    harness.kube("patch", "mv", "reviews-1", "--type=merge", "-p", '{"spec": {"deletionPolicy": "delete"}}')
    harness.until("the finalizer", lambda: names.FINALIZER_ARTIFACTS in str(harness.get("mv", "reviews-1")["metadata"]))
    harness.patch("finetunejob", "reviews", {"attempt": 2})
    succeed(harness, "reviews", 2)


def uids(harness: OperatorHarness, kind: str, owner: str) -> set[str]:
    wanted = harness.children(kind, owner)
    return {obj["metadata"]["uid"] for obj in harness.listed(kind) if obj["metadata"]["name"] in wanted}


def write_in_place(harness: OperatorHarness) -> None:
    """An inline Dataset is made, mended, and goes when it is wanted no more."""
    inline: dict[str, Any] = {"task": "text-classification", "source": {"inline": [{"text": "good", "label": "yes"}]}}
    job = smallest("FineTuneJob", name="inline")
    job["spec"]["dataset"] = {"inline": inline}
    harness.create(job)
    harness.until("the Dataset", lambda: bool(harness.children("dataset", "inline")))
    (name,) = harness.children("dataset", "inline")
    harness.patch("dataset", name, {"revision": 2})
    harness.until("the Dataset as it was", lambda: harness.get("dataset", name)["spec"]["revision"] == 1)
    harness.patch("finetunejob", "inline", {"dataset": {"inline": {"revision": 3}}})
    harness.until("another Dataset", lambda: replaced(harness, "dataset", "inline", name))


def replaced(harness: OperatorHarness, kind: str, owner: str, old: str) -> bool:
    now = harness.children(kind, owner)
    return bool(now) and old not in now


def serve(harness: OperatorHarness, name: str, kind: str) -> None:
    """A server is made, scaled as autoscalers do it, mended when somebody changes it, and goes with another version."""
    made = smallest("ModelDeployment", name=name)
    made["spec"]["model"] = {"name": "reviews", "version": 1}
    harness.create(made)
    harness.until(f"{kind} of {name}", lambda: bool(harness.children(kind, name)))
    (server,) = harness.children(kind, name)
    harness.kube("scale", f"modeldeployment/{name}", "--replicas=3")
    harness.until("three pods", lambda: "eplicas': 3" in str(harness.get(kind, server).get("spec")))
    change = {"replicas": 7} if kind == "deployment" else {"predictor": {"minReplicas": 7}}
    harness.patch(kind, server, change)
    harness.until("the server as it was", lambda: "eplicas': 3" in str(harness.get(kind, server).get("spec")))
    mend_service(harness, name)
    harness.patch("modeldeployment", name, {"model": {"version": 2}})
    harness.until("another server", lambda: replaced(harness, kind, name, server), 90)


def mend_service(harness: OperatorHarness, owner: str) -> None:
    services = harness.children("service", owner)
    if not services:  # KServe makes its own
        return
    harness.patch("service", services[0], {"selector": {names.LABEL_VERSION: "666"}})
    harness.until("the Service as it was", lambda: "666" not in str(harness.get("service", services[0]).get("spec")))


def ask_why_no_pod_comes(harness: OperatorHarness) -> None:
    """A quota that admits no pod: the reason stands in events alone."""
    harness.kube("create", "quota", "none", "--hard=pods=0")
    harness.create(smallest("Dataset", name="refused"))
    harness.until("the events", lambda: audit.Permission("", "events", "list") in harness.used())
    harness.kube("delete", "quota", "none")
    wait_for_room(harness)


def wait_for_room(harness: OperatorHarness) -> None:
    """A scheduler that finds no node: how much is free, only the nodes tell."""
    harness.create(smallest("Dataset", name="crowded"))
    harness.until("the pod", lambda: bool(harness.children("pod", "crowded")))
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    status = {"conditions": [{**told, "message": "0/1 nodes are available: 1 Insufficient cpu."}]}
    (pod,) = harness.children("pod", "crowded")
    harness.kube("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    harness.until("the nodes", lambda: audit.Permission("", "nodes", "list") in harness.used())


def wait_in_a_queue(harness: OperatorHarness) -> None:
    """Why Kueue holds a Job stands in Kueue's own objects alone."""
    queued = smallest("Dataset", name="queued")
    queued["metadata"]["labels"] = {names.LABEL_QUEUE: "team"}
    harness.create(queued)
    harness.until("Kueue's objects", lambda: audit.Permission("kueue.x-k8s.io", "workloads", "list") in harness.used())


def bring_kserve(harness: OperatorHarness) -> None:
    """KServe's kinds appear; what the operator offers is mended, and an older offer goes."""
    for kind, (version, scope) in KSERVE.items():
        harness.create(definition(kind, version, scope))
    for kind in ("clusterservingruntime", "clusterstoragecontainer"):
        harness.until(kind, lambda kind=kind: bool(harness.listed(kind)))  # type: ignore[misc]
        (offer,) = harness.listed(kind)
        meta = {"name": "older", "labels": offer["metadata"]["labels"]}
        harness.create({**offer, "metadata": meta})
        harness.kube("patch", kind, offer["metadata"]["name"], "--type=merge", "-p", '{"spec": null}')
        harness.until(f"{kind} as it was", lambda kind=kind: is_mended(harness, kind))  # type: ignore[misc]


def is_mended(harness: OperatorHarness, kind: str) -> bool:
    return [bool(offer.get("spec")) for offer in harness.listed(kind)] == [True]


def definition(kind: str, version: str, scope: str) -> dict[str, Any]:
    """The least definition of a kind of KServe."""
    plural = f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.serving.kserve.io"},
        "spec": {
            "group": "serving.kserve.io",
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [served],
        },
    }


def meet_foreign_children(harness: OperatorHarness) -> None:
    """Somebody else's objects in the place of children: looked at, never taken over."""
    wanted = smallest("Dataset", name="taken")
    obj = {**wanted, "metadata": {"name": "taken", "namespace": NAMESPACE}}
    name = job_name(obj, DatasetSpec.model_validate(wanted["spec"]))
    harness.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"mine": "yes"}})
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": pod}}}
    harness.create(job)
    harness.create(wanted)
    harness.until(
        "the refusal", lambda: "belongs to something else" in str(harness.get("dataset", "taken").get("status"))
    )
    assert harness.get("configmap", name)["data"] == {"mine": "yes"}


def suspend(harness: OperatorHarness) -> None:
    harness.create(smallest("FineTuneJob", name="held", dataset={"ref": "rows"}))
    harness.until("the Job", lambda: bool(harness.children("job", "held")))
    harness.patch("ftj", "held", {"suspend": True})
    (job,) = harness.children("job", "held")
    harness.until("its suspension", lambda: harness.get("job", job)["spec"]["suspend"] is True)


async def write_at_the_same_time(harness: OperatorHarness) -> None:
    """Users write while the operator does: a refused write is followed by a look at what there is now."""
    kube = await Kube.connect(str(harness.installed.server.kubeconfig))
    try:
        for kind, name, specs in TOGGLES:
            await toggle(harness, kube, kind, name, specs)
    finally:
        await kube.close()


async def toggle(harness: OperatorHarness, kube: Kube, kind: str, name: str, specs: tuple[dict[str, Any], ...]) -> None:
    resource = RESOURCES[kind]
    needed = audit.Permission(resource.group, resource.plural, "get")
    namespace = NAMESPACE if resource.namespaced else ""
    for _ in range(60):
        for spec in specs * 20:
            await kube.patch(kind, namespace, name, {"spec": spec})
        if needed in harness.used():
            return
    raise AssertionError(f"no write of the operator to {kind} met one of ours")


def post_to_the_endpoint(harness: OperatorHarness) -> None:
    pool = urllib3.HTTPSConnectionPool("127.0.0.1", harness.endpoint, cert_reqs="CERT_NONE", retries=False)
    path = f"/v1/namespaces/{NAMESPACE}/jobs/{harness.children('job', 'held')[0]}/progress"
    answer = pool.request("POST", path, body=b"{}", headers={"Authorization": "Bearer a.b.c"})
    assert answer.status == 401


def release(installed: Installed) -> None:
    """The hook before uninstallation."""
    command = [
        sys.executable,
        "-m",
        "modelyard",
        "release-finalizers",
        "--namespace=ops",
        "--deployment=prod-modelyard",
    ]
    environment = {**os.environ, "KUBECONFIG": str(installed.operator.kubeconfig)}
    subprocess.run(command, env=environment, check=True, capture_output=True)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_no_rule_is_unused(harness: OperatorHarness) -> None:
    roles = [
        json.loads(harness.installed.admin.ok("-n", "ops", "get", kind, "prod-modelyard", "-o", "json"))
        for kind in ("clusterrole", "role")
    ]
    unused = sorted(str(permission) for permission in audit.granted(roles) - harness.used())
    assert not unused, f"rbac.py grants what nothing uses: {', '.join(unused)}"


def test_nothing_was_forbidden(harness: OperatorHarness) -> None:
    assert audit.forbidden(harness.installed.server.audit_log, ACCOUNT) == []
