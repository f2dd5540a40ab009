"""Whether a version is what it says: its number is claimed by its run and its artifacts match its digest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from modelyard import names
from modelyard.api.modelversion import ModelVersionSpec, ModelVersionStatus
from modelyard.decision import Answer, Fact, Manifest, Observed
from modelyard.resources.conditions import Verdict, condition
from modelyard.resources.modelversion.place import misplaced, own_prefix
from modelyard.resources.modelversion.sizes import humanised
from modelyard.resources.parse import status_of
from modelyard.resources.pods import Fault
from modelyard.resources.recheck import LASTING, recheck

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


def verify(obj: Manifest, spec: ModelVersionSpec, observed: Observed, now: datetime) -> tuple[Verdict, str | None]:
    """The verdict of this reconcile, and since when the store says otherwise.

    The last verdict stands while the store cannot answer, and until it has said twice what refutes the version: a
    store that fails over may say once that something is gone, and traffic would leave the version for it.
    """
    namespace = obj["metadata"]["namespace"]
    wrong_place = misplaced(namespace, observed.platform.store_bucket, spec)
    if wrong_place:
        return Verdict(False, names.INVALID_SPEC, wrong_place, stalled=True), None
    claim = observed.fact(claimant_fact(namespace, spec, is_suspect(obj)))
    files = observed.fact(verified_fact(namespace, spec))
    refuted, last = _refuted(spec, claim, files), _last(obj)
    if refuted is not None:
        return (refuted, None) if last is not None and not last.ready else _rechecked(obj, refuted, now)
    if answered(claim) and answered(files):
        return Verdict(True, names.VERSION_VERIFIED, f"{humanised(spec.size)} match {spec.digest[:19]}"), None
    return last or _unverified(claim, files), None


def _refuted(spec: ModelVersionSpec, claim: Answer | None, files: Answer | None) -> Verdict | None:
    if answered(claim) and not claims(claim, spec):
        return _not_claimed(spec, str(claim.value if claim else ""))
    return _corrupt(spec, files) if files is not None and files.reason in LOST else None


def _rechecked(obj: Manifest, refuted: Verdict, now: datetime) -> tuple[Verdict, str | None]:
    fault = Fault(refuted.reason, refuted.message, final=True)
    since, wait = recheck(status_of(ModelVersionStatus, obj).suspect_since, fault, now)
    if wait is None:
        return refuted, None
    return _last(obj) or Verdict(False, names.PENDING, wait.verdict.message), since


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


def _last(obj: Manifest) -> Verdict | None:
    last = condition(obj, names.VERIFIED)
    if last is None or last["status"] == "Unknown":
        return None
    ready = last["status"] == "True"
    return Verdict(ready, last["reason"], last["message"], stalled=not ready)


def _unverified(*answers: Answer | None) -> Verdict:
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
