"""Things are taken away in mid-run; the run goes on, nothing is done twice and nothing corrupt is served.

Not about training, so the stub trainer runs: its checkpoints, store calls and exit codes are the real trainer's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from dev.localcluster import cluster as parts
from examples.demo import install
from examples.demo.cluster import Cluster
from examples.demo.follow import ready_condition
from modelyard.api import layout
from tests.e2e.harness import ClusterHarness, Manifest, dataset, deployment
from tests.e2e.runs import step_of
from tests.e2e.tampering import flipped_byte, never_serves
from tests.e2e.whole import wait_until_whole
from tests.served import number_in
from tests.stubtrainer.behaviour import Behaviour

SLOW = Behaviour(steps=40, seconds_per_step=0.5)
LONG = Behaviour(steps=4000, seconds_per_step=0.5)
CHECKPOINT = {"every": "2s", "keep": 2}


@pytest.fixture(scope="module", autouse=True)
def rows(harness: ClusterHarness) -> None:
    harness.apply(dataset("rows"))
    harness.wait_ready("dataset", "rows")


@pytest.fixture(scope="module")
def served(harness: ClusterHarness) -> str:
    """A small version that is served."""
    harness.apply(harness.stub("kept"), deployment("kept", "kept"))
    harness.wait_ready("finetunejob", "kept")
    harness.wait("modeldeployment", "kept", lambda o: number_in(o) == 1, 180)
    return "kept"


def start(harness: ClusterHarness, name: str, behaviour: Behaviour = SLOW, **spec: Any) -> Manifest:
    """A run in its midst."""
    harness.apply(harness.stub(name, behaviour=behaviour, checkpoint=CHECKPOINT, **spec))
    return harness.wait("finetunejob", name, lambda o: step_of(o) >= 6, 90)


def finish(harness: ClusterHarness, job: Manifest, seconds: float = 120) -> Manifest:
    """The run ends with the first version of its model, by one Job."""
    name, run = job["metadata"]["name"], job["status"]["run"]["id"]
    done = harness.wait_ready("finetunejob", name, seconds)
    assert done["status"]["version"] == f"{name}-1"
    assert done["status"]["run"]["id"] == run and len(harness.jobs_of(run)) == 1
    return done


def test_suspend_keeps_the_checkpoint_and_resume_goes_on(harness: ClusterHarness) -> None:
    job = start(harness, "paused", suspend=False)
    harness.patch("finetunejob", "paused", {"suspend": True})
    harness.wait_reason("finetunejob", "paused", "Suspended", 60)
    harness.wait("finetunejob", "paused", lambda o: not harness.pods_of(o["status"]["run"]["id"]), 90)
    harness.patch("finetunejob", "paused", {"suspend": False})
    finish(harness, job)
    assert resumed_from(harness, job) >= 6


def test_operator_killed_in_mid_run(cluster: Cluster, harness: ClusterHarness) -> None:
    job = start(harness, "orphan")
    chosen = ("-n", install.OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=modelyard")
    cluster.kube("delete", "pod", *chosen, "--grace-period=0", "--force")
    finish(harness, job)


@pytest.fixture
def repaired(cluster: Cluster) -> Iterator[None]:
    """What a test took away is back after it, also when it failed, and all that depends on it works again."""
    yield
    wait_until_whole(cluster)


@pytest.mark.usefixtures("repaired")
@pytest.mark.parametrize(("component", "name"), [("kube-apiserver", "headless"), ("kubelet", "unwatched")])
def test_a_component_killed_in_mid_run(harness: ClusterHarness, component: str, name: str) -> None:
    job = start(harness, name)
    parts.stop_component(component, hard=True)
    time.sleep(10)
    parts.start_component(component)
    harness.apply(dataset(f"{name}-new"))  # nothing is refused while the API server still looks for its kinds
    finish(harness, job)


def test_children_deleted_by_hand_are_back_within_ten_seconds(harness: ClusterHarness, served: str) -> None:
    harness.apply(harness.stub("idle", behaviour=LONG, suspend=True))
    job = harness.wait("finetunejob", "idle", lambda o: ready_condition(o).get("reason") == "Suspended", 60)
    name = harness.jobs_of(job["status"]["run"]["id"])[0]["metadata"]["name"]
    for kind, child in (
        ("job", name),
        ("configmap", name),
        ("service", served),
        ("service", f"{served}-v1"),
        ("deployment", f"{served}-v1"),
    ):
        before = harness.get(kind, child)
        assert before is not None, (kind, child)
        harness.kube("delete", kind, child, "--wait=false")
        uid = before["metadata"]["uid"]
        harness.wait(kind, child, lambda o, uid=uid: o["metadata"]["uid"] != uid, 10, 0.2)  # type: ignore[misc]
    harness.delete("finetunejob", "idle")
    harness.wait("modeldeployment", served, lambda o: ready_condition(o).get("status") == "True", 120)


def test_a_flipped_byte_is_never_served(cluster: Cluster, harness: ClusterHarness, served: str) -> None:
    with flipped_byte(cluster, harness.get("modelversion", f"{served}-1") or {}):
        never_serves(harness, deployment("tampered", served, version=1))


@pytest.mark.usefixtures("repaired")
def test_store_gone_for_half_a_minute(cluster: Cluster, harness: ClusterHarness) -> None:
    job = start(harness, "patient")
    cluster.kube("scale", "deployment/minio", "-n", install.STORE_NAMESPACE, "--replicas=0")
    time.sleep(30)
    cluster.kube("scale", "deployment/minio", "-n", install.STORE_NAMESPACE, "--replicas=1")
    finish(harness, job, 180)


def resumed_from(harness: ClusterHarness, job: Manifest) -> int:
    """Step of the checkpoint that the run's last pod went on from."""
    prefix = layout.run_prefix(harness.namespace, job["metadata"]["name"], job["status"]["run"]["id"])
    return int(harness.stored_json(layout.report_key(prefix))["train"]["resumed_from"])
