"""The same failure twice in a row, with nothing done in between: another pod would meet it again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from modelyard.api.run import ExitCode
from modelyard.decision import Manifest
from modelyard.resources.pods import (
    Fault,
    Hints,
    created,
    diagnose,
    failed_container,
    has_started,
    is_disrupted,
    is_live,
    outcome,
)

SIGNALS = 128
"""Exit codes from here on: something outside ended the process."""
CHANGES = (ExitCode.STORE_UNAVAILABLE, ExitCode.INTERRUPTED)
"""Ends that time may fix."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a pod's program ended by itself, without what differs from pod to pod, and how far it had come."""

    code: int
    reason: str
    message: str
    stage: str
    step: int | None
    """Optimizer steps of the run; None if the program told nothing."""

    def same(self, other: Death) -> bool:
        """True for another death of the same cause."""
        return (self.code, self.reason, self.message, self.stage) == (
            other.code, other.reason, other.message, other.stage,
        )  # fmt: skip


def repeated(pods: Sequence[Manifest], hints: Hints, *, steps: int = 0) -> Fault | None:
    """The fault of the two newest pods that started, if both met it and the second came no further.

    `steps` is what is known of the run's progress when the program itself told nothing: then any step counts.
    """
    newest = sorted((pod for pod in pods if has_started(pod)), key=created)[-2:]
    deaths = [_death(pod) for pod in newest]
    if len(deaths) < 2 or deaths[0] is None or deaths[1] is None or not deaths[0].same(deaths[1]):
        return None
    if _further(deaths[0].step, deaths[1].step, steps):
        return None
    fault = diagnose(newest[1:], hints)
    if fault is None:
        return None
    return Fault(fault.reason, f"{fault.message}; the same failure twice in a row, so it is not tried again", True)


def _further(first: int | None, second: int | None, steps: int) -> bool:
    return steps > 0 if first is None or second is None else second > first


def _death(pod: Manifest) -> Death | None:
    """None for a pod that lives, was taken away, or was ended from outside."""
    container = None if is_live(pod) or is_disrupted(pod) else failed_container(pod)
    if container is None:
        return None
    ended = container["state"]["terminated"]
    code, told = int(ended["exitCode"]), outcome(ended.get("message", ""))
    if code >= SIGNALS or code in CHANGES or ended.get("reason") == "OOMKilled":
        return None
    if told is None:
        return Death(code, container["name"], _stable(ended.get("message", "")), "", None)
    return Death(code, told.reason, _stable(told.message), told.stage, told.step)


def _stable(message: str) -> str:
    """Without addresses and times, which differ from pod to pod."""
    return re.sub(r"0x[0-9a-f]+|\d\d:\d\d:\d\d\S*|\d{4}-\d\d-\d\d", "…", message).strip()
