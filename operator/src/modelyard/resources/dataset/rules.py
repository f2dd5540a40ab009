"""The rules of a Dataset, and the picture that they look at: the first rule that applies answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from modelyard import names
from modelyard.api.common import Failure
from modelyard.api.dataset import DatasetSpec, DatasetStatus
from modelyard.decision import Answer, Decision, Effect, Fact, Manifest, Observed
from modelyard.resources import jobs, leftovers, limits, profiles, run_job
from modelyard.resources.dataset import disruptions, status
from modelyard.resources.dataset.prepare_job import epoch, is_foreign, job_name, plan, prefix, prepare_id, too_large
from modelyard.resources.pods import Fault, Hints, is_running
from modelyard.resources.queueing import waits_in_queue
from modelyard.resources.recheck import recheck
from modelyard.resources.refusals import held_pods, refusal
from modelyard.resources.repeated import repeated
from modelyard.resources.run_plan import RunPlan
from modelyard.resources.scheduling import capacity_in
from modelyard.resources.sidecars import phase
from modelyard.resources.waiting import SOON, Wait, moving, stuck, unanswered, waits_for_pod


@dataclass(frozen=True)
class Picture:
    """A Dataset with its preparation: what stands in its status, its Job and pods, and what the store holds."""

    obj: Manifest
    spec: DatasetSpec
    observed: Observed
    now: datetime = datetime.min
    """When the reconcile is made; not known while it is asked what is needed."""

    @cached_property
    def before(self) -> DatasetStatus:
        """What stands in the status about this very spec."""
        return status.current(self.obj, self.spec)

    @cached_property
    def name(self) -> str:
        """Of Job and ConfigMap."""
        return job_name(self.obj, self.spec)

    @property
    def job(self) -> Manifest | None:
        """The Job, if it is there."""
        return self.observed.child("Job", self.name)

    @cached_property
    def pods(self) -> tuple[Manifest, ...]:
        """Those of the Job."""
        return jobs.pods_of(self.job, self.observed)

    @property
    def left(self) -> bool:
        """True while pods of an earlier Job are there."""
        return bool(
            jobs.orphaned_pods(self.obj["metadata"]["namespace"], prepare_id(self.obj, self.spec), self.observed)
        )

    @property
    def hints(self) -> Hints:
        """What to try, in the fields of this object."""
        now = f"raise spec.resources.memory (now {self.spec.resources.memory})"
        return Hints(memory=f"{now} and set spec.revision: {self.spec.revision + 1}")

    @property
    def published(self) -> Fact:
        """What is published under the prefix of this spec?"""
        return Fact.of("manifest", max_age=0, prefix=prefix(self.obj, self.spec))

    @property
    def store(self) -> Answer | None:
        """The store's word on it."""
        return self.observed.fact(self.published)

    @property
    def sweep(self) -> Effect:
        """What removes all but the published rows."""
        lies = prefix(self.obj, self.spec)
        return leftovers.sweep(lies, lies, epoch(self.obj, self.spec))

    @cached_property
    def fatal(self) -> Fault | None:
        """What ends the preparation although the Job would try again."""
        return (
            jobs.fatal(self.pods, self.hints)
            or disruptions.worn_out(self.obj, self.spec, self.observed)
            or repeated(self.pods, self.hints)
            or jobs.fault_beside_a_sidecar(self.pods, self.hints, last=True)
        )

    @property
    def at_work(self) -> bool:
        """True while the Job may still succeed."""
        done = self.job is None or jobs.has_ended(self.job)
        return not done and self.fatal is None and not jobs.succeeded_beside_a_sidecar(self.pods)

    @cached_property
    def plan(self) -> RunPlan | Wait:
        """The Job as it would be made now, or why there may be none."""
        namespace = self.obj["metadata"]["namespace"]
        if is_foreign(namespace, self.spec, self.observed.platform):
            uri = self.spec.source.s3.uri if self.spec.source.s3 else ""
            return stuck(names.NOT_ALLOWED, limits.foreign("spec.source.s3.uri", uri, namespace))
        profile = profiles.allowed(self.spec.profile, limits.Asked(self.spec.resources), namespace, self.observed)
        if isinstance(profile, Wait):
            return profile
        return too_large(wanted := plan(self.obj, self.spec, profile, self.observed)) or wanted


def is_prepared(p: Picture) -> Decision | None:
    """Its rows were seen in the store -> Prepared for good; what is left is swept."""
    if not p.before.digest or p.before.failure:
        return None
    before = p.before.model_copy(update={"cleaned_up": _swept(p)})
    decision = status.ready(p.obj, before, run_job.after_success(p.name, p.observed), p.now)
    return replace(decision, wake_after=leftovers.pause(p.sweep, p.observed))


def has_failed(p: Picture) -> Decision | None:
    """It has failed -> it stays so for this spec; what is left is swept."""
    if not p.before.failure:
        return None
    kept = run_job.after_failure(p.name, p.observed)
    decision = status.failed(p.obj, p.spec, p.before.failure, kept, p.now, swept=_swept(p))
    return replace(decision, wake_after=leftovers.pause(p.sweep, p.observed))


def works_on(p: Picture) -> Decision | None:
    """Its Job may still succeed, and none could be made now -> the Job is watched."""
    if not p.at_work or not isinstance(p.plan, Wait):
        return None
    return status.waiting(p.obj, p.spec, _progress(p), run_job.kept(p.name), p.now)


