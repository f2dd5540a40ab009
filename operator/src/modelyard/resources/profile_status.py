"""What the reconcilers of both profiles are: one is ready as soon as its spec is understood."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from modelyard import names
from modelyard.api.common import ApiModel, CommonStatus
from modelyard.decision import Decision, Manifest, Need, Observed
from modelyard.resources.conditions import Verdict, conditions, events
from modelyard.resources.parse import spec_of


def nothing(obj: Manifest, observed: Observed) -> Iterable[Need]:
    """A profile needs nothing else."""
    return ()


def decide_by(
    spec_model: type[ApiModel], status_model: type[CommonStatus], text: str
) -> Callable[[Manifest, Observed, datetime], Decision]:
    """The `decide` of a reconciler: `text` is said of a spec that is understood."""

    def decide(obj: Manifest, observed: Observed, now: datetime) -> Decision:
        spec = spec_of(spec_model, obj)
        verdict = spec if isinstance(spec, Verdict) else Verdict(True, names.READY, text)
        status = status_model.model_validate(
            {
                "observedGeneration": obj["metadata"].get("generation", 0),
                "conditions": conditions(obj, verdict, now),
                "phase": verdict.reason,
            }
        )
        return Decision(status=status.dump(), events=events(obj, verdict))

    return decide
