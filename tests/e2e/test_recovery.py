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
from tests.e2e.runs import step_of
from tests.e2e.tampering import flipped_byte, never_serves
from tests.e2e.whole import wait_until_whole
from tests.e2e.yard import Manifest, Yard, dataset, deployment
from tests.served import number_in
from tests.stubtrainer.behaviour import Behaviour

SLOW = Behaviour(steps=40, seconds_per_step=0.5)
LONG = Behaviour(steps=4000, seconds_per_step=0.5)
CHECKPOINT = {"every": "2s", "keep": 2}


@pytest.fixture(scope="module", autouse=True)
def rows(yard: Yard) -> None:
    yard.apply(dataset("rows"))
    yard.wait_ready("dataset", "rows")


@pytest.fixture(scope="module")
def served(yard: Yard) -> str:
    """A small version that is served."""
    yard.apply(yard.stub("kept"), deployment("kept", "kept"))
    yard.wait_ready("finetunejob", "kept")
    yard.wait("modeldeployment", "kept", lambda o: number_in(o) == 1, 180)
    return "kept"


def start(yard: Yard, name: str, behaviour: Behaviour = SLOW, **spec: Any) -> Manifest:
    """A run in its midst."""
    yard.apply(yard.stub(name, behaviour=behaviour, checkpoint=CHECKPOINT, **spec))
    return yard.wait("finetunejob", name, lambda o: step_of(o) >= 6, 90)


def finish(yard: Yard, job: Manifest, seconds: float = 120) -> Manifest:
    """The run ends with the first version of its model, by one Job."""
    name, run = job["metadata"]["name"], job["status"]["run"]["id"]
    done = yard.wait_ready("finetunejob", name, seconds)
    assert done["status"]["version"] == f"{name}-1"
    assert done["status"]["run"]["id"] == run and len(yard.jobs_of(run)) == 1
    return done


def test_suspend_keeps_the_checkpoint_and_resume_goes_on(yard: Yard) -> None:
    job = start(yard, "paused", suspend=False)
    yard.patch("finetunejob", "paused", {"suspend": True})
    yard.wait_reason("finetunejob", "paused", "Suspended", 60)
    yard.wait("finetunejob", "paused", lambda o: not yard.pods_of(o["status"]["run"]["id"]), 90)
    yard.patch("finetunejob", "paused", {"suspend": False})
    finish(yard, job)
    assert resumed_from(yard, job) >= 6


def test_operator_killed_in_mid_run(cluster: Cluster, yard: Yard) -> None:
    job = start(yard, "orphan")
    chosen = ("-n", install.OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=modelyard")
    cluster.kube("delete", "pod", *chosen, "--grace-period=0", "--force")
    finish(yard, job)


@pytest.fixture
def repaired(cluster: Cluster) -> Iterator[None]:
    """What a test took away is back after it, also when it failed, and all that depends on it works again."""
    yield
    wait_until_whole(cluster)


@pytest.mark.usefixtures("repaired")
@pytest.mark.parametrize(("component", "name"), [("kube-apiserver", "headless"), ("kubelet", "unwatched")])
def test_a_component_killed_in_mid_run(yard: Yard, component: str, name: str) -> None:
    job = start(yard, name)
    parts.stop_component(component, hard=True)
    time.sleep(10)
    parts.start_component(component)
    yard.apply(dataset(f"{name}-new"))  # nothing is refused while the API server still looks for its kinds
    finish(yard, job)


def test_children_deleted_by_hand_are_back_within_ten_seconds(yard: Yard, served: str) -> None:
    yard.apply(yard.stub("idle", behaviour=LONG, suspend=True))
    job = yard.wait("finetunejob", "idle", lambda o: ready_condition(o).get("reason") == "Suspended", 60)
    name = yard.jobs_of(job["status"]["run"]["id"])[0]["metadata"]["name"]
    for kind, child in (
        ("job", name),
        ("configmap", name),
        ("service", served),
        ("service", f"{served}-v1"),
        ("deployment", f"{served}-v1"),
    ):
        before = yard.get(kind, child)
        assert before is not None, (kind, child)
        yard.kube("delete", kind, child, "--wait=false")
        uid = before["metadata"]["uid"]
        yard.wait(kind, child, lambda o, uid=uid: o["metadata"]["uid"] != uid, 10, 0.2)  # type: ignore[misc]
    yard.delete("finetunejob", "idle")
    yard.wait("modeldeployment", served, lambda o: ready_condition(o).get("status") == "True", 120)


def test_a_flipped_byte_is_never_served(cluster: Cluster, yard: Yard, served: str) -> None:
    with flipped_byte(cluster, yard.get("modelversion", f"{served}-1") or {}):
        never_serves(yard, deployment("tampered", served, version=1))


@pytest.mark.usefixtures("repaired")
def test_store_gone_for_half_a_minute(cluster: Cluster, yard: Yard) -> None:
    job = start(yard, "patient")
    cluster.kube("scale", "deployment/minio", "-n", install.STORE_NAMESPACE, "--replicas=0")
    time.sleep(30)
    cluster.kube("scale", "deployment/minio", "-n", install.STORE_NAMESPACE, "--replicas=1")
    finish(yard, job, 180)


def resumed_from(yard: Yard, job: Manifest) -> int:
    """Step of the checkpoint that the run's last pod went on from."""
    prefix = layout.run_prefix(yard.namespace, job["metadata"]["name"], job["status"]["run"]["id"])
    return int(yard.stored_json(layout.report_key(prefix))["train"]["resumed_from"])
