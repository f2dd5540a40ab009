"""Why pods do not do what they should, in words that name cause, field and remedy; the same words each time."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from modelyard import names
from modelyard.api.run import FINAL_EXIT_CODES, REASONS, ExitCode, Outcome
from modelyard.decision import Manifest
from modelyard.resources.scheduling import Capacity, why_unscheduled
from modelyard.resources.sidecars import containers, is_ours, ours, phase

PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
CREATE_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
TAIL_LIMIT, TAIL_LINES = 300, 3
NO_SPACE = "No space left on device"
NO_ACCESS = "the registry refuses access"
PULL_CAUSES = (
    (r"not found|manifest unknown|does not exist", "the registry has no such image"),
    (r"unauthorized|denied|forbidden|no basic auth", NO_ACCESS),
    (r"no such host|dial tcp|timeout|connection refused|EOF", "the registry cannot be reached"),
    (r"x509|certificate", "the registry's certificate is not trusted"),
    (r"invalid reference|couldn't parse", "the name is not a valid image reference"),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong: a word of names.py, a message for people, and whether trying again would give the same."""

    reason: str
    message: str
    final: bool


@dataclass(frozen=True, slots=True)
class Hints:
    """What to try, in the fields of the object that the pods belong to."""

    image: str = "set trainer.image of the TrainingProfile or the chart value image.trainer"
    memory: str = "raise spec.resources.memory"
    resources: str = "spec.resources"
    """What the pods ask for."""
    profile: str = "TrainingProfile"
    """Kind of the profile whose spec.pod the pods have."""
    capacity: Capacity = field(default_factory=dict)

    @property
    def disk(self) -> str:
        """What to try when a pod needs more disk."""
        return (
            f"raise spec.pod.ephemeralStorage of the {self.profile} or the limit that the namespace's LimitRange sets, "
            "or let spec.pod.nodeSelector choose nodes with more disk"
        )


def diagnose(pods: Sequence[Manifest], hints: Hints = Hints()) -> Fault | None:
    """What is wrong now: of live pods the first fault; without live pods why the newest one ended."""
    newest_first = sorted(pods, key=created, reverse=True)
    live = [pod for pod in newest_first if is_live(pod)]
    for pod in live or newest_first[:1]:
        fault = _fault(pod, hints)
        if fault is not None:
            return fault
    return None


def created(pod: Manifest) -> str:
    """Creation time; ISO 8601 in UTC sorts as text."""
    return str(pod["metadata"].get("creationTimestamp", ""))


def is_live(pod: Manifest) -> bool:
    """True until the pod has ended."""
    return phase(pod) not in ("Succeeded", "Failed")


def is_running(pod: Manifest) -> bool:
    """True while containers run, or one after the other, and nobody asked the pod to go."""
    if "deletionTimestamp" in pod["metadata"]:
        return False
    return phase(pod) == "Running" or (phase(pod) == "Pending" and has_started(pod) and _fault(pod, Hints()) is None)


def has_started(pod: Manifest) -> bool:
    """True once a container of the pod ever ran."""
    if phase(pod) in ("Running", "Succeeded"):
        return True
    return any("running" in c.get("state", {}) or _ended(c) for c in ours(pod))


def is_disrupted(pod: Manifest) -> bool:
    """True when the cluster took the pod away (eviction, pre-emption, lost node): not the run's fault."""
    return _condition(pod, "DisruptionTarget", "True") is not None


def failed_container(pod: Manifest) -> dict[str, Any] | None:
    """The first container that ended with an exit code other than 0, and stayed so."""
    states = ((container, container.get("state", {}).get("terminated")) for container in ours(pod))
    return next((container for container, ended in states if ended and ended.get("exitCode", 0)), None)


def outcome(message: str) -> Outcome | None:
    """What our own programs leave as termination message; None for anything else."""
    try:
        return Outcome.model_validate(json.loads(message))
    except (ValueError, ValidationError):
        return None


def _fault(pod: Manifest, hints: Hints) -> Fault | None:
    for container in containers(pod):
        fault = _container_fault(pod, container, hints)
        if fault is not None:
            return fault
    return _pod_fault(pod, hints)


def _container_fault(pod: Manifest, container: dict[str, Any], hints: Hints) -> Fault | None:
    waiting = container.get("state", {}).get("waiting", {})
    word = waiting.get("reason", "")
    if word in PULL_REASONS:
        return _image_fault(container, waiting.get("message", ""), hints)
    if word in CREATE_REASONS:
        return _create_fault(pod, container, waiting.get("message", ""))
    ended = _ended(container) if is_ours(container) else None
    if ended is None or ended.get("exitCode", 0) == 0:
        return None
    return _exit_fault(pod, container, ended, hints)


def _ended(container: dict[str, Any]) -> dict[str, Any] | None:
    """The end of the container; the last one while a container that is not ready starts over (crash loop)."""
    now = container.get("state", {}).get("terminated")
    if now is None and not container.get("ready"):
        now = container.get("lastState", {}).get("terminated")
    return dict(now) if now else None


