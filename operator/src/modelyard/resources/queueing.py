"""Kueue: a Job with its label is made suspended, and from then on only Kueue starts and stops it."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard import names
from modelyard.api.trainingprofile import TrainingProfileSpec
from modelyard.decision import Fact, Manifest, Observed
from modelyard.resources.waiting import Wait, moving

ASK_EVERY = 30.0


def queue_of(obj: Manifest, profile: TrainingProfileSpec) -> str:
    """The local queue that the object's own label names, or else its profile; empty: no queue."""
    return str(obj["metadata"].get("labels", {}).get(names.LABEL_QUEUE) or profile.queue or "")


def labels_of(obj: Manifest) -> dict[str, str]:
    """The object's own queue label, for a child that is to wait in the same queue."""
    own = obj["metadata"].get("labels", {}).get(names.LABEL_QUEUE)
    return {names.LABEL_QUEUE: str(own)} if own else {}


def queue_in(job: Manifest | None) -> str:
    """The queue that a Job belongs to; empty: none."""
    return str((job or {"metadata": {}})["metadata"].get("labels", {}).get(names.LABEL_QUEUE, ""))


def queue_needs(job: Manifest | None) -> Iterable[Fact]:
    """What Kueue says, asked while it holds the Job."""
    if job is not None and is_held(job):
        yield queue_fact(job)


def queue_fact(job: Manifest) -> Fact:
    """Why Kueue does not start this Job."""
    meta = job["metadata"]
    return Fact.of("queue_word", max_age=ASK_EVERY, namespace=meta["namespace"], uid=meta["uid"])


def is_held(job: Manifest) -> bool:
    """True while Kueue keeps the Job from running."""
    return bool(queue_in(job) and job["spec"].get("suspend"))


def waits_in_queue(job: Manifest | None, observed: Observed, *, again: str = "") -> Wait | None:
    """What a suspended Job waits for; None if it may run. `again`: how it begins if Kueue took its pods back."""
    if job is None or not is_held(job):
        return None
    name, queue = job["metadata"]["name"], queue_in(job)
    answer = observed.fact(queue_fact(job))
    told = f": {answer.value}" if answer is not None and answer.value else ""
    where = f"waits in queue {queue} until Kueue starts Job {name}"
    text = f"Kueue took the pods back: the run {where}, and {again}" if again else where
    return moving(names.QUEUED, f"{text}{told}; kubectl describe localqueue {queue} shows the queue", ASK_EVERY)
