"""Containers that others add to our pods: what decides is the end of our own container, whatever lives beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelyard.decision import Manifest
from modelyard.resources.run_plan import CONTAINER, FETCH, PUBLISH

OURS = (FETCH, CONTAINER, PUBLISH, "server", "kserve-container", "storage-initializer")
"""Names of the containers that the operator, or KServe for it, gives to pods."""
DECISIVE = (CONTAINER, PUBLISH)
"""Of a run's pod: the one of these that is no init container ends the run."""
ENDED = ("Succeeded", "Failed")


def containers(pod: Manifest) -> Iterator[dict[str, Any]]:
    """Status of each container, in the order of their start."""
    status = pod.get("status", {})
    yield from status.get("initContainerStatuses", [])
    yield from status.get("containerStatuses", [])


def is_ours(container: dict[str, Any]) -> bool:
    """False for a sidecar: its image, its crashes and its exit code say nothing about our work."""
    return container["name"] in OURS


def ours(pod: Manifest) -> Iterator[dict[str, Any]]:
    """Status of each container that is ours."""
    return (container for container in containers(pod) if is_ours(container))


def decisive(pod: Manifest) -> dict[str, Any]:
    """Status of the container of a run's pod that ends the run; empty while there is none, and for a server."""
    found = pod.get("status", {}).get("containerStatuses", [])
    return next((container for container in found if container["name"] in DECISIVE), {})


def phase(pod: Manifest) -> str:
    """Phase of the pod as our container decides it, Pending until the kubelet says otherwise."""
    told, state = _told(pod), decisive(pod).get("state", {})
    ended = state.get("terminated")
    if ended and (ended.get("exitCode", 0) == 0 or told not in ENDED):
        return "Failed" if ended.get("exitCode", 0) else "Succeeded"
    return "Pending" if told == "Running" and "waiting" in state and _has_sidecar(pod) else told


def is_overruled(pod: Manifest) -> bool:
    """True when our container succeeded, and a sidecar keeps Kubernetes from calling the pod so.

    Of a pod alone the kubelet tells the container's end a moment before the pod's.
    """
    return phase(pod) == "Succeeded" and _told(pod) != "Succeeded" and _has_sidecar(pod)


def is_held(pod: Manifest) -> bool:
    """True when our container failed, and a sidecar keeps the pod alive, which nobody has deleted yet."""
    held = phase(pod) == "Failed" and _told(pod) not in ENDED and _has_sidecar(pod)
    return held and "deletionTimestamp" not in pod["metadata"]


def _told(pod: Manifest) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def _has_sidecar(pod: Manifest) -> bool:
    return any(not is_ours(container) for container in containers(pod))
