"""Room on the embedded cluster: what runs in other namespaces stands aside while the tests run, and comes back.

A server that `make demo` or a user left there holds its CPU; on two cores the tests' own pods then wait for ever.
A ResourceQuota of no pods keeps the others away: nothing of them is deleted but pods, which their owners make again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from examples.demo import install
from examples.demo.cluster import ASIDE, Cluster, bring_back

CORES = 1.5
"""The most that the tests ask for at once: the walk through the pages trains with 1.2 while a server runs with 0.3."""
NEEDED = ("default", "kube-system", install.STORE_NAMESPACE, install.OPERATOR_NAMESPACE)
OWN = "e2e-"
NO_PODS = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": ASIDE}, "spec": {"hard": {"pods": "0"}}}


@contextmanager
def alone_on(cluster: Cluster) -> Iterator[None]:
    """Others stand aside; AssertionError names who holds the CPU if there is still too little."""
    _forget_earlier_tests(cluster)
    for namespace in sorted({_namespace(pod) for pod in _holding(cluster)} - {*NEEDED}):
        print(f"pods of namespace {namespace} stand aside while the tests run")
        cluster.kube("apply", "-n", namespace, "-f", "-", stdin=json.dumps(NO_PODS))
        cluster.kube("delete", "pods", "--all", "-n", namespace, "--wait", "--timeout=90s")
    holding = _holding(cluster)
    left = [f"{_namespace(pod)}/{pod['metadata']['name']} ({_cores(pod):g})" for pod in holding]
    free = sum(float(parse_quantity(node["status"]["allocatable"]["cpu"])) for node in _items(cluster, "nodes"))
    free -= sum(_cores(pod) for pod in holding)
    assert free >= CORES, f"the tests need {CORES:g} free CPU, the cluster has {free:.2f}; pods hold: {', '.join(left)}"
    try:
        yield
    finally:
        bring_back(cluster)


def _forget_earlier_tests(cluster: Cluster) -> None:
    """Namespaces of tests that were ended in the middle go, with everything in them."""
    names = [item["metadata"]["name"] for item in _items(cluster, "namespaces")]
    if old := [name for name in names if name.startswith(OWN)]:
        cluster.kube("delete", "namespace", *old, "--wait", "--timeout=180s")


def _holding(cluster: Cluster) -> list[dict[str, Any]]:
    """Pods that have not ended and ask for CPU."""
    words = ("pods", "-A", "--field-selector=status.phase!=Succeeded,status.phase!=Failed")
    return [pod for pod in _items(cluster, *words) if _cores(pod)]


def _cores(pod: dict[str, Any]) -> float:
    """CPU that the scheduler counts for a pod, without sidecars."""

    def asked(containers: list[dict[str, Any]]) -> list[float]:
        return [float(parse_quantity(c.get("resources", {}).get("requests", {}).get("cpu", 0))) for c in containers]

    return max(sum(asked(pod["spec"]["containers"])), *asked(pod["spec"].get("initContainers", [])), 0.0)


def _namespace(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["namespace"])


def _items(cluster: Cluster, *words: str) -> list[dict[str, Any]]:
    return list(json.loads(cluster.kube("get", *words, "-o", "json"))["items"])
