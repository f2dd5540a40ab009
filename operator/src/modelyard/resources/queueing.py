"""Kueue: a Job with its label is made suspended, and from then on only Kueue starts and stops it."""

from __future__ import annotations

from modelyard import names
from modelyard.api.trainingprofile import TrainingProfileSpec
from modelyard.decision import Manifest
from modelyard.resources.waiting import Wait, moving


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


def waits_in_queue(job: Manifest | None, *, ran: bool) -> Wait | None:
    """What a suspended Job waits for, also one of which Kueue took the pods back; None if it may run."""
    queue = queue_in(job)
    if job is None or not queue or not job["spec"].get("suspend"):
        return None
    name = job["metadata"]["name"]
    where = f"waits in queue {queue} until Kueue starts Job {name}"
    text = f"Kueue took the pods back: the run {where}, and goes on from its last checkpoint" if ran else where
    return moving(names.QUEUED, f"{text} (kubectl describe localqueue {queue} and kubectl get workloads say why)")