def _image_fault(container: dict[str, Any], message: str, hints: Hints) -> Fault:
    cause = next((text for pattern, text in PULL_CAUSES if re.search(pattern, message, re.IGNORECASE)), "")
    why = f" ({cause})" if cause else ""
    key = f", or name a registry key in spec.pod.imagePullSecrets of the {hints.profile}" if cause == NO_ACCESS else ""
    image = f"image {container.get('image', '')} of container {container['name']}"
    remedy = hints.image if is_ours(container) else "see to what adds this container to pods"
    text = f"{image} cannot be pulled{why}: {remedy}{key}"
    return Fault(names.IMAGE_PULL, text, final=False)


def _create_fault(pod: Manifest, container: dict[str, Any], message: str) -> Fault:
    namespace = pod["metadata"].get("namespace", "default")
    missing = re.search(r'secret "([^"]+)" not found', message)
    if missing:
        return _secret_fault(namespace, missing[1], f"Secret {missing[1]} is missing in namespace {namespace}")
    key = re.search(r"find key (\S+) in Secret (?:\S+/)?([^\s/]+)", message)
    if key:
        return _secret_fault(namespace, key[2], f"Secret {key[2]} in namespace {namespace} has no key {key[1]}")
    cause = _stable(message) or "no message"
    return Fault(names.BAD_CONFIG, f"container {container['name']} cannot be created: {cause}", final=False)


def _secret_fault(namespace: str, secret: str, cause: str) -> Fault:
    remedy = (
        f"kubectl -n {namespace} create secret generic {secret} "
        "--from-literal=AWS_ACCESS_KEY_ID=... --from-literal=AWS_SECRET_ACCESS_KEY=..."
    )
    return Fault(names.SECRET_MISSING, f"{cause}; make it: {remedy}", final=False)


def _exit_fault(pod: Manifest, container: dict[str, Any], ended: dict[str, Any], hints: Hints) -> Fault:
    if ended.get("reason") == "OOMKilled":
        text = f"container {container['name']} used more memory than its limit and was killed: {hints.memory}"
        return Fault(names.OUT_OF_MEMORY, text, final=True)
    if is_disrupted(pod):
        return _disruption(pod)
    if pod["status"].get("reason") == "Evicted":
        return _killed(pod, hints)
    code, message = int(ended["exitCode"]), ended.get("message", "")
    told = outcome(message)
    final = code in FINAL_EXIT_CODES
    if told is None:
        reason = names.DISK_FULL if NO_SPACE in message else _reason(code)
        return Fault(reason, _exit_message(container["name"], code, message) + _full_log(pod, container["name"]), final)
    text = told.message or f"container {container['name']} ended with exit code {code}"
    return Fault(told.reason or _reason(code), text if final else text + _full_log(pod, container["name"]), final)


def _reason(code: int) -> str:
    known = {int(member): word for member, word in REASONS.items()}
    return known.get(code, REASONS[ExitCode.INTERNAL])


def _exit_message(container: str, code: int, message: str) -> str:
    """The last lines of the log, or of what was left as termination message."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    said = f": {' | '.join(lines[-TAIL_LINES:])[-TAIL_LIMIT:]}" if lines else " without a message"
    return f"container {container} ended with exit code {code}{said}"


def _full_log(pod: Manifest, container: str) -> str:
    """Where all of the log lies; a Job keeps its pods, while those of a failed server are gone."""
    owners = pod["metadata"].get("ownerReferences", [])
    job = next((owner["name"] for owner in owners if owner["kind"] == "Job"), "")
    if not job:
        return ""
    several = f" -c {container}" if pod["status"].get("initContainerStatuses") else ""
    return f"; the whole log: kubectl -n {pod['metadata'].get('namespace', 'default')} logs job/{job}{several}"


def _pod_fault(pod: Manifest, hints: Hints) -> Fault | None:
    if is_disrupted(pod):
        return _disruption(pod)
    waits = _condition(pod, "PodScheduled", "False")
    if waits is not None and waits.get("reason") == "Unschedulable" and phase(pod) == "Pending":
        text = why_unscheduled(pod, waits.get("message", ""), hints.resources, hints.profile, hints.capacity)
        return Fault(names.UNSCHEDULABLE, text, final=False)
    return _killed(pod, hints) if phase(pod) == "Failed" else None


def _killed(pod: Manifest, hints: Hints) -> Fault:
    """The kubelet ended the pod: for its disk, or for what its status says."""
    status = pod["status"]
    text = _stable(f"{status.get('reason') or 'the pod failed'}: {status.get('message') or 'no message'}").rstrip(".")
    if not re.search(r"ephemeral|EmptyDir", text):
        return Fault(names.TRAINER_FAILED, text, final=False)
    return Fault(names.DISK_FULL, f"{text}; {hints.disk}", final=True)


def _disruption(pod: Manifest) -> Fault:
    why = _condition(pod, "DisruptionTarget", "True") or {}
    text = _stable(why.get("message") or pod.get("status", {}).get("message") or "no message")
    return Fault(
        names.DISRUPTED, f"the cluster took the pod away ({why.get('reason', 'unknown')}): {text}", final=False
    )


def _condition(pod: Manifest, type_: str, status: str) -> dict[str, Any] | None:
    found = pod.get("status", {}).get("conditions", [])
    return next((c for c in found if c.get("type") == type_ and c.get("status") == status), None)


def _stable(message: str) -> str:
    """Without ids, which differ from pod to pod."""
    return re.sub(r"\b[0-9a-f]{12,64}\b", "…", message).strip()[:TAIL_LIMIT]
