"""Waiting as a value: what Ready says meanwhile, and when to look again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from modelyard import names
from modelyard.decision import Answer, Manifest
from modelyard.resources.conditions import Verdict, condition
from modelyard.resources.pods import Fault

SOON = 0.2
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 20.0
HUMAN_PAUSE = 30.0
"""Seconds between looks at what no watch reports while a human is at work: a key, a missing folder."""
WAITING_FOR_ROOM = 60.0
"""Seconds after which it is told anew how much is free."""
NEEDS_HUMAN = {names.IMAGE_PULL, names.SECRET_MISSING, names.BAD_CONFIG}


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: a verdict, and seconds after which nothing but the clock would tell us more."""

    verdict: Verdict
    wake_after: float | None = None
    backoff: bool = False
    """Look again later and later, as long as the object is not ready."""


def moving(reason: str, message: str, wake_after: float | None = None, *, backoff: bool = False) -> Wait:
    """Goes on by itself."""
    return Wait(Verdict(False, reason, message), wake_after, backoff)


def stuck(reason: str, message: str, wake_after: float | None = None) -> Wait:
    """A human is needed; goes on by itself once the cause is fixed."""
    return Wait(Verdict(False, reason, message, stalled=True), wake_after)


def unanswered(answer: Answer, what: str) -> Wait:
    """A question to the store that failed: an outage passes by itself, a refused key does not."""
    message = f"{what}: {answer.message}"
    if answer.reason in names.STORE_FOR_PEOPLE:
        return stuck(answer.reason, message, HUMAN_PAUSE)
    return moving(answer.reason, message, backoff=True)


def waits_for_pod(job: str, wake_after: float | None = None) -> Wait:
    """The same words from the making of a Job until its pod runs."""
    text = f"Job {job} waits for its pod; the first one on a node pulls the trainer image, which may take minutes"
    return moving(names.WAITING_FOR_POD, text, wake_after)


def held_up(fault: Fault) -> Wait:
    """A pod that cannot start; it goes on by itself once the cause is fixed."""
    again = WAITING_FOR_ROOM if fault.reason == names.UNSCHEDULABLE else None
    return Wait(Verdict(False, fault.reason, fault.message, stalled=fault.reason in NEEDS_HUMAN), again)


def pause(obj: Manifest, wait: Wait, now: datetime) -> float | None:
    """Seconds until the next look."""
    if not wait.backoff:
        return wait.wake_after
    return min(LONGEST_PAUSE, max(FIRST_PAUSE, waited(obj, now) / 4))


def waited(obj: Manifest, now: datetime) -> float:
    """Seconds for which an object has not been ready."""
    ready = condition(obj, names.READY)
    if ready is None or ready["status"] == "True":
        return 0.0
    since = datetime.strptime(ready["lastTransitionTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return (now - since).total_seconds()
