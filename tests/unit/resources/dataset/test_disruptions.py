from __future__ import annotations

import pytest

from modelyard import names
from modelyard.resources.dataset import RECONCILER
from tests.builders import Pod, a_dataset, a_profile, published_rows
from tests.unit.resources.lab import Lab


@pytest.mark.parametrize("stay", [True, False], ids=["pods-stay", "pods-go"])
def test_disruptions_are_survived_up_to_the_profiles_number(stay: bool) -> None:
    yard = Lab(RECONCILER, a_dataset(), a_profile(disruptions=2))
    yard.settle()
    for number in range(1, 4):
        assert yard.status["phase"] in ("Pending", "Preparing")
        yard.pod(Pod.running, number)
        yard.settle()
        yard.pod(Pod.evicted, number)
        yard.settle()
        if not stay:
            yard.pods.clear()
    assert (yard.reason, yard.status["phase"], yard.status["disruptions"]) == (names.DISRUPTED, "Failed", 3)
    assert "disruptions: 2" in yard.message and "spec.revision: 2" in yard.message
    assert yard.job()["spec"]["suspend"] is True


def test_rows_that_a_pod_published_before_it_was_taken_away_count() -> None:
    yard = Lab(RECONCILER, a_dataset(), a_profile(disruptions=0))
    yard.settle()
    yard.pod(Pod.running)
    yard.settle()
    yard.facts["manifest"] = published_rows()
    yard.pod(Pod.evicted)
    yard.settle()
    assert (yard.reason, yard.status["phase"]) == (names.PREPARED, "Prepared")
