from __future__ import annotations

from typing import Any

from modelyard import names
from modelyard.decision import Observed
from modelyard.resources.conditions import condition
from modelyard.resources.trainingprofile import RECONCILER
from tests.builders_serving import NOW


def a_profile(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": names.API_VERSION,
        "kind": "TrainingProfile",
        "metadata": {"name": "default", "generation": 3},
        "spec": spec,
    }


def test_ready() -> None:
    decision = RECONCILER.decide(a_profile(), Observed(), NOW)
    assert decision.status is not None
    assert decision.status["observedGeneration"] == 3
    assert [(c["type"], c["status"]) for c in decision.status["conditions"]] == [("Ready", "True")]
    assert not list(RECONCILER.needs(a_profile(), Observed()))


def test_a_value_that_is_not_understood_is_named() -> None:
    decision = RECONCILER.decide(a_profile(retries="two"), Observed(), NOW)
    stalled = condition({"status": decision.status}, names.STALLED)
    assert stalled is not None
    assert stalled["reason"] == names.INVALID_SPEC
    assert "spec.retries" in stalled["message"]


def test_stable() -> None:
    profile = a_profile()
    first = RECONCILER.decide(profile, Observed(), NOW)
    second = RECONCILER.decide({**profile, "status": first.status}, Observed(), NOW)
    assert second.status == first.status
    assert second.events == ()
