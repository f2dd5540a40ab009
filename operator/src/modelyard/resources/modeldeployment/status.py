"""Status, conditions and events: Ready says whether the stable address answers, the rest what moves or is stuck."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from modelyard import names
from modelyard.api.modeldeployment import (
    CANDIDATE,
    DRAINING,
    FAILED,
    SERVING,
    ModelDeploymentStatus,
    VersionStatus,
)
from modelyard.decision import Event, Manifest
from modelyard.resources.clock import begun, stamp
from modelyard.resources.conditions import Verdict, conditions
from modelyard.resources.conditions import events as ready_events
from modelyard.resources.modeldeployment.candidate import HUMAN
from modelyard.resources.modeldeployment.health import HINTS, answering, fault_of, pods_of, stands
from modelyard.resources.modeldeployment.rollout import Failure, Rollout, last_failure
from modelyard.resources.modeldeployment.server import selector
from modelyard.resources.modeldeployment.situation import Situation
from modelyard.resources.modeldeployment.stable_service import url
from modelyard.resources.modeldeployment.target import Target
from modelyard.resources.pods import Fault
from modelyard.resources.refusals import why_child_refused


def status_of_rollout(s: Situation, target: Target, rollout: Rollout, verdict: Verdict, now: datetime) -> Manifest:
    """The whole status."""
    fields = {
        "observedGeneration": s.generation,
        "conditions": conditions(s.obj, verdict, now, *_more(s, target, rollout, verdict)),
        "phase": _phase(rollout, verdict),
        "versions": [v.dump() for v in versions_of(s, rollout, now)],
        "url": url(s),
        **_scale(s, rollout.serving),
        "backend": s.last.backend if rollout.candidate is None and rollout.serving is None else s.backend,
    }
    status = ModelDeploymentStatus.model_validate(fields).dump()
    told = [v for v in s.obj.get("status", {}).get("versions", ()) if v["number"] in rollout.kept]
    return {**status, "versions": [*status["versions"], *told]}


def versions_of(s: Situation, rollout: Rollout, now: datetime) -> Iterator[VersionStatus]:
    """Every version that runs here or failed last; the one that serves comes first."""
    if rollout.serving is not None:
        yield _of_serving(s, rollout.serving, rollout, now)
    if rollout.candidate is not None and rollout.trial is not None:
        yield VersionStatus(
            number=rollout.candidate,
            state=CANDIDATE,
            since=rollout.candidate_since or stamp(now),
            reason=rollout.trial.reason,
            message=rollout.trial.message,
            generation=s.generation,
            suspect_since=rollout.trial.suspect_since,
        )
    yield from (VersionStatus(number=number, state=DRAINING, since=since) for number, since in rollout.draining)
    failure, kept = rollout.failure, (rollout.serving, rollout.candidate, *(n for n, _ in rollout.draining))
    if failure is not None and failure.version not in (*kept, *rollout.kept):
        yield VersionStatus(
            number=failure.version,
            state=FAILED,
            since=_since(s, failure.version, FAILED, now, failure == last_failure(s)),
            reason=failure.reason,
            message=failure.message,
            generation=failure.generation,
            template=failure.template,
        )


def _of_serving(s: Situation, number: int, rollout: Rollout, now: datetime) -> VersionStatus:
    """A version that the Service selects is on trial until the address has answered."""
    weight = 100 if s.selected == number else 0
    if not rollout.unanswered or not weight:
        return VersionStatus(number=number, state=SERVING, weight=weight, since=_since(s, number, SERVING, now))
    return VersionStatus(
        number=number,
        state=CANDIDATE,
        weight=weight,
        since=_since(s, number, CANDIDATE, now),
        reason=names.ROLLING_OUT,
        message=rollout.unanswered,
    )


def _since(s: Situation, number: int, state: str, now: datetime, same: bool = True) -> str:
    """Since when a version is in its state: as before, or from now."""
    last = s.last.of(number)
    return begun(last.since if same and last is not None and last.state == state else None, now)


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
    verdict = _serving(s, rollout.serving, rollout.unanswered)
    if verdict.ready or not troubles:
        return verdict
    if s.blocked and target.fault is not None:
        return target.fault
    text = f"{verdict.message}; {troubles[0].message}"
    return Verdict(False, verdict.reason, text, stalled=verdict.stalled)


def events(s: Situation, rollout: Rollout, verdict: Verdict) -> tuple[Event, ...]:
    """What moved in this reconcile; every line appears once."""
    lines: list[Event] = []
    if rollout.candidate is not None and _was(s, rollout.candidate) != CANDIDATE:
        lines.append(Event(names.ROLLING_OUT, f"starting version {rollout.candidate}"))
    if rollout.failure is not None and rollout.failure != last_failure(s):
        failure = rollout.failure
        lines.append(Event(failure.reason, f"version {failure.version} failed: {failure.message}"[:1024], "Warning"))
    if rollout.serving is not None and not rollout.unanswered and _was(s, rollout.serving) != SERVING:
        lines.append(Event(names.SERVING, f"version {rollout.serving} serves"))
    told = {line.reason for line in lines}
    return (*lines, *(event for event in ready_events(s.obj, verdict) if event.reason not in told))


def _was(s: Situation, number: int) -> str:
    last = s.last.of(number)
    return "" if last is None else last.state


def _serving(s: Situation, number: int, unanswered: str) -> Verdict:
    if answering(s, number) > 0 and unanswered:
        return Verdict(False, names.ROLLING_OUT, f"version {number} should serve: {unanswered}")
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
