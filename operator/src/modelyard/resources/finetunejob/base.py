"""The base model: a folder that is there, safe to load and complete, and known by its content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelyard import names
from modelyard.api import layout
from modelyard.api.base_folder import fault_of, is_loaded
from modelyard.api.finetunejob import BasePin
from modelyard.decision import Answer, Fact
from modelyard.resources import jobs, limits
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.sidecars import phase
from modelyard.resources.waiting import HUMAN_PAUSE, SOON, Wait, moving, stuck, unanswered

RECORD_AGE = 60.0


@dataclass(frozen=True)
class Listing:
    """The base's folder as the store lists it: digest of the listing, and how many files are loaded."""

    uri: str
    digest: str
    files: int


def listing_fact(case: Case) -> Fact:
    """Files of the base; one second old at most, so that a thousand jobs at once ask once."""
    return Fact.of("listing", max_age=1.0, uri=layout.folder_uri(case.spec.from_.uri))


def record_fact(case: Case, listing: Listing) -> Fact:
    """Digest of the content of what was listed, if this namespace knows it; asked anew when our Job is through."""
    job = case.observed.child("Job", names.hash_job(listing.digest))
    pods = jobs.pods_of(job, case.observed)
    done = job is not None and (jobs.has_ended(job) or any(phase(pod) == "Succeeded" for pod in pods))
    age = 0.0 if done else RECORD_AGE
    return Fact.of("base_record", max_age=age, namespace=case.namespace, listing=listing.digest)


def is_foreign(case: Case) -> bool:
    """True when the base lies where another namespace's models lie: nobody asks the store about it."""
    return layout.is_foreign(case.namespace, case.observed.platform.store_bucket, case.spec.from_.uri)


def listed(case: Case) -> Listing | Wait | None:
    """The base as it lies in the store now, or what is wrong with it; None where the weights begin at random."""
    if case.spec.from_.base is None:
        return None
    if is_foreign(case):
        return stuck(names.NOT_ALLOWED, limits.foreign("spec.from.base", case.spec.from_.uri, case.namespace))
    uri, answer = layout.folder_uri(case.spec.from_.uri), case.observed.fact(listing_fact(case))
    if answer is None:
        return moving(names.PENDING, f"reading {uri}", SOON)
    if answer.reason == names.SOURCE_NOT_FOUND or not (answer.failed or _paths(answer.value)):
        text = f"spec.from.base: there is nothing under {uri}; upload the model there or name another folder"
        return stuck(names.BASE_NOT_FOUND, text, HUMAN_PAUSE)
    if answer.reason == names.BASE_INVALID:
        return stuck(answer.reason, f"spec.from.base: {uri}: {answer.message}", HUMAN_PAUSE)
    if answer.failed:
        return unanswered(answer, f"spec.from.base {uri}")
    paths = _paths(answer.value)
    return _fault(uri, paths) or Listing(uri, answer.value["digest"], sum(map(is_loaded, paths)))


def recorded(case: Case, listing: Listing) -> Answer | None:
    """What the store says about the content: no answer yet, a failed one, or a digest, None if nobody hashed it."""
    return case.observed.fact(record_fact(case, listing))


def pin_base(case: Case) -> BasePin | Wait | None:
    """The base by its content, or what it waits for; None where there is none."""
    found = listed(case)
    if found is None or isinstance(found, Wait):
        return found
    answer = recorded(case, found)
    if answer is None:
        return moving(names.PENDING, f"reading what is known of {found.uri}", SOON)
    if answer.failed:
        return unanswered(answer, f"spec.from.base {found.uri}")
    if not answer.value:
        return moving(names.HASHING_BASE, f"hashing base {found.uri}", HUMAN_PAUSE)  # also another may leave the record
    return BasePin(uri=found.uri, digest=answer.value, listing=found.digest)


def _paths(listing: dict[str, Any] | None) -> list[str]:
    return [str(path) for path, _ in (listing or {}).get("files", [])]


def _fault(uri: str, paths: list[str]) -> Wait | None:
    found = fault_of(uri, paths)
    return None if found is None else stuck(*found, HUMAN_PAUSE)
