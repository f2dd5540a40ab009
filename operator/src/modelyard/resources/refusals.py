"""Pods that the API server refuses a controller: quota, LimitRange and Pod Security in words that name the field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from modelyard import names
from modelyard.decision import Fact, Manifest, Observed
from modelyard.resources import jobs
from modelyard.resources.pods import created, is_live
from modelyard.resources.waiting import HUMAN_PAUSE, Wait, stuck, waits_for_pod

EVENTS_AGE = 10.0
LOOK_AGAIN = 3.0


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


def refused_pods(job: Manifest | None, pods: Sequence[Manifest], observed: Observed, field: str) -> Wait | None:
    """The wait for whoever can lift the refusal; None if pods are there, or nothing newer than they was refused.

    `field` is the field of the object that says what its pods ask for.
    """
    if job is None or not lacks_pods(job, pods):
        return None
    answer = observed.fact(refusal_fact(job))
    newest = max(map(created, pods), default="")
    if answer is None or not answer.value or answer.value["at"] < newest:
        return None if pods else waits_for_pod(job["metadata"]["name"], LOOK_AGAIN)
    return stuck(names.QUOTA, why_refused(answer.value["message"], field), HUMAN_PAUSE)


def why_refused(message: str, field: str) -> str:
    """The API server's sentence with what to try, the same for every pod of a controller."""
    cause = re.sub(r'^(Error creating: )?(pods? "[^"]*" is forbidden: )?', "", message.strip())
    over = re.fullmatch(r"exceeded quota: (\S+), requested: (.*), used: (.*), limited: (.*)", cause)
    if over:
        cause = f"over ResourceQuota {over[1]}: asks for {over[2]}; used {over[3]} of {over[4]}"
        remedy = f"lower {field} or have the quota raised"
    elif "failed quota" in cause:
        remedy = "have the ResourceQuota ask only for what these pods say"
    elif "PodSecurity" in cause:
        remedy = "have the namespace's label pod-security.kubernetes.io/enforce set to restricted or less"
    elif re.search(r"(maximum|minimum) \S+ usage per|limit to request ratio", cause):
        remedy = f"change {field} or have the namespace's LimitRange changed"
    else:
        remedy = f"change {field} or what refuses it"
    return f"the namespace refuses the pod: {cause}; {remedy}; goes on by itself"
