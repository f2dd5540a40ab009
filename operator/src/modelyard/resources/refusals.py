"""Pods that the API server refuses a controller: quota, LimitRange and Pod Security in words that name the field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from modelyard import names
from modelyard.decision import Fact, Manifest, Observed
from modelyard.resources import jobs
from modelyard.resources.pods import Hints, created, is_live
from modelyard.resources.waiting import HUMAN_PAUSE, Wait, refused, stuck, waits_for_pod

EVENTS_AGE = 10.0
LOOK_AGAIN = 3.0
OF_COUNTS = (
    "delete FineTuneJobs and Datasets that have ended (their Jobs and ConfigMaps count, their versions and rows stay), "
    "or have the quota raised"
)
USER = "spec.pod.user: cluster"
IN_PROFILE = (
    (r"runAs(User|Group)|fsGroup|\buids?\b|unable to validate against any security context", USER),
    (r"service ?account", "spec.pod.serviceAccountName"),
    (r"priority ?class", "spec.pod.priorityClassName"),
    (r"runtime ?class|handler", "spec.pod.runtimeClassName"),
    (r"toleration|taint", "spec.pod.tolerations"),
    (r"node ?selector", "spec.pod.nodeSelector"),
    (r"ephemeral", "spec.pod.ephemeralStorage"),
    (r"annotation", "spec.pod.annotations"),
    (r"label", "spec.pod.labels or spec.pod.copyLabels"),
)
"""Words of a refusal -> fields of a profile that answer it; the first that is found."""


def refusal_needs(job: Manifest | None, pods: Sequence[Manifest]) -> Iterable[Fact]:
    """A Job says nowhere but in its events that its pods are refused; asked only while it should have one."""
    if job is not None and lacks_pods(job, pods):
        yield refusal_fact(job)


def refusal_fact(job: Manifest) -> Fact:
    """The last refusal of a pod of this Job."""
    meta = job["metadata"]
    return Fact.of("refused_pod", max_age=EVENTS_AGE, namespace=meta["namespace"], uid=meta["uid"])


def lacks_pods(job: Manifest, pods: Sequence[Manifest]) -> bool:
    """True when the Job controller has looked at the Job, which may have a pod, and there is none."""
    status = job.get("status", {})
    wants = not job["spec"].get("suspend") and not jobs.has_ended(job) and "startTime" in status
    return wants and not status.get("active") and not any(is_live(pod) for pod in pods)


def refused_pods(job: Manifest | None, pods: Sequence[Manifest], observed: Observed, hints: Hints) -> Wait | None:
    """The wait for whoever can lift the refusal; None if pods are there, or nothing newer than they was refused."""
    if job is None or not lacks_pods(job, pods):
        return None
    answer = observed.fact(refusal_fact(job))
    newest = max(map(created, pods), default="")
    if answer is None or not answer.value or answer.value["at"] < newest:
        return None if pods else waits_for_pod(job["metadata"]["name"], LOOK_AGAIN)
    return stuck(names.QUOTA, why_refused(answer.value["message"], hints), HUMAN_PAUSE)


def refusal(observed: Observed, name: str, hints: Hints) -> Wait | None:
    """Why a Job or its ConfigMap could not be made; None if they are there or were not refused."""
    for kind in ("ConfigMap", "Job"):
        message = observed.refused.get((kind, name))
        if message is not None and observed.child(kind, name) is None:
            cause, remedy = _understood(message, hints)
            return refused(kind, name, f"{cause}; {remedy}")
    return None


def why_refused(message: str, hints: Hints) -> str:
    """The API server's sentence with what to try, the same for every pod of a controller."""
    cause, remedy = _understood(message, hints)
    return f"the namespace refuses the pod: {cause}; {remedy}; goes on by itself"


def _understood(message: str, hints: Hints) -> tuple[str, str]:
    """Cause and remedy."""
    cause = re.sub(r'^(Error creating: )?([a-z.]+ "[^"]*" is forbidden: )?', "", message.strip())
    over = re.fullmatch(r"exceeded quota: (\S+), requested: (.*), used: (.*), limited: (.*)", cause)
    if over:
        cause = f"over ResourceQuota {over[1]}: asks for {over[2]}; used {over[3]} of {over[4]}"
        return cause, OF_COUNTS if "count/" in over[2] else f"lower {hints.resources} or have the quota raised"
    if "failed quota" in cause:
        return cause, "have the ResourceQuota ask only for what these pods say"
    if "PodSecurity" in cause:
        return cause, "have the namespace's label pod-security.kubernetes.io/enforce set to restricted or less"
    if re.search(r"(maximum|minimum) \S+ usage per|limit to request ratio", cause):
        return cause, f"change {hints.resources} or have the namespace's LimitRange changed"
    return cause, _by_profile(cause, hints)


def _by_profile(cause: str, hints: Hints) -> str:
    """What the pod lacks, or has too much, the platform team can say in its profile."""
    found = next((fields for words, fields in IN_PROFILE if re.search(words, cause, re.IGNORECASE)), "")
    if found == USER and hints.profile != "TrainingProfile":
        found = ""  # servers set no user
    if found:
        return f"set {found} of the {hints.profile}, or have what refuses it changed"
    return f"let spec.pod of the {hints.profile} say what it asks for, change {hints.resources} or what refuses it"
