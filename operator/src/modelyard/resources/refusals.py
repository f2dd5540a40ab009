"""Pods that the API server refuses a controller: quota, LimitRange and Pod Security in words that name the field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from modelyard import names
from modelyard.decision import Fact, Manifest, Observed
from modelyard.resources import jobs
from modelyard.resources.pods import Hints, created, diagnose, is_live
from modelyard.resources.waiting import HUMAN_PAUSE, Wait, held_up, stuck, waits_for_pod

EVENTS_AGE = 10.0
LOOK_AGAIN = 3.0
WITH_PODS = ("Job", "ConfigMap", "Deployment", "InferenceService")
"""Children that a pod comes of, or that come with it."""
FOREIGN = "belongs to something else"
AMOUNT = re.compile(r"(requests\.|limits\.)?(cpu|memory|ephemeral-storage)|requests\..*")
"""What a quota limits that pods ask for; all else it counts."""
COUNTED = (
    (
        {"count/jobs.batch", "count/pods"},
        "delete Jobs that have ended (kubectl delete jobs --field-selector status.successful=1; rows and versions "
        "stay, logs go)",
    ),
    ({"configmaps", "count/configmaps"}, "delete FineTuneJobs and Datasets that have ended (rows and versions stay)"),
    ({"pods"}, "wait until other pods have ended"),
)
"""What a quota counts -> what makes room; the first that is found."""
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
MISSING = r"not found|does not exist|no \w+ with name"
"""What the profile names is not there."""


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


def held_pods(job: Manifest | None, pods: Sequence[Manifest], observed: Observed, hints: Hints) -> Wait | None:
    """Why no pod of a Job runs: what its live ones lack, or why there is none; None where nothing tells."""
    fault = diagnose([pod for pod in pods if is_live(pod)], hints)
    if fault is not None and fault.reason != names.DISRUPTED:
        return held_up(fault)
    return refused_pods(job, pods, observed, hints)


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
            return refused_child(kind, name, message, hints)
    return None


def refused_child(kind: str, name: str, message: str, hints: Hints) -> Wait:
    """The wait for whoever can have the API server take a child: quota or admission."""
    return stuck(names.QUOTA, why_child_refused(kind, name, message, hints), HUMAN_PAUSE)


def why_child_refused(kind: str, name: str, message: str, hints: Hints) -> str:
    """The API server's sentence about a child with what to try."""
    return f"the API server refused {kind} {name}: {_understood(message, hints, pods=kind in WITH_PODS)}"


def why_refused(message: str, hints: Hints) -> str:
    """The API server's sentence with what to try, the same for every pod of a controller."""
    return f"the namespace refuses the pod: {_understood(message, hints)}; goes on by itself"


def _understood(message: str, hints: Hints, *, pods: bool = True) -> str:
    """Cause and remedy; a profile helps only where `pods` are about."""
    cause = re.sub(r'^(Error creating: )?([a-z.]+ "[^"]*" is forbidden: )?', "", message.strip())
    over = re.fullmatch(r"exceeded quota: (\S+), requested: (.*), used: (.*), limited: (.*)", cause)
    if over:
        cause = f"over ResourceQuota {over[1]}: asks for {over[2]}; used {over[3]} of {over[4]}"
        return f"{cause}; {_less_of(over[2], hints)} or have the quota raised"
    if FOREIGN in cause:
        return cause  # says what to do
    return f"{cause}; {_remedy(cause, hints, pods=pods)}"


def _less_of(asked: str, hints: Hints) -> str:
    """What makes room in a quota, by what is asked for: "count/jobs.batch=1,requests.cpu=2"."""
    found = {part.partition("=")[0].strip() for part in asked.split(",")}
    counted = next((remedy for what, remedy in COUNTED if what & found), "")
    if counted:
        return counted
    return f"lower {hints.resources}" if all(map(AMOUNT.fullmatch, found)) else "delete what nobody needs any more"


def _remedy(cause: str, hints: Hints, *, pods: bool) -> str:
    if "failed quota" in cause:
        return "have the ResourceQuota ask only for what these pods say"
    if "PodSecurity" in cause:
        return "have the namespace's label pod-security.kubernetes.io/enforce set to restricted or less"
    if re.search(r"(maximum|minimum) \S+ usage per|limit to request ratio", cause):
        return f"change {hints.resources} or have the namespace's LimitRange changed"
    return _by_profile(cause, hints) if pods else "have what refuses it changed"


def _by_profile(cause: str, hints: Hints) -> str:
    """What the pod lacks, or has too much, the platform team can say in its profile."""
    found = next((fields for words, fields in IN_PROFILE if re.search(words, cause, re.IGNORECASE)), "")
    if found == USER and hints.profile != "TrainingProfile":
        found = ""  # servers set no user
    if found and re.search(MISSING, cause, re.IGNORECASE):
        return f"make what is missing, or change {found} of the {hints.profile}"
    if found:
        return f"set {found} of the {hints.profile}, or have what refuses it changed"
    return f"let spec.pod of the {hints.profile} say what it asks for, change {hints.resources} or what refuses it"
