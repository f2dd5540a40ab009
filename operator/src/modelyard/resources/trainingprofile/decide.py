"""A profile is ready as soon as its spec is understood."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelyard import names
from modelyard.api.trainingprofile import TrainingProfileSpec, TrainingProfileStatus
from modelyard.decision import Decision, Manifest, Need, Observed
from modelyard.resources.conditions import Verdict, conditions, events
from modelyard.resources.parse import spec_of


def needs(obj: Manifest, observed: Observed) -> Iterable[Need]:
    """Nothing."""
    return ()


def decide(obj: Manifest, observed: Observed, now: datetime) -> Decision:
    """Say whether runs may use it."""
    spec = spec_of(TrainingProfileSpec, obj)
    verdict = spec if isinstance(spec, Verdict) else Verdict(True, names.READY, "runs may use this profile")
    status = TrainingProfileStatus.model_validate(
        {
            "observedGeneration": obj["metadata"].get("generation", 0),
            "conditions": conditions(obj, verdict, now),
            "phase": verdict.reason,
        }
    )
    return Decision(status=status.dump(), events=events(obj, verdict))
