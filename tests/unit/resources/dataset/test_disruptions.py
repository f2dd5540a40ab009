from __future__ import annotations

import pytest

from modelyard import names
from modelyard.resources.dataset import RECONCILER
from tests.builders import Pod, a_dataset, a_profile, published_rows
from tests.unit.resources.harness import Harness


@pytest.mark.parametrize("stay", [True, False], ids=["pods-stay", "pods-go"])
def test_disruptions_are_survived_up_to_the_profiles_number(stay: bool) -> None:
    harness = Harness(RECONCILER, a_dataset(), a_profile(disruptions=2))
    harness.settle()
    for number in range(1, 4):
        assert harness.status["phase"] in ("Pending", "Preparing")
        harness.pod(Pod.running, number)
        harness.settle()
        harness.pod(Pod.evicted, number)
        harness.settle()
        if not stay:
            harness.pods.clear()
    assert (harness.reason, harness.status["phase"], harness.status["disruptions"]) == (names.DISRUPTED, "Failed", 3)
    assert "disruptions: 2" in harness.message and "spec.revision: 2" in harness.message
    assert harness.job()["spec"]["suspend"] is True


def test_rows_that_a_pod_published_before_it_was_taken_away_count() -> None:
    harness = Harness(RECONCILER, a_dataset(), a_profile(disruptions=0))
    harness.settle()
    harness.pod(Pod.running)
    harness.settle()
    harness.facts["manifest"] = published_rows()
    harness.pod(Pod.evicted)
    harness.settle()
    assert (harness.reason, harness.status["phase"]) == (names.PREPARED, "Prepared")
