"""A FineTuneJob's story: pin the inputs, adopt or train, verify what was published, make and judge the version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelyard import names
from modelyard.api.finetunejob import FineTuneJobSpec, Pinned, Run
from modelyard.decision import Decision, Manifest, Need, Observed
from modelyard.resources import jobs, profiles
from modelyard.resources.conditions import Verdict
from modelyard.resources.finetunejob import (
    ending,
    hashing,
    leftovers,
    parent,
    shared_run,
    status,
    training_job,
    version,
)
from modelyard.resources.finetunejob.base import is_foreign, listed, listing_fact, record_fact, recorded
from modelyard.resources.finetunejob.case import Answer, Case
from modelyard.resources.finetunejob.data import dataset_ref
from modelyard.resources.finetunejob.pins import current_run, hashing_step, new_run
from modelyard.resources.finetunejob.progress import progress_fact
from modelyard.resources.finetunejob.run_id import is_model_name
from modelyard.resources.finetunejob.training_job import Situation
from modelyard.resources.parse import spec_of, unknown_fields
from modelyard.resources.pods import Fault
from modelyard.resources.queueing import queue_needs
from modelyard.resources.refusals import refusal_needs
from modelyard.resources.scheduling import capacity_needs
from modelyard.resources.waiting import SOON, Wait, moving, unanswered


def needs(obj: Manifest, observed: Observed) -> Iterable[Need]:
    """Inputs until they are pinned, then the Job and what it reports, then what it published, then the version."""
    case = _case(obj, observed)
    if isinstance(case, Verdict):
        return
    run = current_run(case)
    if case.spec.dataset.inline is not None:
        yield profiles.profile_ref(case.spec.dataset.inline.profile)  # says which labels its Dataset gets
    if run is None:
        yield from (dataset_ref(case), *profiles.needs(case.spec.profile, case.namespace, observed))
        if case.spec.from_.base and not is_foreign(case):
            yield listing_fact(case)
        yield from (*_needs_of_base(case), *parent.needs(case))
        pinned = new_run(case)
        if not isinstance(pinned, Wait):
            yield version.manifest_fact(case, pinned)
            yield from _needs_of_job(case, pinned)
    elif run.state == "Running":
        yield from _needs_of_run(case, run)
    else:
        if run.state == "Succeeded" and case.status.version:
            yield version.version_ref(case, case.status.version)


def decide(obj: Manifest, observed: Observed, now: datetime) -> Decision:
    """One reconcile: a run's end is final, and only a changed spec starts another run."""
    case = _case(obj, observed)
    if isinstance(case, Verdict):
        return status.invalid(obj, case, observed, now)
    case = replace(case, now=now)
    run = current_run(case)
    if run is None and (unknown := unknown_fields(FineTuneJobSpec, obj)):
        return status.invalid(obj, unknown, observed, now)
    if run is None:
        answer = _start(_forgetting(case))
    elif run.state == "Running":
        answer = _go_on(case, run)
    else:
        answer = _ended(case, leftovers.swept(case, run))
    effects = (*answer.effects, *leftovers.due(case, answer.run))
    return status.decision(case, replace(answer, effects=effects), now)


def _case(obj: Manifest, observed: Observed) -> Case | Verdict:
    spec = spec_of(FineTuneJobSpec, obj)
    if isinstance(spec, Verdict):
        return spec
    case = Case(obj, spec, observed)
    if is_model_name(case.model):
        return case
    text = (
        "metadata.name is over 40 characters or no DNS label: set spec.model.name "
        "(at most 40 characters, a-z, 0-9 and '-')"
    )
    return Verdict(False, names.NAME_TOO_LONG, text, stalled=True)


def _forgetting(case: Case) -> Case:
    """The case without what an earlier run left in the status; conditions keep their times."""
    kept = {k: v for k, v in case.obj.get("status", {}).items() if k in ("conditions", "observedGeneration", "base")}
    return replace(case, obj={**case.obj, "status": kept})


def _start(case: Case) -> Answer:
    """No run yet: pin one as soon as everything is there, and go on with it in the same reconcile."""
    run = new_run(case)
    if not isinstance(run, Wait):
        return _go_on(case, run)
    if case.spec.suspend:
        text = f"suspended by spec.suspend before the run started ({run.verdict.message})"
        suspended = Verdict(False, names.SUSPENDED, text, idle=True)
        return Answer(None, suspended, "Suspended", wake_after=run.wake_after, backoff=run.backoff)
    return _hash_base(case, run)


