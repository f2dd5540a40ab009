"""What a version needs to know, and what then stands in its status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelyard.api.modelversion import ModelVersionSpec, ModelVersionStatus
from modelyard.decision import Decision, Manifest, Need, Observed
from modelyard.names import VERIFIED
from modelyard.resources.conditions import Verdict, condition, conditions, events
from modelyard.resources.modelversion import deletion, verification
from modelyard.resources.modelversion.gate import gate_fields, job_ref
from modelyard.resources.modelversion.place import misplaced
from modelyard.resources.modelversion.sizes import humanised
from modelyard.resources.parse import spec_of, status_of
from modelyard.resources.recheck import LASTING

LOOK_AGAIN = 15.0


def needs(obj: Manifest, observed: Observed) -> Iterable[Need]:
    """Claim, artifacts, job and deployments."""
    spec = spec_of(ModelVersionSpec, obj)
    if isinstance(spec, Verdict):
        return
    namespace = obj["metadata"]["namespace"]
    if spec.job:
        yield job_ref(namespace, spec)
    yield deletion.deployments_select(namespace, spec)
    if misplaced(namespace, observed.platform.store_bucket, spec):
        return
    if not deletion.being_deleted(obj):
        yield verification.claimant_fact(namespace, spec, verification.is_suspect(obj))
        yield verification.verified_fact(namespace, spec)
        return
    yield deletion.jobs_select(namespace, spec)
    yield verification.claimant_fact(namespace, spec)


def decide(obj: Manifest, observed: Observed, now: datetime) -> Decision:
    """Verify and judge; on deletion wait for those who serve it, then remove what the policy says."""
    spec = spec_of(ModelVersionSpec, obj)
    if isinstance(spec, Verdict):
        return _invalid(obj, spec, now)
    if deletion.being_deleted(obj):
        return _deleting(obj, spec, observed, now)
    verdict, suspect_since = verification.verify(obj, spec, observed, now)
    more = verification.verified_condition(verdict)
    common = {**_common(obj, verdict, now, more), "suspectSince": suspect_since}
    later = verification.VERIFIED_AGE if verdict.ready else LOOK_AGAIN
    return Decision(
        status=_status(obj, spec, observed, common),
        events=events(obj, verdict),
        finalizers=deletion.finalizers(spec),
        wake_after=later if suspect_since is None else LASTING,
    )


def _deleting(obj: Manifest, spec: ModelVersionSpec, observed: Observed, now: datetime) -> Decision:
    if not deletion.holds_artifacts(obj):
        return Decision()
    verdict = deletion.waits(obj, spec, observed)
    if verdict is None:
        return Decision(finalizers=())
    kept = condition(obj, VERIFIED)
    more = () if kept is None else ({k: kept[k] for k in ("type", "status", "reason", "message")},)
    return Decision(
        status=_status(obj, spec, observed, _common(obj, verdict, now, *more)),
        events=events(obj, verdict),
        effects=deletion.removal(obj, spec, observed),
        wake_after=LOOK_AGAIN,
    )


def _invalid(obj: Manifest, verdict: Verdict, now: datetime) -> Decision:
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


def _status(obj: Manifest, spec: ModelVersionSpec, observed: Observed, common: dict[str, Any]) -> Manifest:
    namespace = obj["metadata"]["namespace"]
    last = status_of(ModelVersionStatus, obj)
    deployments = observed.lists.get(deletion.deployments_select(namespace, spec), ())
    fields = {
        **common,
        **gate_fields(spec, last, observed.objects.get(job_ref(namespace, spec))),
        "metric": spec.tested.headline if spec.tested else None,
        "size": humanised(spec.size),
        "deployedBy": deletion.deployed_by(spec, deployments),
    }
    return ModelVersionStatus.model_validate(fields).dump()
