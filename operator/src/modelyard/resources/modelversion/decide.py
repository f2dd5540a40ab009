"""What a version needs to know, and what then stands in its status."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelyard.api.modelversion import ModelVersionSpec
from modelyard.decision import Decision, Manifest, Need, Observed
from modelyard.resources.conditions import Verdict
from modelyard.resources.modelversion import deletion, status, verification
from modelyard.resources.modelversion.gate import job_ref
from modelyard.resources.modelversion.place import misplaced
from modelyard.resources.modelversion.rules import RULES, Picture
from modelyard.resources.parse import spec_of
from modelyard.resources.rules import first


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
    return (
        status.invalid(obj, spec, now) if isinstance(spec, Verdict) else first(RULES, Picture(obj, spec, observed, now))
    )
