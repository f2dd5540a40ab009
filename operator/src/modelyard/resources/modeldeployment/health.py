"""How a version's server is doing, read from its Deployment and its pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from modelyard import names
from modelyard.decision import Manifest
from modelyard.resources.conditions import condition
from modelyard.resources.modeldeployment.server import pinned_template, template_hash
from modelyard.resources.modeldeployment.situation import Server, Situation, deployment_of
from modelyard.resources.pods import Fault, Hints, diagnose
from modelyard.resources.refusals import why_refused
from modelyard.resources.scheduling import capacity_in

HINTS = Hints(
    image="set the chart value image.server",
    memory="raise spec.serve.resources.memory",
    resources="spec.serve.resources",
    profile="ServingProfile",
)


DOWNLOADS = ("fetch", "storage-initializer")
"""Init containers that bring a version, ours and the one that KServe makes of ours."""
MAKING = {"ContainerCreating", "PodInitializing"}
"""What all containers of a pod wait for before the first has ever run."""


def available(live: Manifest | None) -> int:
    """Pods of a Deployment that can answer."""
    return int((live or {}).get("status", {}).get("availableReplicas", 0))


def settled(live: Manifest | None, replicas: int, template: str) -> bool:
    """True when the Deployment was seen as it is wanted, and all of its pods, and no others, are available."""
    if live is None:
        return False
    spec, status = live.get("spec", {}), live.get("status", {})
    seen = status.get("observedGeneration") == live["metadata"].get("generation")
    counts = [status.get(f, 0) for f in ("replicas", "updatedReplicas", "availableReplicas")]
    as_wanted = spec.get("replicas") == replicas and template_hash(spec["template"]) == template
    return seen and as_wanted and counts == [replicas] * 3


def stands(s: Situation, of: Server) -> bool:
    """True when a version's server is as its own template says, with all of its pods available."""
    live, server = s.deployment(of), s.server(of)
    if live is None or server is None:
        return False
    wanted = pinned_template(server)
    return settled(live, s.replicas, template_hash(wanted or live["spec"]["template"]))


def answering(s: Situation, of: Server) -> int:
    """Pods of a version that can answer, also of the backend that it leaves."""
    servers = (s.server(of), s.left_behind(of))
    return sum(available(deployment_of(s.observed, server)) for server in servers)


def is_down(s: Situation, of: Server) -> bool:
    """True when none of a version's servers answers, or will go on to: known, not only unseen."""
    servers = [server for server in (s.server(of), s.left_behind(of)) if server is not None]
    return all(
        "deletionTimestamp" in server["metadata"] or (live is not None and available(live) == 0)
        for server in servers
        for live in (deployment_of(s.observed, server),)
    )


def pods_of(s: Situation, of: Server, template: str = "") -> list[Manifest]:
    """A version's pods that nobody asked to go; only those of one template if it is given."""
    return [
        pod
        for pod in s.observed.pods
        if pod["metadata"].get("labels", {}).get(names.LABEL_SERVER) == str(of)
        and template in ("", pod["metadata"].get("annotations", {}).get(names.ANNOTATION_TEMPLATE))
        and "deletionTimestamp" not in pod["metadata"]
    ]


def fault_of(s: Situation, of: Server, pods: list[Manifest]) -> Fault | None:
    """What keeps a version's server from being available, in the words of serving; only some of its pods may count."""
    server, live = s.server(of), s.deployment(of)
    if server is not None and live is None:
        return _kserve_fault(server)
    refused = condition(live, "ReplicaFailure")
    if refused is not None and refused["status"] == "True":
        return Fault(names.QUOTA, why_refused(refused.get("message", ""), HINTS), final=False)
    fault = diagnose(pods, replace(HINTS, capacity=capacity_in(s.observed)))
    if fault is not None and fault.reason == names.TRAINER_FAILED:
        return replace(fault, reason=names.LOAD_FAILED)
    return fault


def _kserve_fault(server: Manifest) -> Fault | None:
    """Why KServe made no Deployment, in its own words."""
    status = server.get("status", {})
    told = status.get("modelStatus", {}).get("lastFailureInfo", {})
    cause = told.get("message") or (condition(server, "PredictorReady") or {}).get("message")
    if not cause:
        return None
    text = f"KServe cannot run InferenceService {server['metadata']['name']}: {cause}"
    return Fault(names.KSERVE_FAILED, text, final=False)


def restarts(pods: list[Manifest]) -> int:
    """How often the worst container that is not ready was started again."""
    return max((int(c.get("restartCount", 0)) for c in _containers(pods) if not c.get("ready")), default=0)


def last_progress(pods: list[Manifest]) -> str:
    """The latest moment at which something went on: pod made, placed, or a container started; empty without pods."""
    return max((moment for pod in pods for moment in _moments(pod)), default="")


def at_work(pods: list[Manifest]) -> str:
    """What may take as long as it takes, for it ends by itself when it gets no further; empty if there is nothing.

    The download gives up when no byte came for a minute, and the kubelet says so when an image cannot be pulled.
    """
    for pod in pods:
        for container in pod.get("status", {}).get("initContainerStatuses", []):
            if "running" in container.get("state", {}) and container["name"] in DOWNLOADS:
                return f"its files are being downloaded since {container['state']['running'].get('startedAt', 'now')}"
        waiting = [c.get("state", {}).get("waiting", {}).get("reason", "") for c in _containers([pod])]
        if waiting and set(waiting) <= MAKING:
            return f"the node pulls its image or mounts its volumes (kubectl describe pod {pod['metadata']['name']})"
    return ""


def _moments(pod: Manifest) -> Iterator[str]:
    yield str(pod["metadata"].get("creationTimestamp", ""))
    placed = condition(pod, "PodScheduled") or {}
    if placed.get("status") == "True":
        yield str(placed.get("lastTransitionTime", ""))
    for container in _containers([pod]):
        yield str(container.get("state", {}).get("running", {}).get("startedAt", ""))


def _containers(pods: list[Manifest]) -> Iterator[dict[str, Any]]:
    for pod in pods:
        status = pod.get("status", {})
        yield from status.get("initContainerStatuses", [])
        yield from status.get("containerStatuses", [])
