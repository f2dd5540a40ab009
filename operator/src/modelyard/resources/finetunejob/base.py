"""The base model: a folder that is there, safe to load and complete."""

from __future__ import annotations

from typing import Any

from modelyard import names
from modelyard.api import layout
from modelyard.api.base_folder import fault_of
from modelyard.api.finetunejob import BasePin
from modelyard.decision import Fact
from modelyard.resources import limits
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.waiting import HUMAN_PAUSE, SOON, Wait, moving, stuck, unanswered


def listing_fact(case: Case) -> Fact:
    """Files of the base; one second old at most, so that a thousand jobs at once ask once."""
    return Fact.of("listing", max_age=1.0, uri=layout.folder_uri(case.spec.from_.uri))


def is_foreign(case: Case) -> bool:
    """True when the base lies where another namespace's models lie: nobody asks the store about it."""
    return layout.is_foreign(case.namespace, case.observed.platform.store_bucket, case.spec.from_.uri)


def pin_base(case: Case) -> BasePin | Wait | None:
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
    return _fault(uri, _paths(answer.value)) or BasePin(uri=uri, digest=answer.value["digest"])


def _paths(listing: dict[str, Any] | None) -> list[str]:
    return [str(path) for path, _ in (listing or {}).get("files", [])]


def _fault(uri: str, paths: list[str]) -> Wait | None:
    found = fault_of(uri, paths)
    return None if found is None else stuck(*found, HUMAN_PAUSE)