def _hash_base(case: Case, wait: Wait) -> Answer:
    """What a run waits for; a base that nobody has read yet is read meanwhile.

    Where a human is waited for, no reading begins; one that has begun goes on, whatever is not known just now.
    """
    step = hashing_step(case) or hashing.undisturbed(case)
    if wait.verdict.stalled and step.begins:
        step = hashing.undisturbed(case)
    ours = wait.verdict.reason == names.HASHING_BASE or (step.wait.verdict.stalled and not wait.verdict.stalled)
    told = step.wait if ours else wait
    pauses = [pause for pause in (wait.wake_after, step.wait.wake_after) if pause is not None]
    return Answer(None, told.verdict, "Pending", step.children, min(pauses, default=None), told.backoff, base=step.base)


def _ended(case: Case, run: Run) -> Answer:
    """Its end stands; the store is asked again until what killed pods left is gone."""
    if run.state == "Succeeded":
        name = case.status.version or ""
        answer = ending.succeeded(case, run, name, ending.version_of(case, name), case.status.resumes)
    else:
        answer = ending.failed(case, run)
    return replace(answer, wake_after=leftovers.pause(case, run))


def _go_on(case: Case, run: Run) -> Answer:
    """A Job at work is watched; otherwise the store decides what the run has come to."""
    now = training_job.situation(case, run)
    if run.pinned is None:
        return ending.fail(case, now, Fault(names.INTERNAL, "status.run.pinned is gone", final=True))
    if now.at_work:
        return training_job.watch(case, now, run.pinned)
    answer = case.observed.fact(version.manifest_fact(case, run))
    if answer is None:
        return ending.waiting(case, now, now.run, moving(names.PUBLISHING, "reading the artifact store", SOON))
    if answer.failed:
        return ending.waiting(case, now, now.run, unanswered(answer, "artifact store"))
    if answer.value is not None:
        return ending.publish(case, now)
    return _without_result(case, now, run.pinned)


def _without_result(case: Case, now: Situation, pinned: Pinned) -> Answer:
    """Nothing is published: train, wait for who does, or fail honestly."""
    if now.foreign is not None:
        return _foreign(case, now, now.foreign)
    if now.fault is not None:
        return ending.fail(case, now, now.fault)
    if now.job is None:
        return training_job.make(case, now, pinned)
    if jobs.is_complete(now.job) or jobs.succeeded_beside_a_sidecar(now.pods):
        text = f"the run ended with success, but nothing is published under {case.version_prefix(now.run)}"
        return ending.recheck_failure(case, now, Fault(names.TRAINER_FAILED, text, final=True))
    return ending.fail(case, now, jobs.why_failed(now.job, now.pods, case.hints))


def _foreign(case: Case, now: Situation, job: Manifest) -> Answer:
    """Another object makes this run: its failure is ours too, and its result would have been found."""
    fault = shared_run.failure(case, now.run, job)
    return training_job.shared(case, now, job) if fault is None else ending.fail(case, now, fault)


def _needs_of_base(case: Case) -> Iterable[Need]:
    """What is known of the base's content; if nothing is, the Job that reads it."""
    base = listed(case)
    if base is None or isinstance(base, Wait):
        return
    yield record_fact(case, base)
    answer = recorded(case, base)
    if answer is not None and not answer.failed and not answer.value:
        yield from hashing.needs(case, base)


def _needs_of_run(case: Case, run: Run) -> Iterable[Need]:
    now = training_job.situation(case, run)
    yield from _needs_of_job(case, run)
    if not now.started:
        yield from profiles.needs(case.spec.profile, case.namespace, case.observed)
    if now.at_work:
        if now.running:
            yield progress_fact(case, run)
        return
    yield version.manifest_fact(case, run)
    answer = case.observed.fact(version.manifest_fact(case, run))
    if answer is not None and answer.value is not None:
        yield from _needs_of_version(case, run)


def _needs_of_job(case: Case, run: Run) -> Iterable[Need]:
    """The Job, and who makes it if not we; before we make it, what pods another object's Job left."""
    yield from (training_job.job_ref(case, run), training_job.config_ref(case, run))
    now = training_job.situation(case, run)
    yield from (*refusal_needs(now.job, now.pods), *queue_needs(now.job), *capacity_needs(now.pods))
    if now.foreign is not None:
        yield from shared_run.maker_ref(case, now.foreign)
    if now.job is None:
        yield jobs.run_pods(case.namespace, run.id)


def _needs_of_version(case: Case, run: Run) -> Iterable[Need]:
    """One after the other: a number is claimed only for what is verified."""
    yield version.verified_fact(case, run)
    verified = case.observed.fact(version.verified_fact(case, run))
    if verified is None or verified.failed:
        return
    yield version.number_fact(case, run)
    found = version.published(case, run)
    if isinstance(found, version.Published):
        yield version.version_ref(case, found.name)
