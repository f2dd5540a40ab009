"""The content of a base, learned once per listing and namespace by a small Job, before a run can have an id.

    no record ──▶ make ──▶ watch ──▶ the record stands: the run is pinned, and the Job goes
                   ▲         │
                   └─ later ─┴ failed, or ended without a record

The Job is named after the listing: objects that start from the same files meet in it, and whoever was first owns it.
Its pod reads the base and writes the record, nothing else (api/access.py). All this happens beside the preparation of
the rows, so that a new base seldom costs time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelyard import names
from modelyard.api import layout
from modelyard.api.common import Resources, seconds
from modelyard.api.finetunejob import BaseListing
from modelyard.api.run import HashConfig, needed_contract
from modelyard.api.trainingprofile import TrainingProfileSpec
from modelyard.decision import Child, Manifest, Need, Ref
from modelyard.resources import jobs, run_job
from modelyard.resources.clock import elapsed
from modelyard.resources.finetunejob.base import Listing
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.finetunejob.progress import progress_of_job, report_of
from modelyard.resources.pod_block import resolved
from modelyard.resources.pods import Fault, is_running
from modelyard.resources.profiles import own_image_of
from modelyard.resources.quantity import in_bytes
from modelyard.resources.queueing import queue_needs, queue_of, waits_in_queue
from modelyard.resources.refusals import held_pods, refusal, refusal_needs
from modelyard.resources.run_plan import RunPlan, endpoint_of, store_of
from modelyard.resources.scheduling import capacity_needs
from modelyard.resources.sidecars import phase
from modelyard.resources.waiting import Wait, moving, stuck, waited, waits_for_pod

CPU, MEMORY = 1.0, "256Mi"
"""What the pod gets at most; never more than the run itself asks for."""
AGAIN, LATEST = 60.0, 600.0
"""Seconds after which a Job that came to nothing is made again; longer, the longer the object waits."""
SOON = 2.0


@dataclass(frozen=True)
class Step:
    """What is waited for, the Job, and what its pods may read, which stands in the status before it is made."""

    wait: Wait
    children: tuple[Child, ...] = ()
    base: BaseListing | None = None
    begins: bool = False
    """Whether the Job is only now to be made."""


def needs(case: Case, base: Listing) -> Iterable[Need]:
    """The Job, whoever made it, and what its pods are up to."""
    name = names.hash_job(base.digest)
    job = case.observed.child("Job", name)
    pods = jobs.pods_of(job, case.observed)
    yield from (Ref("Job", name, case.namespace), Ref("ConfigMap", name, case.namespace))
    yield from (*refusal_needs(job, pods), *queue_needs(job), *capacity_needs(pods))
    if job is None:
        yield jobs.run_pods(case.namespace, name)
    if any(map(is_running, pods)):
        yield progress_of_job(case, name)


def step(case: Case, base: Listing, profile: TrainingProfileSpec) -> Step:
    """Make the Job, watch it, or make it again; nothing of our own while another object's is at work."""
    plan = _plan(case, base, profile)
    job = case.observed.child("Job", plan.name)
    named = case.observed.objects.get(Ref("Job", plan.name, case.namespace))
    if named is not None and not jobs.belongs_to(named, case.obj):
        return Step(_shared(case, base, named))
    if job is None:
        return _make(case, base, plan)
    pods = jobs.pods_of(job, case.observed)
    lacking = jobs.lacks_image(pods, case.hints)
    stale = run_job.is_stale(job, plan, all_counts=lacking) and not jobs.ever_started(job, pods)
    if stale or _is_due(case, job, pods):
        return Step(moving(names.HASHING_BASE, f"hashing base {base.uri}: the Job is made again", 1.0))
    # Where two made the Job at once, the ConfigMap that it reads may be the other one's, and go with it.
    return Step(_watched(case, base, job, pods), run_job.children(plan), _listing(base))


def _shared(case: Case, base: Listing, job: Manifest) -> Wait:
    """Another object's Job: its record will be ours, too; its maker tries again, or goes, and then it is our turn."""
    maker, name = jobs.owner(job), job["metadata"]["name"]
    who = f"{maker.get('kind', 'something else')} {maker.get('name', '')}".strip()
    if jobs.has_failed(job):
        fault = jobs.why_failed(job, (), case.hints)
        text = f"spec.from.base: Job {name} of {who} did not read {base.uri}: {fault.message}; {who} tries again"
        return stuck(fault.reason, text, 30.0)
    return moving(names.HASHING_BASE, f"{who} hashes base {base.uri} in Job {name}; it is read once for all", 30.0)


