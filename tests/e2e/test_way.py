"""What stands between pods and where they have to go: a certificate of an own authority, packets that are dropped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.localcluster.pki import Authority, Subject
from examples.demo import install
from examples.demo.cluster import Cluster, image_references
from modelyard.api.store import StoreConnection
from modelyard.storage.store import Store
from tests.e2e.conftest import ENDPOINT
from tests.e2e.harness import ClusterHarness, Manifest, dataset, deployment, tiny_rows
from tests.served import number_in

FRONT = Path(__file__).with_name("front.py")
CLUSTER_DOMAIN = "cluster.local"
KEY = {"AWS_ACCESS_KEY_ID": "outside", "AWS_SECRET_ACCESS_KEY": "outside-secret"}


def pod_and_service(name: str, container: Manifest, ports: list[Manifest], *volumes: Manifest) -> list[Manifest]:
    """A pod under `restricted`, and the Service of its name."""
    spec = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": list(volumes),
    }
    meta = {"name": name, "labels": {"app": name}}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": name}, "ports": ports}},
    ]


def secure_store(harness: ClusterHarness, folder: Path, image: str) -> str:
    """A MinIO whose certificate is signed by `folder`/ca.crt; gives its address inside the cluster."""
    host = f"outside.{harness.namespace}.svc"
    authority = Authority(folder)
    authority.ensure()
    certificate, key = authority.issue("store", Subject("store", names=(f"DNS:{host}", "IP:127.0.0.1")))
    pair = {"public.crt": certificate.read_text(), "private.key": key.read_text()}
    install.make_secret(harness.cluster, harness.namespace, "outside-certificate", pair)
    install.make_secret(harness.cluster, harness.namespace, "outside-key", KEY)
    container = {
        "name": "minio",
        "image": image,
        "args": ["server", "/data", "--certs-dir", "/certs"],
        "env": [
            {"name": "MINIO_ROOT_USER", "value": KEY["AWS_ACCESS_KEY_ID"]},
            {"name": "MINIO_ROOT_PASSWORD", "value": KEY["AWS_SECRET_ACCESS_KEY"]},
            {"name": "MINIO_BROWSER", "value": "off"},
            {"name": "HOME", "value": "/data"},
        ],
        "readinessProbe": {"httpGet": {"path": "/minio/health/ready", "port": 9000, "scheme": "HTTPS"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "certs", "mountPath": "/certs"}],
    }
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "certs", "secret": {"secretName": "outside-certificate"}}]
    harness.apply(*pod_and_service("outside", container, [{"port": 9000}], *volumes))
    harness.cluster.wait("pod/outside", "condition=Ready", harness.namespace)
    return f"https://{host}:9000"


def test_a_source_with_a_certificate_of_an_own_authority(
    cluster: Cluster, harness: ClusterHarness, tmp_path: Path
) -> None:
    endpoint = secure_store(harness, tmp_path, image_references(cluster)["minio"])
    pem = (tmp_path / "ca.crt").read_text()
    with cluster.forward("service/outside", 9000, harness.namespace) as url:
        where = StoreConnection(endpoint=url.replace("http:", "https:"), ca_bundle=pem)
        store = Store.connect(where, KEY["AWS_ACCESS_KEY_ID"], KEY["AWS_SECRET_ACCESS_KEY"], patience=10)
        store.ensure_bucket("rows")
        store.put("rows", "rows.jsonl", tiny_rows())
    wanted = dataset("outside", "s3://rows/rows.jsonl")
    wanted["spec"]["source"]["s3"] |= {"endpoint": endpoint, "secret": "outside-key"}
    harness.apply(wanted)
    message = harness.wait_reason("dataset", "outside", "StoreMisconfigured", 60)
    assert "into spec.source.s3.caBundle" in message and endpoint in message
    wanted["spec"]["source"]["s3"]["caBundle"] = pem
    harness.apply(wanted)
    assert harness.wait_ready("dataset", "outside", 60)["status"]["rows"]["train"] > 0


@contextmanager
def behind_tls_and_a_proxy(cluster: Cluster, harness: ClusterHarness, folder: Path) -> Iterator[None]:
    """The installation reaches its store with a certificate of an own authority, and only through a proxy."""
    images, host = image_references(cluster), f"front.{harness.namespace}.svc.{CLUSTER_DOMAIN}"
    authority = Authority(folder)
    authority.ensure()
    certificate, key = authority.issue("front", Subject("store", names=(f"DNS:{host}",)))
    files = {"tls.crt": certificate.read_text(), "tls.key": key.read_text(), "front.py": FRONT.read_text()}
    install.make_secret(cluster, harness.namespace, "front", files)
    store, _, port = ENDPOINT.removeprefix("http://").rpartition(":")
    container = {
        "name": "front",
        "image": images["operator"],
        "command": ["python", "/certs/front.py", store, port],
        "readinessProbe": {"tcpSocket": {"port": 9443}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "certs", "mountPath": "/certs"}],
    }
    ports = [{"name": "tls", "port": 9443}, {"name": "proxy", "port": 3128}]
    harness.apply(*pod_and_service("front", container, ports, {"name": "certs", "secret": {"secretName": "front"}}))
    cluster.wait("pod/front", "condition=Ready", harness.namespace)
    try:
        more = {"caBundle": (folder / "ca.crt").read_text(), "proxy": f"http://{host}:3128"}
        install.install_chart(cluster, images, f"https://{host}:9443", **more)
        yield
    finally:
        install.install_chart(cluster, images, ENDPOINT)


@pytest.mark.full
def test_the_installations_store_behind_an_own_authority_and_a_proxy(
    cluster: Cluster, harness: ClusterHarness, tmp_path: Path
) -> None:
    with behind_tls_and_a_proxy(cluster, harness, tmp_path):
        harness.apply(dataset("behind"))
        harness.wait_ready("dataset", "behind", 120)
        harness.apply(harness.stub("behind", "behind"), deployment("behind", "behind"))
        harness.wait_ready("finetunejob", "behind", 120)
        harness.wait("modeldeployment", "behind", lambda o: number_in(o) == 1, 180)
        asked = {line.split()[0] for line in harness.kube("logs", "front").splitlines()}
        pods = json.loads(cluster.kube("get", "pods", "-A", "-o", "json"))["items"]
        labels_of = {pod["status"].get("podIP"): pod["metadata"].get("labels", {}) for pod in pods}
    askers = [labels for address, labels in labels_of.items() if address in asked]
    for label, value in (
        ("app.kubernetes.io/component", "operator"),
        ("modelyard.dev/model", "behind"),  # the run's pod
        ("modelyard.dev/deployment", "behind"),
    ):
        assert any(labels.get(label) == value for labels in askers), (label, askers)


@contextmanager
def kept_out(cluster: Cluster) -> Iterator[None]:
    """No packet of the operator gets to any server; others do."""
    address = cluster.kube("-n", install.OPERATOR_NAMESPACE, "get", "pods", "-o", "jsonpath={.items[0].status.podIP}")
    rule = ["FORWARD", "-s", address, "-p", "tcp", "--dport", "8080", "-j", "DROP"]
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        yield
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)


@pytest.mark.full
def test_a_server_that_the_operator_cannot_reach(cluster: Cluster, harness: ClusterHarness) -> None:
    harness.apply(dataset("rows"))
    harness.wait_ready("dataset", "rows")
    with kept_out(cluster):
        harness.apply(harness.stub("apart"), deployment("apart", "apart"))
        message = harness.wait_reason("modeldeployment", "apart", "ServerUnreachable", 240)
        for part in (
            "let pods of namespace modelyard reach port 8080",
            f"modelyard.dev/deployment=apart in namespace {harness.namespace}",
            "NetworkPolicy",
        ):
            assert part in message, message
        assert number_in(harness.get("modeldeployment", "apart"), "failed") is None
    harness.wait("modeldeployment", "apart", lambda o: number_in(o) == 1, 60)
