"""etcd is restored from an earlier state under a running operator: what it remembers is no more."""

from __future__ import annotations

from pathlib import Path

from dev.localcluster.apiserver import ApiServer
from dev.localcluster.waiting import wait_until
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import operator_process

CRDS = Path(__file__).parents[2] / "crds"
CHANGES = 50
"""Objects between the snapshot and its return."""


def seen(kubectl: Kubectl, name: str, generation: int) -> None:
    """Wait until the operator has looked at a Dataset."""
    condition = f"--for=jsonpath={{.status.observedGeneration}}={generation}"
    kubectl.ok("-n", "default", "wait", condition, f"dataset/{name}", "--timeout=30s")


def test_the_operator_starts_again_and_believes_what_was_restored(tmp_path: Path) -> None:
    with ApiServer() as server:
        kubectl = Kubectl(server.kubeconfig)
        kubectl.ok("create", "namespace", "ops")
        kubectl.ok("create", "-f", str(CRDS))
        with operator_process(server.kubeconfig, "ops", tmp_path / "log") as operator:
            wait_until(operator.ready, "operator", 60)
            kubectl.create(smallest("Dataset", name="kept"), "-n", "default")
            seen(kubectl, "kept", 1)
            before = server.snapshot()
            kubectl.ok("-n", "default", "delete", "dataset", "kept")
            kubectl.create(smallest("Dataset", name="lost"), "-n", "default")
            seen(kubectl, "lost", 1)
            many = [smallest("Dataset", name=f"many-{number}") for number in range(CHANGES)]
            kubectl.ok("-n", "default", "create", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": many})
            kubectl.ok("-n", "default", "delete", "dataset", "--all", "--wait=false")
            server.restore(before)
            wait_until(lambda: not operator.alive(), "end of the operator that remembers", 90)
            told = operator.log.read_text()
            assert "was seen before" in told, told[-3000:]
        with operator_process(server.kubeconfig, "ops", tmp_path / "again") as operator:
            wait_until(operator.ready, "operator", 60)
            kubectl.ok("-n", "default", "patch", "dataset", "kept", "--type=merge", "-p", '{"spec":{"revision":2}}')
            seen(kubectl, "kept", 2)
