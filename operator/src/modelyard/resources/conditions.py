"""Conditions as kstatus wants them: Ready always, Reconciling and Stalled only while True, times kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard import names
from modelyard.decision import Event, Manifest

MESSAGE_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of an object in one value: what Ready says, why, and whether it moves or is stuck."""

    ready: bool
    reason: str
    message: str
    stalled: bool = False
    """A human is needed; False and not ready means it is still moving."""
    idle: bool = False
    """Not ready, not moving and not stuck (suspended): neither Reconciling nor Stalled."""


def conditions(obj: Manifest, verdict: Verdict, now: datetime, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """The condition list of a status; `more` are conditions of the kind itself (type, status, reason, message)."""
    wanted = [_condition(names.READY, verdict.ready, verdict.reason, verdict.message)]
    if verdict.stalled:
        wanted.append(_condition(names.STALLED, True, verdict.reason, verdict.message))
    elif not verdict.ready and not verdict.idle:
        wanted.append(_condition(names.RECONCILING, True, verdict.reason, verdict.message))
    old = {c["type"]: c for c in obj.get("status", {}).get("conditions", [])}
    generation = obj["metadata"].get("generation", 0)
    ours = [_timed(new, old.get(new["type"]), generation, now) for new in (*wanted, *more)]
    own = {new["type"] for new in ours}
    return ours + [c for c in old.values() if _is_others(c) and c["type"] not in own]


def _is_others(condition: dict[str, Any]) -> bool:
    """True for one that this release never sets: a newer one's, or another controller's.

    Warnings of a trainer are ours whatever their type, which is their reason, too.
    """
    return condition["type"] not in names.CONDITIONS and condition["type"] != condition.get("reason")


def shown_phase(phase: str, verdict: Verdict) -> str:
    """The word for people: what cannot go on before it has begun is not on its way."""
    return "Stalled" if verdict.stalled and phase == "Pending" else phase


def events(obj: Manifest, verdict: Verdict) -> tuple[Event, ...]:
    """One event when the reason of Ready changes: the story stays short."""
    before = condition(obj, names.READY)
    if before is not None and before.get("reason") == verdict.reason:
        return ()
    kind = "Warning" if verdict.stalled else "Normal"
    return (Event(verdict.reason, _short(verdict.message), "Warning" if kind == "Warning" else "Normal"),)


def condition(obj: Manifest | None, type_: str) -> dict[str, Any] | None:
    """The condition of a type, or None."""
    found = (obj or {}).get("status", {}).get("conditions", [])
    return next((c for c in found if c.get("type") == type_), None)


def is_ready(obj: Manifest | None) -> bool:
    """True when Ready is True for the current generation of the spec."""
    found = condition(obj, names.READY)
    return bool(
        obj
        and found
        and found["status"] == "True"
        and obj.get("status", {}).get("observedGeneration", -1) >= obj["metadata"].get("generation", 0)
    )


def _condition(type_: str, true: bool, reason: str, message: str) -> dict[str, Any]:
    return {"type": type_, "status": "True" if true else "False", "reason": reason, "message": _short(message)}


def _timed(new: dict[str, Any], old: dict[str, Any] | None, generation: int, now: datetime) -> dict[str, Any]:
    since = old["lastTransitionTime"] if old and old["status"] == new["status"] else now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {**new, "lastTransitionTime": since, "observedGeneration": generation}


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
