"""How often a run went on, what took its pods away, and when enough is enough."""

from __future__ import annotations

from collections.abc import Sequence

from modelyard.api.finetunejob import Run
from modelyard.decision import Manifest
from modelyard.resources import disruptions, jobs
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.pods import Fault, has_started
from modelyard.resources.repeated import repeated


def counted(run: Run, resumes: int, pods: Sequence[Manifest]) -> tuple[Run, int]:
    """The run with pods and disruptions counted once each; pods of one run follow each other, so times order them."""
    started = disruptions.after(run.last_pod, [pod for pod in pods if has_started(pod)])
    taken = disruptions.taken_after(run.last_disruption, pods)
    first = 1 if started and run.last_pod is None else 0
    if not started and not taken:
        return run, resumes
    update = {
        "last_pod": started[-1] if started else run.last_pod,
        "last_disruption": taken[-1] if taken else run.last_disruption,
        "disruptions": run.disruptions + len(taken),
    }
    return run.model_copy(update=update), resumes + len(started) - first


def fatal(case: Case, run: Run, resumes: int, pods: Sequence[Manifest]) -> Fault | None:
    """Why the run ends although its Job would try again."""
    allowed = run.disruptions if run.pinned is None else run.pinned.disruptions
    steps = case.status.progress.step if case.status.progress else 0
    return (
        jobs.fatal(pods, case.hints)
        or disruptions.worn_out(run.disruptions, allowed, "the run")
        or repeated(pods, case.hints, steps=steps)
        or jobs.fault_beside_a_sidecar(pods, case.hints, last=_last_try(run, resumes))
    )


def _last_try(run: Run, resumes: int) -> bool:
    """For a pod whose end its Job does not count: by the run's own count of pods that were not taken away."""
    return run.pinned is not None and resumes - run.disruptions >= run.pinned.retries
