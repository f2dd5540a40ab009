"""KServe's API comes and goes on a real API server, with the permissions that the chart gives the operator."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dev.localcluster.kserve_standin import controller
from dev.localcluster.kserve_standin.api import Api
from dev.localcluster.kserve_standin.crds import definitions
from dev.localcluster.minio import MinioServer
from dev.localcluster.waiting import wait_until
from modelyard.api import layout
from modelyard.storage.claims import claim_number
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from tests.cluster.installed import ACCOUNT, GROUPS, chart_installed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import REMOVE, smallest
from tests.cluster.operator_process import operator_process
from tests.served import number_in

KINDS = ("clusterservingruntimes", "clusterstoragecontainers")
OURS = "modelyard.dev/installation=ops"


DEAD_WEBHOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "MutatingWebhookConfiguration",
    "metadata": {"name": "inferenceservices"},
    "webhooks": [
        {
            "name": "inferenceservice.kserve-webhook-server.defaulter",
            "clientConfig": {"url": "https://127.0.0.1:1/mutate"},
            "rules": [
                {
                    "apiGroups": ["serving.kserve.io"],
                    "apiVersions": ["v1beta1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["inferenceservices"],
                }
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
    ],
}
"""As KServe's are while its only pod is away."""


def offered(admin: Kubectl, kind: str) -> list[str]:
    """Names of what is offered; none while the kind is not served."""
    done = admin.run("get", kind, "-l", OURS, "-o", "name")
    return done.stdout.split()


def of_an_older_release(kind: str) -> dict[str, Any]:
    """Ours, under another name, and nothing refers to it."""
    labels = {"app.kubernetes.io/managed-by": "modelyard", "modelyard.dev/installation": "ops"}
    meta = {"name": "modelyard-old", "labels": labels}
    return {"apiVersion": "serving.kserve.io/v1alpha1", "kind": kind, "metadata": meta, "spec": {}}


def test_what_is_offered_follows_the_api(tmp_path: Path) -> None:
    crds = {"apiVersion": "v1", "kind": "List", "items": definitions()}
    with (
        chart_installed() as found,
        operator_process(found.server.kubeconfig_for(ACCOUNT, GROUPS), "ops", tmp_path / "log") as operator,
    ):
        wait_until(operator.ready, f"operator (log {operator.log})", 60)
        found.admin.ok("apply", "-f", "-", stdin=crds)
        for kind in KINDS:
            wait_until(lambda kind=kind: len(offered(found.admin, kind)) == 1, kind, 30)  # type: ignore[misc]
        (runtime,) = offered(found.admin, KINDS[0])
        found.admin.ok("delete", runtime)
        wait_until(lambda: offered(found.admin, KINDS[0]) == [runtime], "the runtime that was deleted by hand", 30)
        found.admin.ok("label", runtime, f"{OURS.split('=')[0]}=other", "--overwrite")
        wait_until(lambda: offered(found.admin, KINDS[0]) == [runtime], "the runtime's label", 30)
        for crd, kind in zip(definitions()[1:], KINDS, strict=True):
            found.admin.ok("create", "-f", "-", stdin=of_an_older_release(crd["spec"]["names"]["kind"]))
            wait_until(lambda kind=kind: len(offered(found.admin, kind)) == 1, "the old one to go", 30)  # type: ignore[misc]
        found.admin.ok("delete", "crd", *(crd["metadata"]["name"] for crd in definitions()), "--timeout=30s")
        wait_until(lambda: "not served any more" in operator.log.read_text(), "the operator's word", 30)
        found.admin.ok("apply", "-f", "-", stdin=crds)
        for kind in KINDS:
            wait_until(lambda kind=kind: len(offered(found.admin, kind)) == 1, kind, 30)  # type: ignore[misc]
        assert operator.alive() and operator.ready()
        assert "forbidden" not in operator.log.read_text().lower()


