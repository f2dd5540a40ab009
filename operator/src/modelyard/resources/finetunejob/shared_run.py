"""A run that two FineTuneJobs ask for: one makes it, the other waits for the result, or shares the failure."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard.api.finetunejob import FineTuneJobStatus, Run
from modelyard.decision import Manifest, Ref
from modelyard.resources import jobs
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.parse import status_of
from modelyard.resources.pods import Fault


def maker_ref(case: Case, job: Manifest) -> Iterable[Ref]:
    """The FineTuneJob that owns the Job, if one does."""
    owner = jobs.owner(job)
    if owner.get("kind") == "FineTuneJob":
        yield Ref("FineTuneJob", owner["name"], case.namespace)


def failure(case: Case, run: Run, job: Manifest) -> Fault | None:
    """Why the run failed where it is made; None while it may still succeed."""
    refs = list(maker_ref(case, job))
    if not refs:
        return _unowned(job, case)
    name, maker = refs[0].name, case.observed.objects.get(refs[0])
    made = None if maker is None else status_of(FineTuneJobStatus, maker).run
    if made is None or made.id != run.id or made.failure is None:
        return None
    return Fault(made.failure.reason, f"FineTuneJob {name} made the same run: {made.failure.message}", final=True)


def _unowned(job: Manifest, case: Case) -> Fault | None:
    return jobs.why_failed(job, (), case.hints) if jobs.has_failed(job) else None
