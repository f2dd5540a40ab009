"""The real trainer is killed three times, an uploader twice: the run goes on each time, and nothing half is left."""

from __future__ import annotations

from functools import partial

import pytest

from modelyard.api import layout
from modelyard.api.run import Manifest as Stored
from tests.e2e.runs import checkpoints_of, evict, kill_container, prefix_of, run_id, running_pod, wait_for
from tests.e2e.yard import Manifest, Yard, dataset, finetunejob
from tests.stubtrainer.behaviour import Behaviour

LONG = {"epochs": 120, "learningRate": 0.001}
HEAVY = Behaviour(weights=300)


@pytest.fixture(scope="module", autouse=True)
def rows(yard: Yard) -> None:
    yard.apply(dataset("rows"))
    yard.wait_ready("dataset", "rows")


def test_trainer_killed_evicted_and_deleted_goes_on_each_time(yard: Yard) -> None:
    yard.apply(finetunejob("killed", "rows", train=LONG, checkpoint={"every": "1s", "keep": 2}))
    job = yard.wait("finetunejob", "killed", lambda o: o.get("status", {}).get("run"), 60)
    reached = 0
    for take_away in (kill_container, partial(evict, yard), partial(_delete, yard)):
        wait_for(lambda above=reached: _newest(yard, job) > above, 180)  # type: ignore[misc]
        pod = running_pod(yard, job)
        take_away(pod)
        wait_for(lambda pod=pod: _is_gone(yard, job, pod), 60)  # type: ignore[misc]
        reached = _newest(yard, job)
    done = yard.wait_ready("finetunejob", "killed", 300)
    assert (run_id(done), done["status"]["version"]) == (run_id(job), "killed-1")
    assert done["status"]["resumes"] == 3 and done["status"]["run"]["disruptions"] == 1
    assert len(yard.jobs_of(run_id(job))) == 1
    report = yard.stored_json(layout.report_key(prefix_of(yard, done)))
    assert report["train"]["resumed_from"] >= reached
    assert checkpoints_of(yard, done) == []


def _newest(yard: Yard, job: Manifest) -> int:
    """Step of the newest checkpoint."""
    return max(checkpoints_of(yard, job), default=0)


def _delete(yard: Yard, pod: Manifest) -> None:
    yard.delete("pod", pod["metadata"]["name"])


def test_uploader_killed_twice_leaves_nothing_half(yard: Yard) -> None:
    yard.apply(yard.stub("heavy", behaviour=HEAVY))
    job = yard.wait("finetunejob", "heavy", lambda o: o.get("status", {}).get("run"), 60)
    version = layout.version_prefix(prefix_of(yard, job))
    for _ in range(2):
        pod = wait_for(lambda: _uploading(yard, job, version), 120, 0.05)
        kill_container(pod)
        assert layout.manifest_key(version) not in yard.stored_keys(version)
        wait_for(lambda pod=pod: _is_gone(yard, job, pod), 60)  # type: ignore[misc]
    done = yard.wait_ready("finetunejob", "heavy", 180)
    assert done["status"]["version"] == "heavy-1" and done["status"]["resumes"] == 2
    manifest = Stored.model_validate(yard.stored_json(layout.manifest_key(version)))
    assert len(yard.stored_keys(version)) == len(manifest.files) + 1
    assert yard.unfinished_uploads(prefix_of(yard, job)) == []


def _uploading(yard: Yard, job: Manifest, version: str) -> Manifest | None:
    """The pod that has begun with its large file."""
    return running_pod(yard, job) if yard.unfinished_uploads(version) else None


def _is_gone(yard: Yard, job: Manifest, pod: Manifest) -> bool:
    name = pod["metadata"]["name"]
    return all(p["status"]["phase"] == "Failed" for p in yard.pods_of(run_id(job)) if p["metadata"]["name"] == name)
