"""The Job of a run: where it stands, made at most once at a time, and watched."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard import names
from modelyard.api.finetunejob import Pinned, Run
from modelyard.decision import Child, Manifest, Ref
from modelyard.resources import jobs, run_job
from modelyard.resources.conditions import Verdict
from modelyard.resources.finetunejob import retry
from modelyard.resources.finetunejob.case import Answer, Case, job_name
from modelyard.resources.finetunejob.pins import later_changes, refreshed
from modelyard.resources.finetunejob.progress import progress_of
from modelyard.resources.finetunejob.run_config import run_plan
from modelyard.resources.pods import Fault, is_running
from modelyard.resources.queueing import waits_in_queue
from modelyard.resources.refusals import held_pods, refusal
from modelyard.resources.sidecars import phase
from modelyard.resources.waiting import Wait, moving, waits_for_pod


@dataclass(frozen=True)
class Situation:
    """A run and what is there of it: our Job, or another object's, and the pods of ours."""

    run: Run
    resumes: int
    job: Manifest | None
    foreign: Manifest | None
    pods: tuple[Manifest, ...]
    fault: Fault | None
    """Ends the run although the Job would try again."""

    @property
    def at_work(self) -> bool:
        """True while our Job may still succeed."""
        done = self.fault is not None or jobs.succeeded_beside_a_sidecar(self.pods)
        return self.job is not None and not jobs.has_ended(self.job) and not done

    @property
    def running(self) -> bool:
        """True while a pod runs."""
        return any(is_running(pod) for pod in self.pods)

    @property
    def started(self) -> bool:
        """True once a pod of the run ran; from then on nothing about the Job changes."""
        return self.run.last_pod is not None or jobs.ever_started(self.job, self.pods)

    @property
    def ran(self) -> bool:
        """True once a pod was seen to run; the Job's own count is faster than the pods, and people read the pods."""
        failed = (self.job or {}).get("status", {}).get("failed", 0)
        return self.run.last_pod is not None or bool(failed)

    @property
    def kept(self) -> tuple[Child, ...]:
        """Job and ConfigMap stay for their logs; a Job that would go on is held.

        A pod whose work is done stays until the store has told what came of it: it is the only witness.
        """
        if jobs.succeeded_beside_a_sidecar(self.pods):
            return run_job.kept(job_name(self.run))
        return run_job.stopped(job_name(self.run), self.job)


def job_ref(case: Case, run: Run) -> Ref:
    """The Job by name, whoever owns it."""
    return Ref("Job", job_name(run), case.namespace)


def config_ref(case: Case, run: Run) -> Ref:
    """The ConfigMap by name: another object's that goes has to be made again by us."""
    return Ref("ConfigMap", job_name(run), case.namespace)


def situation(case: Case, run: Run) -> Situation:
    """Where the run stands, with its pods counted."""
    job = case.observed.child("Job", job_name(run))
    named = case.observed.objects.get(job_ref(case, run))
    foreign = named if named is not None and not jobs.belongs_to(named, case.obj) else None
    pods = jobs.pods_of(job, case.observed)
    run, resumes = retry.counted(run, case.status.resumes, pods)
    fault = retry.fatal(case, run, resumes, pods)
    return Situation(run, resumes, job, foreign, pods, fault)


def make(case: Case, now: Situation, pinned: Pinned) -> Answer:
    """The first Job of the run, or another one for a Job that was deleted; never beside a living pod."""
    run = now.run if now.started else refreshed(case, now.run)
    run = run.model_copy(update={"adopted": False})
    if run.id != now.run.id:  # another trainer's run: the store is asked about it first
        return _answer(
            case, now, run, moving(names.PENDING, "the trainer of the profile changed before a pod ran", 1.0), ()
        )
    plan = run_plan(case, run, run.pinned or pinned)
    stale = run_job.is_stale(case.observed.child("ConfigMap", plan.name), plan, all_counts=True)
    if stale or jobs.orphaned_pods(case.namespace, run.id, case.observed):
        wait = moving(names.PENDING, "waiting for the end of what an earlier Job left", 1.0)
        return _answer(case, now, run, wait, () if stale else run_job.kept(plan.name))
    return _answer(
        case,
        now,
        run,
        refusal(case.observed, plan.name, case.hints) or waits_for_pod(plan.name),
        run_job.children(plan, case.spec.suspend),
    )


def watch(case: Case, now: Situation, pinned: Pinned) -> Answer:
    """The Job is at work: leave it alone, unless people changed its inputs before a pod ran.

    What the installation has now (image, store) takes no Job out of its queue; one that lacks its image gets it.
    """
    lacking = jobs.lacks_image(now.pods, case.hints)
    run = now.run if now.started else refreshed(case, now.run, waits=not lacking)
    plan = run_plan(case, run, run.pinned or pinned)
    if not now.started and run_job.is_stale(now.job, plan, all_counts=lacking):
        text = "resources or profile changed before a pod ran: the Job is made again"
        return _answer(case, now, run, moving(names.PENDING, text, 1.0), ())
    # A suspended Job takes its pod away, and the next reconcile lets it try again.
    suspend = case.spec.suspend or jobs.held_by_a_sidecar(now.pods)
    return _answer(case, now, run, _watched(case, now), run_job.children(plan, suspend))


def shared(case: Case, now: Situation, foreign: Manifest) -> Answer:
    """Another object makes this very run: its result will be ours too."""
    owner = jobs.owner(foreign)
    maker = f"{owner.get('kind', 'something else')} {owner.get('name', '')}".strip()
    wait = moving(names.PENDING, f"{maker} is already running run {now.run.id}; its result will be reused", 30.0)
    return _answer(case, now, now.run, wait, ())


def _answer(case: Case, now: Situation, run: Run, wait: Wait, children: tuple[Child, ...]) -> Answer:
    verdict, word = wait.verdict, "Training" if now.ran else "Pending"
    if verdict.reason == names.QUEUED:
        word = "Queued"
    if case.spec.suspend and wait.verdict.reason != names.QUOTA:
        text = "suspended by spec.suspend: pods go, checkpoints stay; set it to false to go on"
        verdict, word = Verdict(False, names.SUSPENDED, text, idle=True), "Suspended"
    progress = progress_of(case, run, running=now.running)
    return Answer(run, verdict, word, children, wait.wake_after, resumes=now.resumes, progress=progress)


def _watched(case: Case, now: Situation) -> Wait:
    name, later = job_name(now.run), later_changes(case, now.run) if now.started else ""
    queued = waits_in_queue(now.job, case.observed, again=_begins(case) if now.ran else "")
    if queued is not None:
        return queued
    if now.running or any(phase(pod) == "Succeeded" for pod in now.pods):
        return moving(names.TRAINING, f"run {now.run.id} trains in Job {name}{later}")
    held = held_pods(now.job, now.pods, case.observed, case.hints)
    if held is not None:
        return held
    if now.ran:
        return moving(names.TRAINING, f"{_between_pods(now, case)}{later}")
    return refusal(case.observed, name, case.hints) or waits_for_pod(name)


def _between_pods(now: Situation, case: Case) -> str:
    ended, begins = jobs.last_fault(now.pods, case.hints), _begins(case)
    if ended is not None and ended.final:
        return f"the last pod ended: {ended.message}"
    return f"a new pod {begins}" if ended is None else f"a new pod {begins}; the one before ended: {ended.message}"


def _begins(case: Case) -> str:
    """How the next pod begins, as far as it is known: what is saved, only the store knows."""
    done = case.status.progress is not None and case.status.progress.step > 0
    return "goes on from the newest checkpoint, or from the start if none was saved" if done else "starts over"
