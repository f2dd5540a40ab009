"""What it cost that a pod went: an event once the next one has told from which checkpoint it went on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modelyard import names
from modelyard.api.finetunejob import Progress, Run
from modelyard.decision import Event, Manifest
from modelyard.resources.finetunejob.case import Answer, Case
from modelyard.resources.finetunejob.progress import humanised
from modelyard.resources.pods import created
from modelyard.resources.sidecars import decisive


def events(case: Case, answer: Answer) -> tuple[Event, ...]:
    """One event for each checkpoint that a pod goes on from."""
    before, after, run = case.status.progress, answer.progress, answer.run
    if after is None or run is None or not after.resumed_from:
        return ()
    if before is not None and before.resumed_from == after.resumed_from:
        return ()
    cost = _cost(case, run, answer.resumes, before, after)
    return (Event(names.RESUMED, f"goes on from step {after.resumed_from} of {after.steps}{cost}"),)


def _cost(case: Case, run: Run, resumes: int, before: Progress | None, after: Progress) -> str:
    """Steps done twice, time without a pod, and what is left of the disruption budget; as far as it is known."""
    parts, start = [], after.resumed_from or 0
    if before is not None and before.step >= start:
        parts.append(f"{before.step - start} reported steps are done again")
    pods = [pod for pod in case.observed.pods if pod["metadata"].get("labels", {}).get(names.LABEL_RUN) == run.id]
    gap = _gap(pods) if len(pods) == resumes + 1 else None  # of a pod that is gone nobody knows when it ended
    if gap is not None:
        parts.append(f"{humanised(gap)} without a pod")
    if run.pinned is not None and run.disruptions:
        parts.append(f"disruption {run.disruptions} of {run.pinned.disruptions} allowed")
    return f": {', '.join(parts)}" if parts else ""


def _gap(pods: list[Manifest]) -> float | None:
    """Seconds between the end of the last pod but one and the start of the last; None if one of them is unknown."""
    last = sorted(pods, key=created)[-2:]
    if len(last) < 2:
        return None
    ended = _state(last[0]).get("terminated", {}).get("finishedAt")
    began = _state(last[1]).get("running", {}).get("startedAt")
    return (datetime.fromisoformat(began) - datetime.fromisoformat(ended)).total_seconds() if ended and began else None


def _state(pod: Manifest) -> dict[str, Any]:
    return dict(decisive(pod).get("state", {}))