def is_out_of_date(p: Picture) -> Decision | None:
    """Its Job may still succeed, but people changed its inputs before a pod ran, or it lacks its image -> it goes."""
    if not p.at_work or isinstance(p.plan, Wait):
        return None
    lacking = jobs.lacks_image(p.pods, p.hints)
    if not run_job.is_stale(p.job, p.plan, all_counts=lacking) or jobs.ever_started(p.job, p.pods):
        return None
    wait = moving(names.PENDING, "resources or profile changed before a pod ran: the Job is made again", 1.0)
    return status.waiting(p.obj, p.spec, wait, (), p.now)


def is_at_work(p: Picture) -> Decision | None:
    """Its Job may still succeed -> the Job is watched, and what is missing of it is made again."""
    if not p.at_work or isinstance(p.plan, Wait):
        return None
    return status.waiting(p.obj, p.spec, _progress(p), run_job.children(p.plan), p.now)


def store_does_not_answer(p: Picture) -> Decision | None:
    """The store has not answered yet -> it is asked again, and nothing ends by that."""
    if p.store is not None and not p.store.failed:
        return None
    wait = unanswered(p.store, "artifact store") if p.store else moving(names.PENDING, "reading the store", SOON)
    return status.waiting(p.obj, p.spec, wait, run_job.kept(p.name), p.now)


def is_published(p: Picture) -> Decision | None:
    """Rows are published, whatever became of the Job -> Prepared; where they are not the spec's, asked once more."""
    if p.store is None or p.store.value is None:
        return None
    info = status.info_of(p.store.value, p.spec)
    if isinstance(info, Fault):
        return _suspected(p, info)
    done = run_job.after_success(p.name, p.observed)
    return status.ready(p.obj, status.prepared(p.obj, p.spec, info), done, p.now)


def may_not_begin(p: Picture) -> Decision | None:
    """There is no Job, and none may be made -> Pending, with what lacks."""
    if p.job is not None or not isinstance(p.plan, Wait):
        return None
    return status.waiting(p.obj, p.spec, p.plan, (), p.now)


def waits_for_leftovers(p: Picture) -> Decision | None:
    """There is no Job, but pods or the ConfigMap of an earlier one -> their end is waited for."""
    if p.job is not None or isinstance(p.plan, Wait):
        return None
    stale = run_job.is_stale(p.observed.child("ConfigMap", p.name), p.plan, all_counts=True)
    if not stale and not p.left:
        return None
    wait = moving(names.PENDING, "waiting for the end of what an earlier Job left", 1.0)
    return status.waiting(p.obj, p.spec, wait, () if stale else run_job.kept(p.name), p.now)


def has_no_job(p: Picture) -> Decision | None:
    """There is no Job -> it is made."""
    if p.job is not None or isinstance(p.plan, Wait):
        return None
    wait = refusal(p.observed, p.name, p.hints) or waits_for_pod(p.name)
    return status.waiting(p.obj, p.spec, wait, run_job.children(p.plan), p.now)


def published_nothing(p: Picture) -> Decision | None:
    """The Job ended with success, and nothing is published -> the store is asked once more, then Failed."""
    if not (p.job is not None and jobs.is_complete(p.job)) and not jobs.succeeded_beside_a_sidecar(p.pods):
        return None
    text = f"the preparation ended with success, but nothing is published under {prefix(p.obj, p.spec)}"
    return _suspected(p, Fault(names.TRAINER_FAILED, text, final=True))


def its_job_failed(p: Picture) -> Decision | None:
    """The Job failed, or another pod would meet the same fault -> Failed, with what its last pod said."""
    return None if p.job is None else _fail(p, p.fatal or jobs.why_failed(p.job, p.pods, p.hints))


RULES: tuple[Callable[[Picture], Decision | None], ...] = (
    is_prepared,
    has_failed,
    works_on,
    is_out_of_date,
    is_at_work,
    store_does_not_answer,
    is_published,
    may_not_begin,
    waits_for_leftovers,
    has_no_job,
    published_nothing,
    its_job_failed,
)
"""The first that applies answers; from the store on all are asked only while no Job works."""


def _swept(p: Picture) -> bool:
    return p.before.cleaned_up or leftovers.is_swept(p.sweep, p.observed)


def _suspected(p: Picture, fault: Fault) -> Decision:
    """The store alone says that the preparation came to nothing: it may be wrong once, the end is final."""
    since, wait = recheck(p.before.suspect_since, fault, p.now)
    if wait is None:
        return _fail(p, fault)
    return status.waiting(p.obj, p.spec, wait, run_job.kept(p.name), p.now, suspect_since=since)


def _fail(p: Picture, fault: Fault) -> Decision:
    message = fault.message
    if fault.reason != names.OUT_OF_MEMORY:
        message = (
            f"{message}; fix it, then change the spec or set spec.revision: {p.spec.revision + 1} to prepare again"
        )
    failure = Failure(reason=fault.reason, message=message)
    return status.failed(p.obj, p.spec, failure, run_job.after_failure(p.name, p.observed), p.now)


def _progress(p: Picture) -> Wait:
    queued = waits_in_queue(p.job, p.observed)
    if queued is not None:
        return queued
    if any(is_running(pod) or phase(pod) == "Succeeded" for pod in p.pods):
        return moving(names.PREPARING, f"Job {p.name} prepares the rows")
    held = held_pods(p.job, p.pods, p.observed, replace(p.hints, capacity=capacity_in(p.observed)))
    if held is not None:
        return held
    ended = jobs.last_fault(p.pods, p.hints)
    if ended is not None:
        again = "" if ended.final else ", another one is tried"
        return moving(names.PREPARING, f"the last pod ended{again}: {ended.message}")
    return refusal(p.observed, p.name, p.hints) or waits_for_pod(p.name)
