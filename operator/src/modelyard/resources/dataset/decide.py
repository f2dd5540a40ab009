"""A Dataset's story: adopt what the store holds, else prepare once, and remember how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelyard import names
from modelyard.api.common import Failure
from modelyard.api.dataset import DatasetSpec, DatasetStatus
from modelyard.decision import Decision, Effect, Fact, Manifest, Need, Observed
from modelyard.resources import jobs, leftovers, limits, profiles, run_job
from modelyard.resources.conditions import Verdict
from modelyard.resources.dataset import disruptions, status
from modelyard.resources.dataset.prepare_job import epoch, is_foreign, job_name, plan, prefix, prepare_id, too_large
from modelyard.resources.parse import spec_of, unknown_fields
from modelyard.resources.pods import Fault, Hints, is_running
from modelyard.resources.queueing import queue_needs, waits_in_queue
from modelyard.resources.recheck import recheck
from modelyard.resources.refusals import held_pods, refusal, refusal_needs
from modelyard.resources.repeated import repeated
from modelyard.resources.run_plan import RunPlan
from modelyard.resources.scheduling import capacity_in, capacity_needs
from modelyard.resources.sidecars import phase
from modelyard.resources.waiting import SOON, Wait, moving, stuck, unanswered, waits_for_pod


def needs(obj: Manifest, observed: Observed) -> Iterable[Need]:
    """The profile until the end; the stored manifest while no Job is at work."""
    spec = spec_of(DatasetSpec, obj)
    if isinstance(spec, Verdict):
        return
    before = status.current(obj, spec)
    if before.digest or before.failure:
        return
    obj = disruptions.counted(obj, spec, observed)
    yield from profiles.needs(spec.profile, obj["metadata"]["namespace"], observed)
    job = observed.child("Job", job_name(obj, spec))
    pods = jobs.pods_of(job, observed)
    yield from (*refusal_needs(job, pods), *queue_needs(job), *capacity_needs(pods))
    if not _at_work(obj, spec, observed):
        yield manifest_fact(obj, spec)


def decide(obj: Manifest, observed: Observed, now: datetime) -> Decision:
    """Prepared or failed stays so for this spec; anything else goes on."""
    spec = spec_of(DatasetSpec, obj)
    if isinstance(spec, Verdict):
        return status.invalid(obj, spec, run_job.all_kept(observed), now)
    decision = _decided(obj, spec, observed, now)
    return replace(decision, effects=_sweep(obj, spec, decision.status or {}, observed))


def _decided(obj: Manifest, spec: DatasetSpec, observed: Observed, now: datetime) -> Decision:
    before = status.current(obj, spec)
    if before.prepare_id is None and (unknown := unknown_fields(DatasetSpec, obj)):
        return status.invalid(obj, unknown, run_job.all_kept(observed), now)
    if before.digest or before.failure:
        return _ended(obj, spec, before, observed, now)
    obj = disruptions.counted(obj, spec, observed)
    if _at_work(obj, spec, observed):
        return _watch(obj, spec, observed, now)
    return _look_into_store(obj, spec, observed, now)


def manifest_fact(obj: Manifest, spec: DatasetSpec) -> Fact:
    """What is published under the prefix of this spec."""
    return Fact.of("manifest", max_age=0, prefix=prefix(obj, spec))


def _ended(obj: Manifest, spec: DatasetSpec, before: DatasetStatus, observed: Observed, now: datetime) -> Decision:
    """Its end stands; the store is asked again until what killed pods left is gone."""
    name = job_name(obj, spec)
    swept = before.cleaned_up or leftovers.is_swept(_effect(obj, spec), observed)
    before = before.model_copy(update={"cleaned_up": swept})
    if before.failure:
        decision = status.failed(obj, spec, before.failure, run_job.after_failure(name, observed), now, swept=swept)
    else:
        decision = status.ready(obj, before, run_job.after_success(name, observed), now)
    return replace(decision, wake_after=leftovers.pause(_effect(obj, spec), observed))


def _sweep(obj: Manifest, spec: DatasetSpec, said: Manifest, observed: Observed) -> tuple[Effect, ...]:
    """Of published rows all else may go at any time; pods of a failed preparation may still write."""
    job = observed.child("Job", job_name(obj, spec))
    still = jobs.orphaned_pods(obj["metadata"]["namespace"], prepare_id(obj, spec), observed)
    over = said.get("digest") or (said.get("failure") and jobs.is_held(job) and not still)
    return (_effect(obj, spec),) if over and not said.get("cleanedUp") else ()


def _effect(obj: Manifest, spec: DatasetSpec) -> Effect:
    return leftovers.sweep(prefix(obj, spec), prefix(obj, spec), epoch(obj, spec))


def _at_work(obj: Manifest, spec: DatasetSpec, observed: Observed) -> bool:
    job = observed.child("Job", job_name(obj, spec))
    if job is None or jobs.has_ended(job):
        return False
    pods = jobs.pods_of(job, observed)
    return _fatal(obj, spec, observed, pods) is None and not jobs.succeeded_beside_a_sidecar(pods)


def _fatal(obj: Manifest, spec: DatasetSpec, observed: Observed, pods: tuple[Manifest, ...]) -> Fault | None:
    """Ends the preparation although the Job would try again."""
    hints = _hints(spec)
    return (
        jobs.fatal(pods, hints)
        or disruptions.worn_out(obj, spec, observed)
        or repeated(pods, hints)
        or jobs.fault_beside_a_sidecar(pods, hints, last=True)
    )


def _look_into_store(obj: Manifest, spec: DatasetSpec, observed: Observed, now: datetime) -> Decision:
    """No Job is at work: rows that are published count, whatever became of the Job."""
    name = job_name(obj, spec)
    answer = observed.fact(manifest_fact(obj, spec))
    if answer is None or answer.failed:
        wait = unanswered(answer, "artifact store") if answer else moving(names.PENDING, "reading the store", SOON)
        return status.waiting(obj, spec, wait, run_job.kept(name), now)
    if answer.value is None:
        return _without_rows(obj, spec, observed, now)
    info = status.info_of(answer.value, spec)
    if isinstance(info, Fault):
        return _recheck(obj, spec, info, observed, now)
    return status.ready(obj, status.prepared(obj, spec, info), run_job.after_success(name, observed), now)


def _without_rows(obj: Manifest, spec: DatasetSpec, observed: Observed, now: datetime) -> Decision:
    """Nothing is published: make the Job, or say why it failed."""
    name = job_name(obj, spec)
    job = observed.child("Job", name)
    if job is None:
        return _make(obj, spec, observed, now)
    pods, hints = jobs.pods_of(job, observed), _hints(spec)
    if jobs.is_complete(job) or jobs.succeeded_beside_a_sidecar(pods):
        text = f"the preparation ended with success, but nothing is published under {prefix(obj, spec)}"
        return _recheck(obj, spec, Fault(names.TRAINER_FAILED, text, final=True), observed, now)
    fault = _fatal(obj, spec, observed, pods) or jobs.why_failed(job, pods, hints)
    return status.failed(obj, spec, _failure(fault, spec), run_job.after_failure(name, observed), now)


def _recheck(obj: Manifest, spec: DatasetSpec, fault: Fault, observed: Observed, now: datetime) -> Decision:
    """The store alone says that the preparation came to nothing: it may be wrong once, the end is final."""
    name = job_name(obj, spec)
    since, wait = recheck(status.current(obj, spec).suspect_since, fault, now)
    if wait is None:
        return status.failed(obj, spec, _failure(fault, spec), run_job.after_failure(name, observed), now)
    return status.waiting(obj, spec, wait, run_job.kept(name), now, suspect_since=since)


def _make(obj: Manifest, spec: DatasetSpec, observed: Observed, now: datetime) -> Decision:
    name = job_name(obj, spec)
    wanted = _plan(obj, spec, observed)
    if isinstance(wanted, Wait):
        return status.waiting(obj, spec, wanted, (), now)
    stale = run_job.is_stale(observed.child("ConfigMap", name), wanted, all_counts=True)
    if stale or jobs.orphaned_pods(obj["metadata"]["namespace"], prepare_id(obj, spec), observed):
        wait = moving(names.PENDING, "waiting for the end of what an earlier Job left", 1.0)
        return status.waiting(obj, spec, wait, () if stale else run_job.kept(name), now)
    wait = refusal(observed, name, _hints(spec)) or waits_for_pod(name)
    return status.waiting(obj, spec, wait, run_job.children(wanted), now)


def _watch(obj: Manifest, spec: DatasetSpec, observed: Observed, now: datetime) -> Decision:
    """The Job is at work: leave it alone, unless people changed its inputs before a pod ran, or it lacks its image."""
    name = job_name(obj, spec)
    job = observed.child("Job", name)
    pods = jobs.pods_of(job, observed)
    wanted = _plan(obj, spec, observed)
    if isinstance(wanted, Wait):
        return status.waiting(obj, spec, _progress(observed, name, pods, spec), run_job.kept(name), now)
    lacking = jobs.lacks_image(pods, _hints(spec))
    if run_job.is_stale(job, wanted, all_counts=lacking) and not jobs.ever_started(job, pods):
        wait = moving(names.PENDING, "resources or profile changed before a pod ran: the Job is made again", 1.0)
        return status.waiting(obj, spec, wait, (), now)
    return status.waiting(obj, spec, _progress(observed, name, pods, spec), run_job.children(wanted), now)


def _progress(observed: Observed, name: str, pods: tuple[Manifest, ...], spec: DatasetSpec) -> Wait:
    queued = waits_in_queue(observed.child("Job", name), observed)
    if queued is not None:
        return queued
    if any(is_running(pod) or phase(pod) == "Succeeded" for pod in pods):
        return moving(names.PREPARING, f"Job {name} prepares the rows")
    hints = replace(_hints(spec), capacity=capacity_in(observed))
    held = held_pods(observed.child("Job", name), pods, observed, hints)
    if held is not None:
        return held
    ended = jobs.last_fault(pods, _hints(spec))
    if ended is not None:
        again = "" if ended.final else ", another one is tried"
        return moving(names.PREPARING, f"the last pod ended{again}: {ended.message}")
    return refusal(observed, name, _hints(spec)) or waits_for_pod(name)


def _plan(obj: Manifest, spec: DatasetSpec, observed: Observed) -> RunPlan | Wait:
    namespace = obj["metadata"]["namespace"]
    if is_foreign(namespace, spec, observed.platform):
        uri = spec.source.s3.uri if spec.source.s3 else ""
        return stuck(names.NOT_ALLOWED, limits.foreign("spec.source.s3.uri", uri, namespace))
    profile = profiles.allowed(spec.profile, limits.Asked(spec.resources), namespace, observed)
    return profile if isinstance(profile, Wait) else too_large(wanted := plan(obj, spec, profile, observed)) or wanted


def _hints(spec: DatasetSpec) -> Hints:
    now = f"raise spec.resources.memory (now {spec.resources.memory})"
    return Hints(memory=f"{now} and set spec.revision: {spec.revision + 1}")


def _failure(fault: Fault, spec: DatasetSpec) -> Failure:
    if fault.reason == names.OUT_OF_MEMORY:
        return Failure(reason=fault.reason, message=fault.message)
    remedy = f"fix it, then change the spec or set spec.revision: {spec.revision + 1} to prepare again"
    return Failure(reason=fault.reason, message=f"{fault.message}; {remedy}")
