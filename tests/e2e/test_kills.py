"""The real trainer is killed three times, an uploader twice: the run goes on each time, and nothing half is left."""

from __future__ import annotations

from functools import partial

import pytest

from modelyard.api import layout
from modelyard.api.run import Manifest as Stored
from tests.e2e.harness import ClusterHarness, Manifest, dataset, finetunejob
from tests.e2e.runs import checkpoints_of, evict, kill_container, prefix_of, run_id, running_pod, wait_for
from tests.stubtrainer.behaviour import Behaviour

LONG = {"epochs": 120, "learningRate": 0.001}
HEAVY = Behaviour(weights=300)


@pytest.fixture(scope="module", autouse=True)
def rows(harness: ClusterHarness) -> None:
    harness.apply(dataset("rows"))
    harness.wait_ready("dataset", "rows")


def test_trainer_killed_evicted_and_deleted_goes_on_each_time(harness: ClusterHarness) -> None:
    harness.apply(finetunejob("killed", "rows", train=LONG, checkpoint={"every": "1s", "keep": 2}))
    job = harness.wait("finetunejob", "killed", lambda o: o.get("status", {}).get("run"), 60)
    reached = 0
    for take_away in (kill_container, partial(evict, harness), partial(_delete, harness)):
        wait_for(lambda above=reached: _newest(harness, job) > above, 180)  # type: ignore[misc]
        pod = running_pod(harness, job)
        take_away(pod)
        wait_for(lambda pod=pod: _is_gone(harness, job, pod), 60)  # type: ignore[misc]
        reached = _newest(harness, job)
    done = harness.wait_ready("finetunejob", "killed", 300)
    assert (run_id(done), done["status"]["version"]) == (run_id(job), "killed-1")
    assert done["status"]["resumes"] == 3 and done["status"]["run"]["disruptions"] == 1
    assert len(harness.jobs_of(run_id(job))) == 1
    report = harness.stored_json(layout.report_key(prefix_of(harness, done)))
    assert report["train"]["resumed_from"] >= reached
    assert checkpoints_of(harness, done) == []


def _newest(harness: ClusterHarness, job: Manifest) -> int:
    """Step of the newest checkpoint."""
    return max(checkpoints_of(harness, job), default=0)


def _delete(harness: ClusterHarness, pod: Manifest) -> None:
    harness.delete("pod", pod["metadata"]["name"])


def test_uploader_killed_twice_leaves_nothing_half(harness: ClusterHarness) -> None:
    harness.apply(harness.stub("heavy", behaviour=HEAVY))
    job = harness.wait("finetunejob", "heavy", lambda o: o.get("status", {}).get("run"), 60)
    version = layout.version_prefix(prefix_of(harness, job))
    for _ in range(2):
        pod = wait_for(lambda: _uploading(harness, job, version), 120, 0.05)
        kill_container(pod)
        assert layout.manifest_key(version) not in harness.stored_keys(version)
        wait_for(lambda pod=pod: _is_gone(harness, job, pod), 60)  # type: ignore[misc]
    done = harness.wait_ready("finetunejob", "heavy", 180)
    assert done["status"]["version"] == "heavy-1" and done["status"]["resumes"] == 2
    manifest = Stored.model_validate(harness.stored_json(layout.manifest_key(version)))
    assert len(harness.stored_keys(version)) == len(manifest.files) + 1
    assert harness.unfinished_uploads(prefix_of(harness, job)) == []


def _uploading(harness: ClusterHarness, job: Manifest, version: str) -> Manifest | None:
    """The pod that has begun with its large file."""
    return running_pod(harness, job) if harness.unfinished_uploads(version) else None


def _is_gone(harness: ClusterHarness, job: Manifest, pod: Manifest) -> bool:
    name = pod["metadata"]["name"]
    return all(p["status"]["phase"] == "Failed" for p in harness.pods_of(run_id(job)) if p["metadata"]["name"] == name)
