"""Status, conditions and events: Ready says whether the stable address answers, the rest what moves or is stuck."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from modelyard import names
from modelyard.api.modeldeployment import ModelDeploymentStatus
from modelyard.decision import Event, Manifest
from modelyard.resources.conditions import Verdict, conditions
from modelyard.resources.conditions import events as ready_events
from modelyard.resources.modeldeployment.candidate import HUMAN
from modelyard.resources.modeldeployment.health import HINTS, answering, fault_of, pods_of, stands
from modelyard.resources.modeldeployment.rollout import Failure, Rollout
from modelyard.resources.modeldeployment.server import selector
from modelyard.resources.modeldeployment.situation import Situation
from modelyard.resources.modeldeployment.stable_service import url
from modelyard.resources.modeldeployment.target import Target
from modelyard.resources.pods import Fault
from modelyard.resources.refusals import why_child_refused


def status_of_rollout(s: Situation, target: Target, rollout: Rollout, verdict: Verdict, now: datetime) -> Manifest:
    """The whole status."""
    failure = rollout.failure
    fields = {
        "observedGeneration": s.generation,
        "conditions": conditions(s.obj, verdict, now, *_more(s, target, rollout, verdict)),
        "phase": _phase(rollout, verdict),
        "serving": rollout.serving,
        "candidate": rollout.candidate,
        "candidateSince": rollout.candidate_since,
        "suspectSince": None if rollout.trial is None else rollout.trial.suspect_since,
        "previous": rollout.previous,
        "switchedAt": rollout.switched_at,
        "url": url(s),
        **_scale(s, rollout.serving),
        "backend": s.last.backend if rollout.candidate is None and rollout.serving is None else s.backend,
        **({} if failure is None else _failed_fields(failure)),
    }
    return ModelDeploymentStatus.model_validate(fields).dump()


def _scale(s: Situation, number: int | None) -> dict[str, Any]:
    """What an autoscaler reads: the serving version's pods; a candidate and one that drains are not counted."""
    if number is None:
        return {}
    marks = ",".join(f"{key}={value}" for key, value in sorted(selector(s, number).items()))
    return {"replicas": (s.deployment(number) or {}).get("status", {}).get("replicas", 0), "selector": marks}


def verdict_of(s: Situation, target: Target, rollout: Rollout) -> Verdict:
    """What Ready says."""
    troubles = list(_troubles(s, target, rollout))
    if rollout.serving is None:
        default = Verdict(False, names.WAITING_FOR_VERSION, f"waiting for a version of model {s.spec.model.name}")
        return troubles[0] if troubles else default
    verdict = _serving(s, rollout.serving)
    if verdict.ready or not troubles:
        return verdict
    if s.blocked and target.fault is not None:
        return target.fault
    text = f"{verdict.message}; {troubles[0].message}"
    return Verdict(False, verdict.reason, text, stalled=verdict.stalled)


def events(s: Situation, rollout: Rollout, verdict: Verdict) -> tuple[Event, ...]:
    """What moved in this pass; every line appears once."""
    lines: list[Event] = []
    if rollout.candidate is not None and rollout.candidate != s.last.candidate:
        lines.append(Event(names.ROLLING_OUT, f"starting version {rollout.candidate}"))
    if rollout.failure is not None and _failed_fields(rollout.failure) != _remembered(s):
        failure = rollout.failure
        lines.append(Event(failure.reason, f"version {failure.version} failed: {failure.message}"[:1024], "Warning"))
    if rollout.serving is not None and rollout.serving != s.last.serving:
        lines.append(Event(names.SERVING, f"version {rollout.serving} serves"))
    told = {line.reason for line in lines}
    return (*lines, *(event for event in ready_events(s.obj, verdict) if event.reason not in told))


def _serving(s: Situation, number: int) -> Verdict:
    if answering(s, number) > 0:
        return Verdict(True, names.SERVING, f"version {number} serves")
    server = s.server(number)
    if server is None and number not in s.versions:
        text = f"the server of version {number} is gone and ModelVersion {s.spec.model.name}-{number} does not exist"
        return Verdict(False, names.VERSION_NOT_FOUND, f"{text}: set spec.model to another version", stalled=True)
    fault = fault_of(s, number, pods_of(s, number))
    if fault is None:
        return Verdict(False, names.WAITING_FOR_POD, f"version {number} should serve; none of its pods is available")
    text = f"version {number} does not serve: {fault.message}{_and_its_artifacts(s, number)}"
    return Verdict(False, fault.reason, text, stalled=_needs_human(s, number, fault))


def _more(s: Situation, target: Target, rollout: Rollout, verdict: Verdict) -> Iterator[dict[str, Any]]:
    """While the address answers: what moves or is stuck besides, the stuck first."""
    troubles = list(_troubles(s, target, rollout)) if verdict.ready else []
    first = next((t for t in troubles if t.stalled), troubles[0] if troubles else None)
    if first is not None:
        type_ = names.STALLED if first.stalled else names.RECONCILING
        yield {"type": type_, "status": "True", "reason": first.reason, "message": first.message[:1024]}


def _troubles(s: Situation, target: Target, rollout: Rollout) -> Iterator[Verdict]:
    if target.fault is not None:
        yield target.fault
    if rollout.failure is not None and rollout.barred:
        yield _failed(rollout.failure, rollout.serving)
    if rollout.trial is not None:
        yield Verdict(False, rollout.trial.reason, rollout.trial.message, stalled=rollout.trial.stalled)
    for (kind, name), message in sorted(s.observed.refused.items()):
        yield Verdict(False, names.QUOTA, why_child_refused(kind, name, message, HINTS), stalled=True)
    if rollout.serving is not None and not stands(s, rollout.serving):
        yield _settling(s, rollout.serving)


def _failed(failure: Failure, serving: int | None) -> Verdict:
    rest = f"version {serving} serves on. " if serving is not None else ""
    text = (
        f"version {failure.version} failed and gets no traffic: {failure.message}. {rest}"
        "It is tried again when this spec, the ServingProfile or the server image changes, or a newer version appears"
    )
    return Verdict(False, failure.reason, text, stalled=True)


def _settling(s: Situation, number: int) -> Verdict:
    fault = fault_of(s, number, pods_of(s, number))
    count = answering(s, number)
    text = f"{count} pods are available, {s.replicas} wanted, old ones may be going"
    if fault is not None:
        text = f"{fault.message}{_and_its_artifacts(s, number)}"
    stalled = fault is not None and _needs_human(s, number, fault)
    return Verdict(False, fault.reason if fault else names.ROLLING_OUT, f"version {number}: {text}", stalled=stalled)


def _needs_human(s: Situation, number: int, fault: Fault) -> bool:
    """A server whose version was refuted cannot start again by itself."""
    return fault.final or fault.reason in HUMAN or bool(_and_its_artifacts(s, number))


def _and_its_artifacts(s: Situation, number: int) -> str:
    version = s.versions.get(number)
    return f"; its ModelVersion: {version.trouble}" if version is not None and version.trouble else ""


def _phase(rollout: Rollout, verdict: Verdict) -> str:
    if not verdict.ready:
        return verdict.reason
    return names.SERVING if rollout.candidate is None else names.ROLLING_OUT


def _failed_fields(failure: Failure) -> dict[str, Any]:
    return {
        "failed": failure.version,
        "failedGeneration": failure.generation,
        "failedTemplate": failure.template,
        "failedReason": failure.reason,
        "failedMessage": failure.message,
    }


def _remembered(s: Situation) -> dict[str, Any]:
    known = s.last.dump()
    return {field: value for field, value in known.items() if field.startswith("failed")}