def test_a_pod_that_is_called_ready_gets_no_traffic_until_it_answered(tmp_path: Path) -> None:
    """Operator, stand-in, store and Deployment controller are real; there is no kubelet, so we call pods ready."""
    with (
        MinioServer() as minio,
        chart_installed(controller_manager=True) as found,
        standin(found.server.kubeconfig, found.admin),
        operator_process(
            found.server.kubeconfig_for(ACCOUNT, GROUPS), "ops", tmp_path / "log", settings(minio)
        ) as operator,
    ):
        pinned = smallest("ModelDeployment", **{"model.follow": REMOVE, "model.version": 1})
        found.admin.create(published_version(minio, tmp_path), "-n", "default")
        wait_until(operator.ready, f"operator (log {operator.log})", 60)
        found.admin.ok("apply", "-f", "-", stdin=DEAD_WEBHOOK)
        found.admin.create(pinned, "-n", "default")
        wait_until(lambda: "KServeSilent" in told(found.admin), "KServe to be named", 30)
        assert "kserve-controller-manager" in told(found.admin) and not services(found.admin)
        found.admin.ok("delete", "mutatingwebhookconfiguration", "inferenceservices")
        wait_until(lambda: bool(pods(found.admin)), "pods of the version", 60)
        assert "storage-initializer" in json.dumps(pods(found.admin))
        call_ready(found.admin)
        wait_until(lambda: "Ready=True" in services(found.admin), "Ready as KServe says it", 30)
        wait_until(lambda: "is available and is asked soon" in told(found.admin), "the trial", 30)
        assert number_in({"status": status(found.admin)}) is None and status(found.admin)["backend"] == "kserve"
        assert found.admin.run("-n", "default", "get", "service", "reviews").returncode
        found.admin.ok("-n", "default", "delete", "inferenceservices", "reviews-v1")
        wait_until(lambda: "reviews-v1" in services(found.admin), "the InferenceService that was deleted", 30)
        assert "forbidden" not in operator.log.read_text().lower()


@contextmanager
def standin(kubeconfig: Path, admin: Kubectl) -> Iterator[None]:
    """The stand-in's CRDs and its controller in a thread."""
    admin.ok("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": definitions()})
    admin.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    api, done, ended = Api(kubeconfig), dict[str, Any](), threading.Event()

    def play() -> None:
        while not ended.wait(0.3):
            with suppress(OSError):
                controller.look(api, done)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def published_version(minio: MinioServer, folder: Path) -> dict[str, Any]:
    """A version in the store, its number claimed, and the object that speaks of it."""
    store = Store.connect(minio.url, minio.access_key, minio.secret_key)
    store.ensure_bucket("modelyard")
    prefix = layout.version_prefix(layout.run_prefix("default", "reviews", "r1"))
    version = folder / "version"
    version.mkdir()
    (version / "model.onnx").write_bytes(b"model")
    manifest, digest = publish(store, "modelyard", prefix, version, "model", {"sample": {"text": "so good"}})
    assert claim_number(store, "modelyard", "default", "reviews", "r1") == 1
    fields = {"number": 1, "digest": digest, "uri": f"s3://modelyard/{prefix}", "lineage.trained.run": "r1"}
    size = sum(entry.size for entry in manifest.files)
    return smallest("ModelVersion", name="reviews-1", size=size, **fields)


def settings(minio: MinioServer) -> dict[str, str]:
    return {
        "MODELYARD_STORE_ENDPOINT": minio.url,
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
    }


def pods(admin: Kubectl) -> list[dict[str, Any]]:
    return list(json.loads(admin.ok("-n", "default", "get", "pods", "-o", "json"))["items"])


def call_ready(admin: Kubectl) -> None:
    """What a kubelet would say of a pod whose server answers its readiness probe."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    patch = json.dumps({"status": {"phase": "Running", "conditions": [ready]}})
    for pod in pods(admin):
        name = pod["metadata"]["name"]
        admin.ok("-n", "default", "patch", "pod", name, "--subresource=status", "--type=merge", "-p", patch)


def services(admin: Kubectl) -> str:
    path = "{range .items[*]}{.metadata.name} {range .status.conditions[*]}{.type}={.status} {end}{end}"
    return admin.ok("-n", "default", "get", "inferenceservices", "-o", f"jsonpath={path}")


def status(admin: Kubectl) -> dict[str, Any]:
    found = json.loads(admin.ok("-n", "default", "get", "modeldeployment", "reviews", "-o", "json"))
    return dict(found.get("status", {}))


def told(admin: Kubectl) -> str:
    return json.dumps(status(admin).get("conditions", []))
