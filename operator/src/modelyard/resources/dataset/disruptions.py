"""Evictions and pre-emptions of a Dataset's pods: counted in its status, up to what the profile allows."""

from __future__ import annotations

from modelyard.api.dataset import DatasetSpec
from modelyard.decision import Manifest, Observed
from modelyard.resources import disruptions, jobs, profiles
from modelyard.resources.dataset import status
from modelyard.resources.dataset.prepare_job import job_name
from modelyard.resources.pods import Fault
from modelyard.resources.waiting import Wait


def counted(obj: Manifest, spec: DatasetSpec, observed: Observed) -> Manifest:
    """The object with the pods of this preparation that were taken away counted in its status."""
    before = status.current(obj, spec)
    job = observed.child("Job", job_name(obj, spec))
    taken = disruptions.taken_after(before.last_disruption, jobs.pods_of(job, observed))
    if not taken:
        return obj
    count = {"disruptions": before.disruptions + len(taken), "lastDisruption": taken[-1]}
    return {**obj, "status": {**obj.get("status", {}), **count}}


def worn_out(obj: Manifest, spec: DatasetSpec, observed: Observed) -> Fault | None:
    """Why preparation ends although the Job would try again."""
    profile = profiles.profile_of(spec.profile, observed)
    if isinstance(profile, Wait):
        return None
    return disruptions.worn_out(status.current(obj, spec).disruptions, profile.disruptions, "the Dataset")
