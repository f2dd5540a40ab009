"""Status of a ModelVersion: what it is judged to be, what its deletion waits for, who serves it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from modelyard import names
from modelyard.api.modelversion import ModelVersionStatus
from modelyard.decision import Decision, Effect, Manifest
from modelyard.resources.conditions import Verdict, condition, conditions, events
from modelyard.resources.modelversion import deletion, verification
from modelyard.resources.modelversion.gate import gate_fields, job_ref
from modelyard.resources.modelversion.sizes import humanised
from modelyard.resources.parse import status_of
from modelyard.resources.recheck import LASTING

if TYPE_CHECKING:
    from modelyard.resources.modelversion.rules import Picture

LOOK_AGAIN = 15.0


def judged(p: Picture, verdict: Verdict, suspect_since: str | None = None) -> Decision:
    """What the version is; `suspect_since` says since when the store says otherwise."""
    common = _common(p.obj, verdict, p.now, verification.verified_condition(verdict))
    later = verification.VERIFIED_AGE if verdict.ready else LOOK_AGAIN
    return Decision(
        status=_status(p, {**common, "suspectSince": suspect_since}),
        events=events(p.obj, verdict),
        finalizers=deletion.finalizers(p.spec),
        wake_after=later if suspect_since is None else LASTING,
    )


def deleting(p: Picture, verdict: Verdict, effects: tuple[Effect, ...] = ()) -> Decision:
    """What the deletion waits for; what the version is stands as it was."""
    kept = condition(p.obj, names.VERIFIED)
    more = () if kept is None else ({k: kept[k] for k in ("type", "status", "reason", "message")},)
    return Decision(
        status=_status(p, _common(p.obj, verdict, p.now, *more)),
        events=events(p.obj, verdict),
        effects=effects,
        wake_after=LOOK_AGAIN,
    )


def invalid(obj: Manifest, verdict: Verdict, now: datetime) -> Decision:
    """A spec that is not understood names no artifacts: on deletion they stay, and the object may go."""
    finalizers = () if deletion.being_deleted(obj) and deletion.holds_artifacts(obj) else None
    status = status_of(ModelVersionStatus, obj).dump() | _common(obj, verdict, now)
    return Decision(status=status, events=events(obj, verdict), finalizers=finalizers)


def _common(obj: Manifest, verdict: Verdict, now: datetime, *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "observedGeneration": obj["metadata"].get("generation", 0),
        "conditions": conditions(obj, verdict, now, *more),
        "phase": verdict.reason,
    }


def _status(p: Picture, common: dict[str, Any]) -> Manifest:
    deployments = p.observed.lists.get(deletion.deployments_select(p.namespace, p.spec), ())
    job = p.observed.objects.get(job_ref(p.namespace, p.spec))
    fields = {
        **common,
        **gate_fields(p.spec, status_of(ModelVersionStatus, p.obj), job),
        "metric": p.spec.tested.headline if p.spec.tested else None,
        "size": humanised(p.spec.size),
        "deployedBy": deletion.deployed_by(p.spec, deployments),
    }
    return ModelVersionStatus.model_validate(fields).dump()
