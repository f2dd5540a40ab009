"""Pods that the cluster took away: counted once each, up to what the profile allows."""

from __future__ import annotations

from collections.abc import Sequence

from modelyard import names
from modelyard.decision import Manifest
from modelyard.resources.pods import Fault, created, is_disrupted


def taken_after(time: str | None, pods: Sequence[Manifest]) -> list[str]:
    """Creation times of pods taken away that were not counted yet; pods of one Job follow each other."""
    return after(time, [pod for pod in pods if is_disrupted(pod)])


def after(time: str | None, pods: Sequence[Manifest]) -> list[str]:
    """Creation times later than that of the last counted pod, oldest first."""
    return sorted({created(pod) for pod in pods if created(pod) > (time or "")})


def worn_out(count: int, allowed: int, what: str) -> Fault | None:
    """Enough is enough: the Job would try for ever, since such pods do not count as its failures."""
    if count <= allowed:
        return None
    text = (
        f"the cluster took away more pods than the profile allows (disruptions: {allowed}); "
        f"give {what} calmer nodes or raise spec.disruptions of the TrainingProfile"
    )
    return Fault(names.DISRUPTED, text, final=True)
