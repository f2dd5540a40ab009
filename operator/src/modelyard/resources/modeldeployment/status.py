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
from modelyard.resources.modeldeployment import refresh
from modelyard.resources.modeldeployment.candidate import HUMAN
from modelyard.resources.modeldeployment.health import HINTS, answering, fault_of, pods_of, stands
from modelyard.resources.modeldeployment.rollout import Failure, Rollout, last_failure
from modelyard.resources.modeldeployment.server import selector
from modelyard.resources.modeldeployment.situation import Server, Situation
from modelyard.resources.modeldeployment.stable_service import url
from modelyard.resources.modeldeployment.target import Target
from modelyard.resources.pods import Fault
from modelyard.resources.refusals import why_child_refused

PARTS = {
    refresh.IMAGE: "another image",
    refresh.STORE: "another way to the artifact store",
    refresh.TEMPLATE: "another pod template (ServingProfile, copied labels or release of the operator)",
}
"""What a server that is behind lacks, in words."""


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
        "refreshed": rollout.refreshed,
    }
    status = ModelDeploymentStatus.model_validate(fields).dump()
    kept = {str(server) for server in rollout.kept}
    told = [v for v in s.obj.get("status", {}).get("versions", ()) if v["server"] in kept]
    return {**status, "versions": [*status["versions"], *told]}


def versions_of(s: Situation, rollout: Rollout, now: datetime) -> Iterator[VersionStatus]:
    """Every server that runs here or failed last; the one that serves comes first."""
    if rollout.serving is not None:
        yield _of_serving(s, rollout.serving, rollout, now)
    if rollout.candidate is not None and rollout.trial is not None:
        yield _status(
            rollout.candidate.server,
            CANDIDATE,
            since=rollout.candidate_since or stamp(now),
            reason=rollout.trial.reason,
            message=rollout.trial.message,
            generation=s.generation,
            suspect_since=rollout.trial.suspect_since,
        )
    yield from (_status(server, DRAINING, since=since) for server, since in rollout.draining)
    failure, candidate = rollout.failure, rollout.candidate.server if rollout.candidate else None
    running = (rollout.serving, candidate, *(server for server, _ in rollout.draining), *rollout.kept)
    if failure is not None and failure.server not in running:
        yield _status(
            failure.server,
            FAILED,
            since=_since(s, failure.server, FAILED, now, failure == last_failure(s)),
            reason=failure.reason,
            message=failure.message,
            generation=failure.generation,
            template=failure.template,
        )


def _status(server: Server, state: str, **fields: Any) -> VersionStatus:
    return VersionStatus(server=str(server), number=server.number, state=state, **fields)


def _of_serving(s: Situation, server: Server, rollout: Rollout, now: datetime) -> VersionStatus:
    """A version that the Service selects is on trial until the address has answered."""
    weight = 100 if s.selected == server else 0
    if not rollout.unanswered or not weight:
        old = list(refresh.behind(s)) or None
        return _status(server, SERVING, weight=weight, since=_since(s, server, SERVING, now), behind=old)
    return _status(
        server,
        CANDIDATE,
        weight=weight,
        since=_since(s, server, CANDIDATE, now),
        reason=names.ROLLING_OUT,
        message=rollout.unanswered,
    )


def _since(s: Situation, server: Server, state: str, now: datetime, same: bool = True) -> str:
    """Since when a server is in its state: as before, or from now."""
    last = s.last.of(str(server))
    return begun(last.since if same and last is not None and last.state == state else None, now)


