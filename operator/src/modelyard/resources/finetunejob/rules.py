"""The rules of a FineTuneJob, and the picture that they look at: the first rule that applies answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from modelyard import names
from modelyard.api.finetunejob import Pinned, Run
from modelyard.decision import Answer as Told
from modelyard.resources import jobs
from modelyard.resources.conditions import Verdict
from modelyard.resources.finetunejob import ending, hashing, leftovers, shared_run, training_job, version
from modelyard.resources.finetunejob.case import Answer, Case
from modelyard.resources.finetunejob.pins import hashing_step
from modelyard.resources.finetunejob.training_job import Situation
from modelyard.resources.pods import Fault
from modelyard.resources.waiting import SOON, Wait, moving, unanswered


@dataclass(frozen=True)
class Picture:
    """A FineTuneJob with the run that its spec asks for, or with what such a run waits for."""

    case: Case
    asked: Run | Wait

    @property
    def run(self) -> Run:
        """The run; the first two rules answer where there is none."""
        if isinstance(self.asked, Wait):
            raise LookupError(self.asked.verdict.message)
        return self.asked

    @property
    def pinned(self) -> Pinned:
        """What it is pinned to; has_lost_its_pins answers where that is gone."""
        if self.run.pinned is None:
            raise LookupError("status.run.pinned is gone")
        return self.run.pinned

    @cached_property
    def now(self) -> Situation:
        """Where the run stands, with its pods counted."""
        return training_job.situation(self.case, self.run)

    @property
    def store(self) -> Told | None:
        """The store's word on what the run published; None while it was not asked."""
        return self.case.observed.fact(version.manifest_fact(self.case, self.run))


def suspended_before_its_run(p: Picture) -> Answer | None:
    """No run can be pinned yet and `spec.suspend` is set -> Suspended, with what else it waits for."""
    if not isinstance(p.asked, Wait) or not p.case.spec.suspend:
        return None
    text = f"suspended by spec.suspend before the run started ({p.asked.verdict.message})"
    verdict = Verdict(False, names.SUSPENDED, text, idle=True)
    return Answer(None, verdict, "Suspended", wake_after=p.asked.wake_after, backoff=p.asked.backoff)


def waits_for_its_inputs(p: Picture) -> Answer | None:
    """No run can be pinned yet -> Pending, with what lacks; a base that nobody has read is read meanwhile.

    Where a human is waited for, no reading begins; one that has begun goes on, whatever is not known just now.
    """
    if not isinstance(p.asked, Wait):
        return None
    case, wait = p.case, p.asked
    step = hashing_step(case) or hashing.undisturbed(case)
    if wait.verdict.stalled and step.begins:
        step = hashing.undisturbed(case)
    ours = wait.verdict.reason == names.HASHING_BASE or (step.wait.verdict.stalled and not wait.verdict.stalled)
    told = step.wait if ours else wait
    pauses = [pause for pause in (wait.wake_after, step.wait.wake_after) if pause is not None]
    return Answer(None, told.verdict, "Pending", step.children, min(pauses, default=None), told.backoff, base=step.base)


def has_succeeded(p: Picture) -> Answer | None:
    """The run has succeeded -> it stays so; the gate is judged by what the spec asks now, what is left is swept."""
    if p.run.state != "Succeeded":
        return None
    name, run = p.case.status.version or "", leftovers.swept(p.case, p.run)
    answer = ending.succeeded(p.case, run, name, ending.version_of(p.case, name), p.case.status.resumes)
    return replace(answer, wake_after=leftovers.pause(p.case, run))


def has_failed(p: Picture) -> Answer | None:
    """The run has failed -> it stays so, and what is left is swept."""
    if p.run.state == "Running":
        return None
    run = leftovers.swept(p.case, p.run)
    return replace(ending.failed(p.case, run), wake_after=leftovers.pause(p.case, run))


def has_lost_its_pins(p: Picture) -> Answer | None:
    """Somebody took what the run is pinned to out of the status -> Failed."""
    if p.run.pinned is not None:
        return None
    return ending.fail(p.case, p.now, Fault(names.INTERNAL, "status.run.pinned is gone", final=True))


def is_at_work(p: Picture) -> Answer | None:
    """Its Job may still succeed -> the Job is watched, and made again where its inputs changed before a pod ran."""
    return training_job.watch(p.case, p.now, p.pinned) if p.now.at_work else None


def store_is_not_read(p: Picture) -> Answer | None:
    """Nobody has asked the store yet what was published -> it is asked."""
    if p.store is not None:
        return None
    return ending.waiting(p.case, p.now, p.now.run, moving(names.PUBLISHING, "reading the artifact store", SOON))


def store_does_not_answer(p: Picture) -> Answer | None:
    """The store does not answer -> it is asked again, and nothing ends by that."""
    if p.store is None or not p.store.failed:
        return None
    return ending.waiting(p.case, p.now, p.now.run, unanswered(p.store, "artifact store"))


def is_published(p: Picture) -> Answer | None:
    """Something is published, by whomever -> it is verified and numbered, its version is made, the run succeeded."""
    return ending.publish(p.case, p.now) if p.store is not None and p.store.value is not None else None


def another_makes_it(p: Picture) -> Answer | None:
    """Another object's Job makes the very same run -> its result is waited for, its failure is ours."""
    if p.now.foreign is None:
        return None
    fault = shared_run.failure(p.case, p.now.run, p.now.foreign)
    return training_job.shared(p.case, p.now, p.now.foreign) if fault is None else ending.fail(p.case, p.now, fault)


def is_at_its_end(p: Picture) -> Answer | None:
    """Another pod would meet the same fault -> Failed, though the Job would try again."""
    return ending.fail(p.case, p.now, p.now.fault) if p.now.fault is not None else None


def has_no_job(p: Picture) -> Answer | None:
    """There is no Job -> it is made, once no pod of an earlier one is left."""
    return training_job.make(p.case, p.now, p.pinned) if p.now.job is None else None


def published_nothing(p: Picture) -> Answer | None:
    """The Job ended with success, and nothing is published -> the store is asked once more, then Failed."""
    job, pods = p.now.job, p.now.pods
    if not (job is not None and jobs.is_complete(job)) and not jobs.succeeded_beside_a_sidecar(pods):
        return None
    text = f"the run ended with success, but nothing is published under {p.case.version_prefix(p.now.run)}"
    return ending.recheck_failure(p.case, p.now, Fault(names.TRAINER_FAILED, text, final=True))


def its_job_failed(p: Picture) -> Answer | None:
    """The Job failed -> Failed, with what its last pod said."""
    return (
        None if p.now.job is None else ending.fail(p.case, p.now, jobs.why_failed(p.now.job, p.now.pods, p.case.hints))
    )


RULES: tuple[Callable[[Picture], Answer | None], ...] = (
    suspended_before_its_run,
    waits_for_its_inputs,
    has_succeeded,
    has_failed,
    has_lost_its_pins,
    is_at_work,
    store_is_not_read,
    store_does_not_answer,
    is_published,
    another_makes_it,
    is_at_its_end,
    has_no_job,
    published_nothing,
    its_job_failed,
)
"""The first that applies answers. The first two are asked while there is no run, the last six while no Job works."""