def _make(case: Case, base: Listing, plan: RunPlan) -> Step:
    stale = run_job.is_stale(case.observed.child("ConfigMap", plan.name), plan, all_counts=True)
    if stale or jobs.orphaned_pods(case.namespace, plan.run, case.observed):
        wait = moving(names.HASHING_BASE, "waiting for the end of what an earlier Job left", 1.0)
        return Step(wait, () if stale else run_job.kept(plan.name))
    wait = refusal(case.observed, plan.name, case.hints) or _waits(base, plan.name)
    return Step(wait, run_job.children(plan), _listing(base), begins=True)


def undisturbed(case: Case) -> Step:
    """Whatever reads the base now goes on as it is; nothing where nobody does."""
    base = case.status.base
    name = "" if base is None else names.hash_job(base.listing)
    if base is None or case.observed.child("Job", name) is None:
        return Step(moving(names.HASHING_BASE, "hashing base"))
    return Step(moving(names.HASHING_BASE, f"hashing base {base.uri}"), run_job.kept(name), base)


def _watched(case: Case, base: Listing, job: Manifest, pods: tuple[Manifest, ...]) -> Wait:
    name, hints = job["metadata"]["name"], case.hints
    fault = _fault(case, job, pods)
    if fault is not None:
        text = f"spec.from.base: the content of {base.uri} was not read: {fault.message}; tried again within minutes"
        return stuck(fault.reason, text, _pause(case))
    if _is_done(job, pods):
        return moving(names.HASHING_BASE, f"hashing base {base.uri}: reading its record", SOON)
    queued = waits_in_queue(job, case.observed)
    if queued is not None:
        return queued
    if any(map(is_running, pods)):
        return moving(names.HASHING_BASE, f"hashing base: {_files(case, name)} of {base.files} files of {base.uri}")
    held = held_pods(job, pods, case.observed, hints)
    if held is not None:
        return held
    ended = jobs.last_fault(pods, hints)
    if ended is not None:
        return moving(names.HASHING_BASE, f"hashing base {base.uri}: the last pod ended: {ended.message}")
    return refusal(case.observed, name, hints) or _waits(base, name)


def _waits(base: Listing, name: str) -> Wait:
    waits = waits_for_pod(name)
    return moving(names.HASHING_BASE, f"hashing base {base.uri}: {waits.verdict.message}")


def _fault(case: Case, job: Manifest, pods: tuple[Manifest, ...]) -> Fault | None:
    """Why the Job came to nothing."""
    beside = jobs.fault_beside_a_sidecar(pods, case.hints, last=True)
    return beside or (jobs.why_failed(job, pods, case.hints) if jobs.has_failed(job) else None)


def _is_done(job: Manifest, pods: tuple[Manifest, ...]) -> bool:
    """True once the record should stand."""
    return jobs.is_complete(job) or any(phase(pod) == "Succeeded" for pod in pods)


def _is_due(case: Case, job: Manifest, pods: tuple[Manifest, ...]) -> bool:
    """True when a Job that came to nothing, whatever it said of itself, has stood long enough."""
    over = _fault(case, job, pods) is not None or _is_done(job, pods)
    return over and elapsed(_ended(job), case.now) >= _pause(case)


def _ended(job: Manifest) -> str:
    moments = [str(c.get("lastTransitionTime", "")) for c in job.get("status", {}).get("conditions", ())]
    return max([*moments, str(job["metadata"].get("creationTimestamp", ""))])


def _pause(case: Case) -> float:
    return min(LATEST, max(AGAIN, waited(case.obj, case.now) / 4))


def _files(case: Case, job: str) -> int:
    report = report_of(case.observed.fact(progress_of_job(case, job)))
    return report.step if report is not None and report.run == job else 0


def _listing(base: Listing) -> BaseListing:
    return BaseListing(uri=base.uri, listing=base.digest)


def _plan(case: Case, base: Listing, profile: TrainingProfileSpec) -> RunPlan:
    platform, name = case.observed.platform, names.hash_job(base.digest)
    config = HashConfig(
        name=case.name,
        uri=base.uri,
        listing=base.digest,
        record=layout.base_record_key(case.namespace, base.digest),
        store=store_of(platform),
    )
    return RunPlan(
        name=name,
        run=name,
        config=config.model_copy(update={"contract": needed_contract(config)}),
        image=own_image_of(profile, case.observed),
        chosen_image="" if profile.trainer.command else profile.trainer.image or "",
        store_secret=profile.store.secret or "",
        resources=_resources(case.spec.resources),
        queue=queue_of(case.obj, profile),
        retries=profile.retries,
        endpoint=endpoint_of(platform, case.namespace, name),
        endpoint_ca=platform.endpoint_ca,
        grace=seconds(profile.grace_period),
        pod=resolved(profile.pod, case.obj),
    )


def _resources(asked: Resources) -> Resources:
    memory = min(asked.memory, MEMORY, key=in_bytes)
    return Resources(cpu=min(asked.cpu, CPU), memory=memory)
