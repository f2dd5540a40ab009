"""The rules of a ModelVersion, and the picture that they look at: the first rule that applies answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from modelyard import names
from modelyard.api.modelversion import ModelVersionSpec
from modelyard.decision import Answer, Decision, Effect, Manifest, Observed
from modelyard.resources.conditions import Verdict
from modelyard.resources.modelversion import deletion, status, verification
from modelyard.resources.modelversion.place import misplaced
from modelyard.resources.modelversion.sizes import humanised


@dataclass(frozen=True)
class Picture:
    """A ModelVersion with what the store says about it and who uses it."""

    obj: Manifest
    spec: ModelVersionSpec
    observed: Observed
    now: datetime = datetime.min
    """When the reconcile is made; not known while it is asked what is needed."""

    @property
    def namespace(self) -> str:
        """Of the version, its job and its users."""
        return str(self.obj["metadata"]["namespace"])

    @cached_property
    def misplaced(self) -> str:
        """Why its uri is refused; empty when it is not."""
        return misplaced(self.namespace, self.observed.platform.store_bucket, self.spec)

    @property
    def claim(self) -> Answer | None:
        """Which run its number belongs to; asked more often while a version that stays is in doubt."""
        suspect = not deletion.being_deleted(self.obj) and verification.is_suspect(self.obj)
        return self.observed.fact(verification.claimant_fact(self.namespace, self.spec, suspect))

    @property
    def files(self) -> Answer | None:
        """Whether its files are what they were."""
        return self.observed.fact(verification.verified_fact(self.namespace, self.spec))

    @cached_property
    def users(self) -> dict[str, list[str]]:
        """By kind the names of those that need its artifacts."""
        return deletion.users(self.namespace, self.spec, self.observed)

    @property
    def refuted(self) -> Verdict | None:
        """What the store says against it."""
        return verification.refuted(self.spec, self.claim, self.files)

    @property
    def last(self) -> Verdict | None:
        """The verdict that stands; None while it was never verified nor refuted."""
        return verification.last(self.obj)

    @property
    def removal(self) -> Effect | None:
        """Spends the number and deletes the artifacts: once they are known to be its own, and that nobody uses them."""
        asked = (
            deletion.deployments_select(self.namespace, self.spec),
            deletion.jobs_select(self.namespace, self.spec),
        )
        due = verification.claims(self.claim, self.spec) and all(map(self.observed.known, asked))
        return deletion.removal(self.namespace, self.spec) if due and not self.users else None


def has_let_go(p: Picture) -> Decision | None:
    """It is being deleted and holds nothing any more -> nothing is left to do."""
    return Decision() if deletion.being_deleted(p.obj) and not deletion.holds_artifacts(p.obj) else None


def leaves_its_artifacts(p: Picture) -> Decision | None:
    """It is being deleted, and its artifacts are to stay or lie where no version's may lie -> it goes, they stay."""
    stay = p.spec.deletion_policy == "retain" or p.misplaced
    return Decision(finalizers=()) if deletion.being_deleted(p.obj) and stay else None


def is_in_use(p: Picture) -> Decision | None:
    """It is being deleted, and somebody serves it or goes on from it -> it waits for them."""
    return status.deleting(p, deletion.in_use(p.spec, p.users)) if deletion.being_deleted(p.obj) and p.users else None


def is_of_another_run(p: Picture) -> Decision | None:
    """It is being deleted, and its number belongs to another run -> it goes, the artifacts stay."""
    others = verification.answered(p.claim) and not verification.claims(p.claim, p.spec)
    return Decision(finalizers=()) if deletion.being_deleted(p.obj) and others else None


def is_removed(p: Picture) -> Decision | None:
    """It is being deleted, and its number is spent and its artifacts are gone -> it goes."""
    if not deletion.being_deleted(p.obj) or p.removal is None:
        return None
    return Decision(finalizers=()) if verification.answered(p.observed.effects.get(p.removal)) else None


def is_being_removed(p: Picture) -> Decision | None:
    """It is being deleted -> its number is spent and its artifacts go, as soon as it is known that they may."""
    if not deletion.being_deleted(p.obj):
        return None
    told = (p.claim, p.observed.effects.get(deletion.removal(p.namespace, p.spec)))
    fault = next((f"; {answer.message}" for answer in told if answer is not None and answer.failed), "")
    verdict = Verdict(False, names.DELETING, f"deleting the artifacts at {p.spec.uri}{fault}")
    return status.deleting(p, verdict, (p.removal,) if p.removal else ())


def is_misplaced(p: Picture) -> Decision | None:
    """Its uri is not where its own run publishes -> refused: nobody gets at another one's artifacts so."""
    if not p.misplaced:
        return None
    return status.judged(p, Verdict(False, names.INVALID_SPEC, p.misplaced, stalled=True))


def stays_refuted(p: Picture) -> Decision | None:
    """The store says that it is not so, as it did before -> refuted."""
    return status.judged(p, p.refuted) if p.refuted is not None and p.last is not None and not p.last.ready else None


def is_refuted(p: Picture) -> Decision | None:
    """The store says that it is not so -> the last verdict stands until it says so twice, then refuted.

    A store that fails over may say once that something is gone, and traffic would leave the version for it.
    """
    if p.refuted is None:
        return None
    since, wait = verification.doubted(p.obj, p.refuted, p.now)
    if wait is None:
        return status.judged(p, p.refuted)
    return status.judged(p, p.last or Verdict(False, names.PENDING, wait.verdict.message), since)


def is_verified(p: Picture) -> Decision | None:
    """Its number is claimed by its run and every file matches -> Verified."""
    if not (verification.answered(p.claim) and verification.answered(p.files)):
        return None
    text = f"{humanised(p.spec.size)} match {p.spec.digest[:19]}"
    return status.judged(p, Verdict(True, names.VERSION_VERIFIED, text))


def stays_as_it_was(p: Picture) -> Decision | None:
    """The store does not answer -> the last verdict stands."""
    return status.judged(p, p.last) if p.last is not None else None


def is_unknown(p: Picture) -> Decision | None:
    """The store does not answer, and never did -> Unknown, with what it lacks."""
    return status.judged(p, verification.unverified(p.claim, p.files))


RULES: tuple[Callable[[Picture], Decision | None], ...] = (
    has_let_go,
    leaves_its_artifacts,
    is_in_use,
    is_of_another_run,
    is_removed,
    is_being_removed,
    is_misplaced,
    stays_refuted,
    is_refuted,
    is_verified,
    stays_as_it_was,
    is_unknown,
)
"""The first that applies answers; the first six are about a version that is being deleted."""