def _scale(s: Situation, server: Server | None) -> dict[str, Any]:
    """What an autoscaler reads: the serving version's pods; a candidate and one that drains are not counted."""
    if server is None:
        return {}
    marks = ",".join(f"{key}={value}" for key, value in sorted(selector(s, server).items()))
    return {"replicas": (s.deployment(server) or {}).get("status", {}).get("replicas", 0), "selector": marks}


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
    candidate = rollout.candidate
    if candidate is not None and _was(s, candidate.server) != CANDIDATE:
        again = " again" if rollout.serving is not None and candidate.number == rollout.serving.number else ""
        lines.append(Event(names.ROLLING_OUT, f"starting version {candidate.number}{again}"))
    if rollout.failure is not None and rollout.failure != last_failure(s):
        failure = rollout.failure
        text = f"version {failure.server.number} failed: {failure.message}"
        lines.append(Event(failure.reason, text[:1024], "Warning"))
    if rollout.serving is not None and not rollout.unanswered and _was(s, rollout.serving) != SERVING:
        lines.append(Event(names.SERVING, f"version {rollout.serving.number} serves"))
    told = {line.reason for line in lines}
    return (*lines, *(event for event in ready_events(s.obj, verdict) if event.reason not in told))


def _was(s: Situation, server: Server) -> str:
    last = s.last.of(str(server))
    return "" if last is None else last.state


def _serving(s: Situation, of: Server, unanswered: str) -> Verdict:
    number = of.number
    if answering(s, of) > 0 and unanswered:
        return Verdict(False, names.ROLLING_OUT, f"version {number} should serve: {unanswered}")
    if answering(s, of) > 0:
        return Verdict(True, names.SERVING, f"version {number} serves")
    if s.server(of) is None and number not in s.versions:
        text = f"the server of version {number} is gone and ModelVersion {s.spec.model.name}-{number} does not exist"
        return Verdict(False, names.VERSION_NOT_FOUND, f"{text}: set spec.model to another version", stalled=True)
    fault = fault_of(s, of, pods_of(s, of))
    if fault is None:
        return Verdict(False, names.WAITING_FOR_POD, f"version {number} should serve; none of its pods is available")
    text = f"version {number} does not serve: {fault.message}{_and_its_artifacts(s, number)}"
    return Verdict(False, fault.reason, text, stalled=_needs_human(s, number, fault))


def _more(s: Situation, target: Target, rollout: Rollout, verdict: Verdict) -> Iterator[dict[str, Any]]:
    """That the server is behind; and while the address answers what moves or is stuck besides, the stuck first."""
    yield from _out_of_date(s, rollout)
    troubles = list(_troubles(s, target, rollout)) if verdict.ready else []
    first = next((t for t in troubles if t.stalled), troubles[0] if troubles else None)
    if first is not None:
        type_ = names.STALLED if first.stalled else names.RECONCILING
        yield {"type": type_, "status": "True", "reason": first.reason, "message": first.message[:1024]}


def _out_of_date(s: Situation, rollout: Rollout) -> Iterator[dict[str, Any]]:
    parts = refresh.behind(s)
    if rollout.serving is None or not parts or rollout.unanswered:
        return
    reason = names.SERVER_CHANGED if refresh.INSTALLATION & set(parts) else names.TEMPLATE_CHANGED
    said = " and ".join(PARTS[part] for part in parts)
    how = (
        f"kubectl annotate modeldeployment {s.name} {names.ANNOTATION_REFRESH}=VALUE --overwrite, with a value of yours"
    )
    remedy = "it is being moved" if rollout.candidate else f"to move it: {how}"
    text = f"version {rollout.serving.number} serves on as it went live; a server made now would have {said}; {remedy}"
    yield {"type": names.OUT_OF_DATE, "status": "True", "reason": reason, "message": text[:1024]}


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


def _failed(failure: Failure, serving: Server | None) -> Verdict:
    rest = f"version {serving.number} serves on. " if serving is not None else ""
    again, more = "", "a newer version appears"
    if serving is not None and serving.number == failure.server.number:
        again, more = (
            ", started again with what the installation has now,",
            f"{names.ANNOTATION_REFRESH} has a new value",
        )
    text = (
        f"version {failure.server.number}{again} failed and gets no traffic: {failure.message}. {rest}"
        f"It is tried again when this spec, the ServingProfile or the server image changes, or {more}"
    )
    return Verdict(False, failure.reason, text, stalled=True)


def _settling(s: Situation, of: Server) -> Verdict:
    number, fault = of.number, fault_of(s, of, pods_of(s, of))
    count = answering(s, of)
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
