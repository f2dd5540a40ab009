"""Kueue's moves on a real kubelet. No Kueue runs here: the test unsuspends the Job, evicts it, and resumes it."""

from __future__ import annotations

import pytest

from modelyard import names
from modelyard.api import layout
from tests.e2e.runs import prefix_of, run_id, step_of
from tests.e2e.yard import Yard, dataset
from tests.stubtrainer.behaviour import Behaviour

SLOW = Behaviour(steps=40, seconds_per_step=0.5)


@pytest.fixture(scope="module", autouse=True)
def rows(yard: Yard) -> None:
    yard.apply(dataset("rows"))
    yard.wait_ready("dataset", "rows")


def kueue(yard: Yard, job: str, *, suspend: bool) -> None:
    """Kueue's move."""
    yard.patch("job", job, {"suspend": suspend})


def test_kueue_unsuspends_evicts_and_resumes(yard: Yard) -> None:
    wanted = yard.stub("queued", behaviour=SLOW, checkpoint={"every": "1h"})
    wanted["metadata"]["labels"] = {names.LABEL_QUEUE: "team-a"}
    yard.apply(wanted)
    assert "team-a" in yard.wait_reason("finetunejob", "queued", names.QUEUED, 60)
    made = yard.get("finetunejob", "queued") or {}
    (job,) = yard.jobs_of(run_id(made))
    name = job["metadata"]["name"]
    kueue(yard, name, suspend=False)
    yard.wait("finetunejob", "queued", lambda o: step_of(o) >= 6, 90)
    kueue(yard, name, suspend=True)
    assert "took the pods back" in yard.wait_reason("finetunejob", "queued", names.QUEUED, 60)
    yard.wait("finetunejob", "queued", lambda o: not yard.pods_of(run_id(o)), 60)
    kueue(yard, name, suspend=False)
    done = yard.wait_ready("finetunejob", "queued", 120)
    assert (done["status"]["version"], done["status"]["resumes"]) == ("queued-1", 1)
    (after,) = yard.jobs_of(run_id(made))
    # Made once and changed three times, each time by us; the eviction is no failure.
    assert after["metadata"]["uid"] == job["metadata"]["uid"] and after["metadata"]["generation"] == 4
    assert not after["status"].get("failed")
    report = yard.stored_json(layout.report_key(prefix_of(yard, done)))
    assert report["train"]["resumed_from"] >= 6
