"""Whether a version is what it says: its number is claimed by its run and its artifacts match its digest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modelyard import names
from modelyard.api.modelversion import ModelVersionSpec, ModelVersionStatus
from modelyard.decision import Answer, Fact, Manifest
from modelyard.resources.conditions import Verdict, condition
from modelyard.resources.modelversion.place import own_prefix
from modelyard.resources.parse import status_of
from modelyard.resources.pods import Fault
from modelyard.resources.recheck import LASTING, recheck
from modelyard.resources.waiting import Wait

VERIFIED_AGE = 600.0
CLAIM_AGE = 60.0
LOST = (names.CORRUPT, names.SOURCE_NOT_FOUND)


def verified_fact(namespace: str, spec: ModelVersionSpec) -> Fact:
    """Do the stored files match the manifest, and the manifest the digest?"""
    return Fact.of("verified", prefix=own_prefix(namespace, spec), digest=spec.digest, max_age=VERIFIED_AGE)


def claimant_fact(namespace: str, spec: ModelVersionSpec, suspect: bool = False) -> Fact:
    """Which run owns the number? Asked anew while its last answer is suspect."""
    age = LASTING / 2 if suspect else CLAIM_AGE
    return Fact.of("claimant", namespace=namespace, model=spec.model, number=str(spec.number), max_age=age)


def is_suspect(obj: Manifest) -> bool:
    """True while the store has said once what would refute the version."""
    return status_of(ModelVersionStatus, obj).suspect_since is not None


def refuted(spec: ModelVersionSpec, claim: Answer | None, files: Answer | None) -> Verdict | None:
    """What the store says against the version; None if nothing."""
    if answered(claim) and not claims(claim, spec):
        return _not_claimed(spec, str(claim.value if claim else ""))
    return _corrupt(spec, files) if files is not None and files.reason in LOST else None


def doubted(obj: Manifest, verdict: Verdict, now: datetime) -> tuple[str | None, Wait | None]:
    """Since when the store says so, and the wait until it is believed; without a wait it is."""
    fault = Fault(verdict.reason, verdict.message, final=True)
    return recheck(status_of(ModelVersionStatus, obj).suspect_since, fault, now)


def answered(answer: Answer | None) -> bool:
    """True when a fact gave a value."""
    return answer is not None and not answer.failed


def claims(claim: Answer | None, spec: ModelVersionSpec) -> bool:
    """True when the number is known to be claimed by this version's run."""
    return claim is not None and not claim.failed and claim.value == spec.run


def verified_condition(verdict: Verdict) -> dict[str, Any]:
    """The kind's own condition: True, False (corrupt or not claimed), Unknown while it was never verified."""
    refuted = verdict.reason in (names.CORRUPT, names.NOT_CLAIMED)
    word = "True" if verdict.ready else "False" if refuted else "Unknown"
    return {"type": names.VERIFIED, "status": word, "reason": verdict.reason, "message": verdict.message}


def last(obj: Manifest) -> Verdict | None:
    """The verdict that the status says; None while it was never verified nor refuted."""
    said = condition(obj, names.VERIFIED)
    if said is None or said["status"] == "Unknown":
        return None
    ready = said["status"] == "True"
    return Verdict(ready, said["reason"], said["message"], stalled=not ready)


def unverified(*answers: Answer | None) -> Verdict:
    """Why nothing is known about the version yet."""
    failed = next((answer for answer in answers if answer is not None and answer.failed), None)
    if failed is None:
        return Verdict(False, names.PENDING, "waiting for the store's answer about claim and artifacts")
    return Verdict(
        False, failed.reason, f"not verified yet: {failed.message}", stalled=failed.reason in names.STORE_FOR_PEOPLE
    )


def _not_claimed(spec: ModelVersionSpec, owner: str) -> Verdict:
    claimed = f"claimed by run {owner}" if owner else "not claimed"
    return Verdict(
        False,
        names.NOT_CLAIMED,
        f"number {spec.number} of model {spec.model} is {claimed}, not by spec.lineage.trained.run {spec.run}: "
        "versions are made by a FineTuneJob; delete this object",
        stalled=True,
    )


def _corrupt(spec: ModelVersionSpec, files: Answer) -> Verdict:
    return Verdict(
        False,
        names.CORRUPT,
        f"{files.message or 'the artifacts differ from their manifest'}; restore the files, or make a new version: "
        f"raise spec.attempt of FineTuneJob {spec.job}",
        stalled=True,
    )
