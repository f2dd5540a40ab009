"""Checkpoints and half uploads of a run that has ended: swept once, when no pod of the run can come any more."""

from __future__ import annotations

from modelyard.api.finetunejob import Run
from modelyard.decision import Effect
from modelyard.resources import jobs, leftovers
from modelyard.resources.finetunejob.case import Case, job_name


def due(case: Case, run: Run | None) -> tuple[Effect, ...]:
    """The effect, if it is due.

    Of a published run all but the version may go at any time. Pods of a failed one may still write, and another
    object's pods would begin the same run anew if our Job did not hold its name.
    """
    if run is None or run.state == "Running" or run.cleaned_up:
        return ()
    return (_effect(case, run),) if run.state == "Succeeded" or _is_over(case, run) else ()


def swept(case: Case, run: Run) -> Run:
    """The run as what the store did leaves it."""
    done = run.cleaned_up or leftovers.is_swept(_effect(case, run), case.observed)
    return run.model_copy(update={"cleaned_up": done})


def pause(case: Case, run: Run) -> float | None:
    """Seconds until the next try."""
    return leftovers.pause(_effect(case, run), case.observed)


def _effect(case: Case, run: Run) -> Effect:
    return leftovers.sweep(case.prefix(run), case.version_prefix(run), run.epoch)


def _is_over(case: Case, run: Run) -> bool:
    job = case.observed.child("Job", job_name(run))
    return jobs.is_held(job) and not jobs.orphaned_pods(case.namespace, run.id, case.observed)
