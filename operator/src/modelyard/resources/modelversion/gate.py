"""The gate's verdict: judged by what the version's job asks now, as long as that job is still about this run."""

from __future__ import annotations

from modelyard.api.finetunejob import FineTuneJobSpec, FineTuneJobStatus
from modelyard.api.modelversion import ModelVersionSpec, ModelVersionStatus
from modelyard.decision import Manifest, Ref
from modelyard.resources.conditions import Verdict
from modelyard.resources.parse import spec_of, status_of
from modelyard.resources.quality_gate import judge


def job_ref(namespace: str, spec: ModelVersionSpec) -> Ref:
    """The job that made the version."""
    return Ref("FineTuneJob", spec.job, namespace)


def gate_fields(spec: ModelVersionSpec, last: ModelVersionStatus, job: Manifest | None) -> dict[str, str | None]:
    """`gate` and `gateMessage` of the status: judged anew, or as they stand."""
    asked = _judging_job(spec, job)
    if asked is None:
        return {"gate": last.gate or "unjudged", "gateMessage": last.gate_message}
    verdict = judge(asked.evaluate.gate, spec)
    return {"gate": verdict.gate, "gateMessage": verdict.message}


def _judging_job(spec: ModelVersionSpec, job: Manifest | None) -> FineTuneJobSpec | None:
    """The job's spec while its current run is this version's, and that run is known to belong to that spec."""
    if job is None:
        return None
    status = status_of(FineTuneJobStatus, job)
    current = status.run is not None and status.run.id == spec.run
    seen = status.observed_generation >= job["metadata"].get("generation", 0)
    asked = spec_of(FineTuneJobSpec, job)
    return None if isinstance(asked, Verdict) or not (current and seen) else asked
