"""A FineTuneJob's story: pin the inputs, adopt or train, verify what was published, make and judge the version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelyard import names
from modelyard.api.finetunejob import FineTuneJobSpec, Run
from modelyard.decision import Decision, Manifest, Need, Observed
from modelyard.resources import jobs, profiles
from modelyard.resources.conditions import Verdict
from modelyard.resources.finetunejob import hashing, leftovers, parent, shared_run, status, training_job, version
from modelyard.resources.finetunejob.base import is_foreign, listed, listing_fact, record_fact, recorded
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.finetunejob.data import dataset_ref
from modelyard.resources.finetunejob.pins import current_run, new_run
from modelyard.resources.finetunejob.progress import progress_fact
from modelyard.resources.finetunejob.rules import RULES, Picture
from modelyard.resources.finetunejob.run_id import is_model_name
from modelyard.resources.parse import spec_of, unknown_fields
from modelyard.resources.queueing import queue_needs
from modelyard.resources.refusals import refusal_needs
from modelyard.resources.rules import first
from modelyard.resources.scheduling import capacity_needs
from modelyard.resources.waiting import Wait


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
    """One reconcile: a spec that is understood goes by the rules; a run that it asks for no more is forgotten."""
    case = _case(obj, observed)
    if isinstance(case, Verdict):
        return status.invalid(obj, case, observed, now)
    case = replace(case, now=now)
    run = current_run(case)
    if run is None and (unknown := unknown_fields(FineTuneJobSpec, obj)):
        return status.invalid(obj, unknown, observed, now)
    answer = first(RULES, _begun_anew(case) if run is None else Picture(case, run))
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


def _begun_anew(case: Case) -> Picture:
    """A new run as soon as everything is there, without what an earlier one left but the conditions' times."""
    kept = {k: v for k, v in case.obj.get("status", {}).items() if k in ("conditions", "observedGeneration", "base")}
    case = replace(case, obj={**case.obj, "status": kept})
    return Picture(case, new_run(case))


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
