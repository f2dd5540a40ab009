"""What stands between pods and where they have to go: a certificate of an own authority, packets that are dropped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.demo import install
from examples.demo.cluster import Cluster, image_references
from modelyard.api.store import StoreConnection
from modelyard.storage.store import Store
from tests.e2e.yard import Yard, dataset, deployment, tiny_rows
from tests.localcluster.pki import Authority, Subject

KEY = {"AWS_ACCESS_KEY_ID": "outside", "AWS_SECRET_ACCESS_KEY": "outside-secret"}


def secure_store(yard: Yard, folder: Path, image: str) -> str:
    """A MinIO whose certificate is signed by `folder`/ca.crt; gives its address inside the cluster."""
    host = f"outside.{yard.namespace}.svc"
    authority = Authority(folder)
    authority.ensure()
    certificate, key = authority.issue("store", Subject("store", names=(f"DNS:{host}", "IP:127.0.0.1")))
    pair = {"public.crt": certificate.read_text(), "private.key": key.read_text()}
    install.make_secret(yard.cluster, yard.namespace, "outside-certificate", pair)
    install.make_secret(yard.cluster, yard.namespace, "outside-key", KEY)
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
    spec = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "certs", "secret": {"secretName": "outside-certificate"}},
        ],
    }
    label = {"app": "outside"}
    yard.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "outside", "labels": label}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "outside"},
            "spec": {"selector": label, "ports": [{"port": 9000}]},
        },
    )
    yard.cluster.wait("pod/outside", "condition=Ready", yard.namespace)
    return f"https://{host}:9000"


def test_a_source_with_a_certificate_of_an_own_authority(cluster: Cluster, yard: Yard, tmp_path: Path) -> None:
    endpoint = secure_store(yard, tmp_path, image_references(cluster)["minio"])
    pem = (tmp_path / "ca.crt").read_text()
    with cluster.forward("service/outside", 9000, yard.namespace) as url:
        where = StoreConnection(endpoint=url.replace("http:", "https:"), ca_bundle=pem)
        store = Store.connect(where, KEY["AWS_ACCESS_KEY_ID"], KEY["AWS_SECRET_ACCESS_KEY"], patience=10)
        store.ensure_bucket("rows")
        store.put("rows", "rows.jsonl", tiny_rows())
    wanted = dataset("outside", "s3://rows/rows.jsonl")
    wanted["spec"]["source"]["s3"] |= {"endpoint": endpoint, "secret": "outside-key"}
    yard.apply(wanted)
    message = yard.wait_reason("dataset", "outside", "StoreMisconfigured", 60)
    assert "into spec.source.s3.caBundle" in message and endpoint in message
    wanted["spec"]["source"]["s3"]["caBundle"] = pem
    yard.apply(wanted)
    assert yard.wait_ready("dataset", "outside", 60)["status"]["rows"]["train"] > 0


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
def test_a_server_that_the_operator_cannot_reach(cluster: Cluster, yard: Yard) -> None:
    yard.apply(dataset("rows"))
    yard.wait_ready("dataset", "rows")
    with kept_out(cluster):
        yard.apply(yard.stub("apart"), deployment("apart", "apart"))
        message = yard.wait_reason("modeldeployment", "apart", "ServerUnreachable", 240)
        for part in (
            "let pods of namespace modelyard reach port 8080",
            f"modelyard.dev/deployment=apart in namespace {yard.namespace}",
            "NetworkPolicy",
        ):
            assert part in message, message
        assert "failed" not in (yard.get("modeldeployment", "apart") or {})["status"]
    yard.wait("modeldeployment", "apart", lambda o: o["status"].get("serving") == 1, 60)
