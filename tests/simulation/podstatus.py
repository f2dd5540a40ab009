"""Pods as the kubelet writes them."""

from __future__ import annotations

from modelyard.decision import Manifest
from tests.simulation import clock
from tests.simulation.fake_api import FakeApi
from tests.simulation.schema import clone

NO_ROOM = "0/1 nodes are available: 1 Insufficient memory."
FINALIZER = "simulation/graceful"
"""Stands for graceful deletion: the pod goes when the kubelet says so."""
WAITS: dict[str, Manifest] = {
    "ImagePullBackOff": {"reason": "ImagePullBackOff", "message": "Back-off pulling image: not found"},
    "SecretMissing": {"reason": "CreateContainerConfigError", "message": 'secret "modelyard-store" not found'},
}


def pod_of(owner: Manifest, name: str) -> Manifest:
    """A pod from its owner's template."""
    template = clone(owner["spec"]["template"])
    meta = owner["metadata"]
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
    template["metadata"].update(
        name=name, namespace=meta["namespace"], ownerReferences=[{**reference, "controller": True}],
        finalizers=[FINALIZER],
    )  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", **template}


def waiting(reason: str, container: str = "trainer") -> Manifest:
    """A pod that cannot start."""
    if reason == "Unschedulable":
        condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": NO_ROOM}
        return {"phase": "Pending", "conditions": [condition]}
    status = {"name": container, "image": "trainer:1", "ready": False, "state": {"waiting": WAITS[reason]}}
    return {"phase": "Pending", "containerStatuses": [status]}


def running(container: str = "trainer", ready: bool = True) -> Manifest:
    """A pod at work."""
    state = {"running": {"startedAt": clock.stamp()}}
    status = {"name": container, "image": "trainer:1", "ready": ready, "restartCount": 0, "state": state}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": clock.stamp()}
    return {"phase": "Running", "conditions": [scheduled], "containerStatuses": [status]}


def ended(end: str, code: int, message: str) -> Manifest:
    """A pod that has ended."""
    reason = "OOMKilled" if end == "oom" else "Completed" if code == 0 else "Error"
    terminated = {"exitCode": code, "reason": reason, "message": "" if end == "oom" else message}
    status = {"name": "trainer", "image": "trainer:1", "ready": False, "state": {"terminated": terminated}}
    conditions = []
    if end == "evicted":
        conditions = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
    phase = "Succeeded" if code == 0 else "Failed"
    return {"phase": phase, "conditions": conditions, "containerStatuses": [status]}


def crashing(restarts: int, container: str = "server") -> Manifest:
    """A pod whose container starts over and over."""
    last = {"terminated": {"exitCode": 1, "reason": "Error", "message": "cannot load model.onnx"}}
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    status = {"name": container, "ready": False, "restartCount": restarts, "state": state, "lastState": last}
    return {"phase": "Running", "containerStatuses": [status]}


def remove(api: FakeApi, namespace: str, name: str, who: str) -> None:
    """The end of a pod: asked to go if nobody did, then gone."""
    if api.look("Pod", namespace, name) is None:
        return
    api.delete("Pod", namespace, name, "", who)
    api.patch("Pod", namespace, name, {"metadata": {"finalizers": None}}, "", who)
