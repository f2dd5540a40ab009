"""What a Job and its pods say: whose it is, whether it ended, and why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from modelyard import names
from modelyard.api.run import FINAL_EXIT_CODES, REASONS
from modelyard.decision import Manifest, Observed, Select
from modelyard.resources import pods as pod_words
from modelyard.resources import sidecars
from modelyard.resources.pods import Fault, Hints, diagnose, has_started, is_live


def is_complete(job: Manifest) -> bool:
    """True once the Job controller counted a success."""
    return _condition(job, "Complete") is not None


def has_failed(job: Manifest) -> bool:
    """True once the Job controller gave up."""
    return _condition(job, "Failed") is not None


def has_ended(job: Manifest) -> bool:
    """True when no pod will ever be made again."""
    return is_complete(job) or has_failed(job)


def is_held(job: Manifest | None) -> bool:
    """True when the Job is there, but makes no more pods as it is."""
    return job is not None and (has_ended(job) or bool(job["spec"].get("suspend")))


def owner(child: Manifest) -> dict[str, Any]:
    """The controlling ownerReference; empty if there is none."""
    references = child["metadata"].get("ownerReferences", [])
    return next((dict(ref) for ref in references if ref.get("controller")), {})


def belongs_to(child: Manifest, obj: Manifest) -> bool:
    """True when the object itself owns the child; a namesake from before does not count."""
    return any(ref["uid"] == obj["metadata"]["uid"] for ref in child["metadata"].get("ownerReferences", []))


def pods_of(job: Manifest | None, observed: Observed) -> tuple[Manifest, ...]:
    """Pods that this very Job made."""
    return tuple(pod for pod in observed.pods if job is not None and belongs_to(pod, job))


def run_pods(namespace: str, run: str) -> Select:
    """All pods of a run, whichever object's Job made them."""
    return Select("Pod", namespace, ((names.LABEL_RUN, run),))


def orphaned_pods(namespace: str, run: str, observed: Observed) -> tuple[Manifest, ...]:
    """Live pods of the same run that a deleted Job left: no second pod may start beside them."""
    seen = (*observed.pods, *observed.lists.get(run_pods(namespace, run), ()))
    return tuple(pod for pod in seen if pod["metadata"].get("labels", {}).get(names.LABEL_RUN) == run and is_live(pod))


def ever_started(job: Manifest | None, pods: Sequence[Manifest]) -> bool:
    """True once a container of the Job ran, also when its pods are gone."""
    status = (job or {}).get("status", {})
    counted = any(status.get(field, 0) for field in ("ready", "failed", "succeeded"))
    return counted or any(has_started(pod) for pod in pods)


def lacks_image(pods: Sequence[Manifest], hints: Hints) -> bool:
    """True while a pod waits for an image that cannot be pulled: another one of the installation may mend it."""
    fault = diagnose([pod for pod in pods if is_live(pod)], hints)
    return fault is not None and fault.reason == names.IMAGE_PULL


def fatal(pods: Sequence[Manifest], hints: Hints) -> Fault | None:
    """A fault that a new pod would meet again, though the Job would try: its own limit of memory or of disk."""
    limits = (names.OUT_OF_MEMORY, names.DISK_FULL)
    faults = (diagnose([pod], hints) for pod in pods if not is_live(pod))
    return next((fault for fault in faults if fault is not None and fault.final and fault.reason in limits), None)


def succeeded_beside_a_sidecar(pods: Sequence[Manifest]) -> bool:
    """True when our program is done although the Job will not count it."""
    return any(sidecars.is_overruled(pod) for pod in pods)


def held_by_a_sidecar(pods: Sequence[Manifest]) -> bool:
    """True when our program failed in a pod that lives on: only without it the Job goes on."""
    return any(sidecars.is_held(pod) for pod in pods)


def fault_beside_a_sidecar(pods: Sequence[Manifest], hints: Hints, *, last: bool) -> Fault | None:
    """The end of a run that its Job cannot see; `last`: no other pod may try.

    To be rid of the pod its Job is suspended, and a Job does not count what it deletes itself.
    """
    fault = diagnose([pod for pod in pods if sidecars.is_held(pod)], hints)
    return replace(fault, final=True) if fault is not None and (fault.final or last) else None


def last_fault(pods: Sequence[Manifest], hints: Hints) -> Fault | None:
    """Why the newest ended pod ended."""
    return diagnose([pod for pod in pods if not is_live(pod)], hints)


def why_failed(job: Manifest, pods: Sequence[Manifest], hints: Hints) -> Fault:
    """The fault of a failed Job: from its pods, or from its condition when they are gone."""
    failed = [pod for pod in pods if sidecars.phase(pod) == "Failed"]
    found = diagnose([pod for pod in failed if not pod_words.is_disrupted(pod)] or failed, hints)
    condition = _condition(job, "Failed") or {}
    fault = found or _from_condition(condition)
    if condition.get("reason") != "BackoffLimitExceeded":
        return fault
    tries = int(job["spec"].get("backoffLimit", 0)) + 1
    return Fault(fault.reason, f"{fault.message}; tried {tries} times" if tries > 1 else fault.message, fault.final)


def _from_condition(condition: dict[str, Any]) -> Fault:
    message = str(condition.get("message", "the Job failed"))
    code = re.search(r"exit code (\d+)", message)
    words = {int(member): word for member, word in REASONS.items()}
    number = int(code[1]) if code else 1
    return Fault(words.get(number, names.TRAINER_FAILED), message, number in FINAL_EXIT_CODES)


def _condition(job: Manifest, type_: str) -> dict[str, Any] | None:
    found = job.get("status", {}).get("conditions", [])
    return next((c for c in found if c.get("type") == type_ and c.get("status") == "True"), None)
