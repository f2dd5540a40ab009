"""How a run ends: with a version that was verified and judged, or with a reason and what to try."""

from __future__ import annotations

from dataclasses import replace

from modelyard import names
from modelyard.api.common import Failure
from modelyard.api.finetunejob import Progress, Run
from modelyard.api.modelversion import ModelVersionSpec
from modelyard.decision import Manifest
from modelyard.resources import run_job
from modelyard.resources.conditions import Verdict, condition
from modelyard.resources.finetunejob.case import Answer, Case, job_name
from modelyard.resources.finetunejob.training_job import Situation, situation
from modelyard.resources.finetunejob.version import Published, claim, published, standing, version_child, version_ref
from modelyard.resources.parse import spec_of
from modelyard.resources.pods import Fault
from modelyard.resources.quality_gate import judge
from modelyard.resources.recheck import recheck
from modelyard.resources.waiting import Wait


def publish(case: Case, now: Situation) -> Answer:
    """Something is published: verify it, number it, make its version; only then the run has succeeded."""
    adopted = now.run.adopted or not now.started
    run = now.run.model_copy(update={"adopted": adopted, "suspect_since": None})
    found = published(case, run)
    if isinstance(found, Fault):
        return recheck_failure(case, now, found)
    if isinstance(found, Wait):
        return replace(waiting(case, now, run, found), effects=claim(case, run))
    version = standing(case, found)
    if isinstance(version, Wait):
        return waiting(case, now, run, version, found)
    return succeeded(case, run.model_copy(update={"state": "Succeeded"}), found.name, version, now.resumes)


def waiting(case: Case, now: Situation, run: Run, wait: Wait, found: Published | None = None) -> Answer:
    """Nothing trains any more; the store or the version is waited for."""
    children = now.kept if found is None else (*now.kept, version_child(found))
    last = case.status.progress
    progress = None if last is None else last.model_copy(update={"eta": None})
    phase = "Publishing" if now.started or run.adopted else "Pending"
    return Answer(run, wait.verdict, phase, children, wait.wake_after, wait.backoff, now.resumes, progress=progress)


def succeeded(case: Case, run: Run, name: str, version: Manifest | None, resumes: int) -> Answer:
    """The version exists; the gate is judged by what the spec asks now. A deleted one is not made again."""
    status, spec = case.status, _spec_of(version)
    gate, metric = status.gate, status.metric
    verdict = _without_version(case, name)
    warnings = tuple(spec.warnings) if spec else ()
    if spec is not None:
        judged = judge(case.spec.evaluate.gate, spec)
        gate, metric = judged.gate, spec.tested.headline if spec.tested else None
        verdict = _judged(run, name, metric, judged.gate == "passed", judged.message)
    return Answer(
        run, verdict, "Succeeded" if verdict.ready else "GateFailed",
        run_job.after_success(job_name(run), case.observed), resumes=resumes,
        progress=_done(status.progress), version=name, gate=gate, metric=metric, warnings=warnings,
    )  # fmt: skip


def recheck_failure(case: Case, now: Situation, fault: Fault) -> Answer:
    """The store alone says that the run came to nothing: it may be wrong once, the end of a run is final."""
    since, wait = recheck(now.run.suspect_since, fault, case.now)
    if wait is None:
        return fail(case, now, fault)
    return waiting(case, now, now.run.model_copy(update={"suspect_since": since}), wait)


def fail(case: Case, now: Situation, fault: Fault) -> Answer:
    """The end of the run, for good; another attempt is another run."""
    message = fault.message
    if "spec.attempt" not in message:
        message = f"{message}; {case.next_attempt}"
    update = {"state": "Failed", "failure": Failure(reason=fault.reason, message=message)}
    return _failed(case, now.run.model_copy(update=update), now)


def failed(case: Case, run: Run) -> Answer:
    """Failed stays failed."""
    now = situation(case, run)
    return _failed(case, now.run, now)


def _failed(case: Case, run: Run, now: Situation) -> Answer:
    why = run.failure or Failure(reason=names.TRAINER_FAILED, message=f"the run failed; {case.next_attempt}")
    verdict = Verdict(False, why.reason, why.message, stalled=True)
    last = case.status.progress
    progress = None if last is None else last.model_copy(update={"eta": None})
    return Answer(
        run,
        verdict,
        "Failed",
        run_job.after_failure(job_name(run), case.observed),
        resumes=now.resumes,
        progress=progress,
    )


def _spec_of(version: Manifest | None) -> ModelVersionSpec | None:
    spec = None if version is None else spec_of(ModelVersionSpec, version)
    return None if isinstance(spec, Verdict) else spec


def _judged(run: Run, name: str, metric: str | None, passed: bool, message: str) -> Verdict:
    if passed:
        what = "the store already held it" if run.adopted else "trained"
        told = message if metric is None or metric in message else f"{metric}; {message}"
        return Verdict(True, names.ADOPTED if run.adopted else names.SUCCEEDED, f"{name} ({what}): {told}")
    remedy = "train a better one or change spec.evaluate.gate"
    text = f"{name} was published but failed its quality gate: {message}; {remedy}"
    return Verdict(False, names.GATE_FAILED, text, stalled=True)


def _without_version(case: Case, name: str) -> Verdict:
    if case.status.gate == "failed":
        before = condition(case.obj, names.READY) or {}
        return Verdict(False, names.GATE_FAILED, before.get("message", ""), stalled=True)
    text = f"ModelVersion {name} was deleted; its artifacts stay in the store and it is not made again"
    return Verdict(True, names.SUCCEEDED, text)


def _done(progress: Progress | None) -> Progress | None:
    return None if progress is None else progress.model_copy(update={"percent": 100, "eta": None})


def version_of(case: Case, name: str) -> Manifest | None:
    """The ModelVersion of a succeeded run, None once it was deleted."""
    return case.observed.objects.get(version_ref(case, name))
