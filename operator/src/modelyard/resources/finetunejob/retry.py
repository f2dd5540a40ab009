"""How often a run went on, what took its pods away, and when enough is enough."""

from __future__ import annotations

from collections.abc import Sequence

from modelyard import names
from modelyard.api.finetunejob import Pinned, Run
from modelyard.decision import Manifest
from modelyard.resources import jobs
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.pods import Fault, created, has_started, is_disrupted


def counted(run: Run, resumes: int, pods: Sequence[Manifest]) -> tuple[Run, int]:
    """The run with pods and disruptions counted once each; pods of one run follow each other, so times order them."""
    started = _after(run.last_pod, [pod for pod in pods if has_started(pod)])
    taken = _after(run.last_disruption, [pod for pod in pods if is_disrupted(pod)])
    first = 1 if started and run.last_pod is None else 0
    update = {
        "last_pod": started[-1] if started else run.last_pod,
        "last_disruption": taken[-1] if taken else run.last_disruption,
        "disruptions": run.disruptions + len(taken),
    }
    return run.model_copy(update=update), resumes + len(started) - first


def fatal(case: Case, run: Run, pods: Sequence[Manifest]) -> Fault | None:
    """Why the run ends although its Job would try again."""
    return jobs.fatal(pods, case.hints) or _worn_out(run, run.pinned)


def _after(time: str | None, pods: Sequence[Manifest]) -> list[str]:
    return sorted({created(pod) for pod in pods if created(pod) > (time or "")})


def _worn_out(run: Run, pinned: Pinned | None) -> Fault | None:
    if pinned is None or run.disruptions <= pinned.disruptions:
        return None
    text = (
        f"the cluster took away more pods than the profile allows (disruptions: {pinned.disruptions}); "
        "give the run calmer nodes or raise spec.disruptions of the TrainingProfile"
    )
    return Fault(names.DISRUPTED, text, final=True)
