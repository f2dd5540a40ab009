"""Whether the cluster under the tests is whole: told when a test fails, waited for after a test that disturbed it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from uuid import uuid4

from dev.localcluster import cluster as parts
from examples.demo import install
from examples.demo.cluster import Cluster
from examples.demo.shell import CommandError

API = "modelyard.dev/v1alpha1"
PROBE = "whole"
"""A profile that allows next to nothing: what names it is refused once the API server knows profiles."""


def missing(cluster: Cluster) -> list[str]:
    """What does not work now, each in a few words; empty if the cluster is whole."""
    if not _works(lambda: cluster.kube("get", "--raw=/readyz")):
        return ["the API server is not ready"]
    wanted: dict[str, Callable[[], object]] = {
        "the node is not Ready": lambda: cluster.kube("wait", "node", "--all", "--for=condition=Ready", "--timeout=1s"),
        "the store is not available": lambda: _available(cluster, "minio", install.STORE_NAMESPACE),
        "the operator is not available": lambda: _available(cluster, "modelyard", install.OPERATOR_NAMESPACE),
        "the policies about profiles are not in force": lambda: _refuses(cluster),
        "a new namespace gets no service account": lambda: _serves_namespaces(cluster),
    }
    return [told for told, check in wanted.items() if not _works(check)]


def wait_until_whole(cluster: Cluster, seconds: float = 180) -> None:
    """Bring back what a test took away, and wait; AssertionError names what is still missing."""
    parts.up()
    cluster.kube("scale", "deployment/minio", "-n", install.STORE_NAMESPACE, "--replicas=1")
    deadline = time.monotonic() + seconds
    while broken := missing(cluster):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {', '.join(broken)}"
        time.sleep(1)


def _works(check: Callable[[], object]) -> bool:
    try:
        return check() is not False
    except CommandError:
        return False


def _available(cluster: Cluster, name: str, namespace: str) -> None:
    cluster.kube("wait", f"deployment/{name}", "-n", namespace, "--for=condition=Available", "--timeout=1s")


def _refuses(cluster: Cluster) -> bool:
    profile = {"apiVersion": API, "kind": "TrainingProfile", "metadata": {"name": PROBE}}
    cluster.apply({**profile, "spec": {"limits": {"cpu": 0.001}}})
    spec = {"profile": PROBE, "task": "text-classification", "source": {"s3": {"uri": "s3://data/r"}}}
    asked = {"apiVersion": API, "kind": "Dataset", "metadata": {"name": PROBE}, "spec": spec}
    words = ("create", "-n", "default", "--dry-run=server", "-f", "-")
    return not _works(lambda: cluster.kube(*words, stdin=json.dumps(asked)))


def _serves_namespaces(cluster: Cluster) -> None:
    name = f"{PROBE}-{uuid4().hex[:8]}"
    cluster.ensure_namespace(name)
    try:
        cluster.wait("serviceaccount/default", "create", name, 5)
    finally:
        cluster.kube("delete", "namespace", name, "--wait=false")
