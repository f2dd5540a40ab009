"""Kueue's moves on a real kubelet. No Kueue runs here: the test unsuspends the Job, evicts it, and resumes it."""

from __future__ import annotations

import pytest

from modelyard import names
from modelyard.api import layout
from tests.e2e.harness import ClusterHarness, dataset
from tests.e2e.runs import prefix_of, run_id, step_of
from tests.stubtrainer.behaviour import Behaviour

SLOW = Behaviour(steps=40, seconds_per_step=0.5)


@pytest.fixture(scope="module", autouse=True)
def rows(harness: ClusterHarness) -> None:
    harness.apply(dataset("rows"))
    harness.wait_ready("dataset", "rows")


def kueue(harness: ClusterHarness, job: str, *, suspend: bool) -> None:
    """Kueue's move."""
    harness.patch("job", job, {"suspend": suspend})


def test_kueue_unsuspends_evicts_and_resumes(harness: ClusterHarness) -> None:
    wanted = harness.stub("queued", behaviour=SLOW, checkpoint={"every": "1h"})
    wanted["metadata"]["labels"] = {names.LABEL_QUEUE: "team-a"}
    harness.apply(wanted)
    assert "team-a" in harness.wait_reason("finetunejob", "queued", names.QUEUED, 60)
    made = harness.get("finetunejob", "queued") or {}
    (job,) = harness.jobs_of(run_id(made))
    name = job["metadata"]["name"]
    kueue(harness, name, suspend=False)
    harness.wait("finetunejob", "queued", lambda o: step_of(o) >= 6, 90)
    kueue(harness, name, suspend=True)
    assert "took the pods back" in harness.wait_reason("finetunejob", "queued", names.QUEUED, 60)
    harness.wait("finetunejob", "queued", lambda o: not harness.pods_of(run_id(o)), 60)
    kueue(harness, name, suspend=False)
    done = harness.wait_ready("finetunejob", "queued", 120)
    assert (done["status"]["version"], done["status"]["resumes"]) == ("queued-1", 1)
    (after,) = harness.jobs_of(run_id(made))
    # Made once and changed three times, each time by us; the eviction is no failure.
    assert after["metadata"]["uid"] == job["metadata"]["uid"] and after["metadata"]["generation"] == 4
    assert not after["status"].get("failed")
    report = harness.stored_json(layout.report_key(prefix_of(harness, done)))
    assert report["train"]["resumed_from"] >= 6
