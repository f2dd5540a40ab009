"""Things are killed for real in mid-run; the run goes on, nothing is done twice and nothing corrupt is served."""

from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path

import pytest

from examples.demo import install
from examples.demo.cluster import Cluster
from examples.demo.follow import ready_condition
from modelyard.api import layout
from tests.e2e.yard import Manifest, Yard, dataset, deployment, finetunejob

LONG = {"epochs": 400, "learningRate": 0.001, "maxLength": 32}
CHECKPOINT = {"every": "5s", "keep": 2}


@pytest.fixture(scope="module", autouse=True)
def rows(yard: Yard) -> None:
    yard.apply(dataset("rows"))
    yard.wait_ready("dataset", "rows")


@pytest.fixture(scope="module")
def served(yard: Yard) -> str:
    """A small version that is served."""
    yard.apply(finetunejob("kept", "rows"), deployment("kept", "kept"))
    yard.wait_ready("finetunejob", "kept")
    yard.wait("modeldeployment", "kept", lambda o: o["status"].get("serving") == 1, 180)
    return "kept"


def start(yard: Yard, name: str, **spec: object) -> Manifest:
    """A run of a minute or more that has left its first checkpoint."""
    yard.apply(finetunejob(name, "rows", train=LONG, checkpoint=CHECKPOINT, **spec))
    return yard.wait("finetunejob", name, lambda o: _step(o) > 0 and _has_checkpoint(yard, o), 240)


def test_trainer_killed_goes_on_from_its_checkpoint(yard: Yard) -> None:
    job = start(yard, "killed")
    kill_container(running_pod(yard, job))
    resumed = yard.wait("finetunejob", "killed", lambda o: o["status"].get("resumes", 0) >= 1, 120)
    run = resumed["status"]["run"]["id"]
    assert run == job["status"]["run"]["id"] and len(yard.jobs_of(run)) == 1
    later = yard.wait("finetunejob", "killed", lambda o: _step(o) > _step(job), 120)
    assert later["status"]["run"]["state"] == "Running"
    report = progress_of(yard, later)
    assert report["resumedFrom"] > 0
    yard.delete("finetunejob", "killed")


def test_suspend_keeps_the_checkpoint_and_resume_goes_on(yard: Yard) -> None:
    job = start(yard, "paused", suspend=False)
    yard.patch("finetunejob", "paused", {"suspend": True})
    yard.wait_reason("finetunejob", "paused", "Suspended", 60)
    yard.wait("finetunejob", "paused", lambda o: not yard.pods_of(o["status"]["run"]["id"]), 90)
    yard.patch("finetunejob", "paused", {"suspend": False})
    later = yard.wait("finetunejob", "paused", lambda o: _step(o) > _step(job), 180)
    assert later["status"]["run"]["id"] == job["status"]["run"]["id"]
    yard.delete("finetunejob", "paused")


def test_operator_killed_in_mid_run(cluster: Cluster, yard: Yard) -> None:
    short = {"epochs": 60, "learningRate": 0.005, "maxLength": 32}
    yard.apply(finetunejob("orphan", "rows", train=short))
    job = yard.wait("finetunejob", "orphan", lambda o: _step(o) > 0, 240)
    cluster.kube(
        "delete",
        "pod",
        "-n",
        install.OPERATOR_NAMESPACE,
        "-l",
        "app.kubernetes.io/name=modelyard",
        "--grace-period=0",
        "--force",
    )
    done = yard.wait_ready("finetunejob", "orphan", 300)
    assert done["status"]["version"] == "orphan-1"
    assert (
        done["status"]["run"]["id"] == job["status"]["run"]["id"] and len(yard.jobs_of(job["status"]["run"]["id"])) == 1
    )


def test_children_deleted_by_hand_are_back_within_ten_seconds(yard: Yard, served: str) -> None:
    yard.apply(finetunejob("idle", "rows", train=LONG, suspend=True))
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
    version = yard.get("modelversion", f"{served}-1") or {}
    _, prefix = layout.split_uri(version["spec"]["uri"])
    key = layout.file_key(prefix, version["spec"]["digest"], "model.onnx")
    with install.store_client(cluster) as (client, _):
        whole = bytearray(client.get_object(bucket_name=install.BUCKET, object_name=key).read())
        whole[len(whole) // 2] ^= 1
        client.put_object(bucket_name=install.BUCKET, object_name=key, data=io.BytesIO(bytes(whole)), length=len(whole))
        yard.apply(deployment("tampered", served, version=1))
        message = yard.wait_reason("modeldeployment", "tampered", "ArtifactsCorrupt", 120)
        assert "model.onnx" in message
        assert not (yard.get("modeldeployment", "tampered") or {})["status"].get("serving")
        whole[len(whole) // 2] ^= 1
        client.put_object(bucket_name=install.BUCKET, object_name=key, data=io.BytesIO(bytes(whole)), length=len(whole))
    yard.delete("modeldeployment", "tampered")


def test_store_gone_for_a_minute(cluster: Cluster, yard: Yard) -> None:
    yard.apply(
        finetunejob(
            "patient", "rows", train={"epochs": 100, "learningRate": 0.005, "maxLength": 32}, checkpoint=CHECKPOINT
        )
    )
    yard.wait("finetunejob", "patient", lambda o: _step(o) > 0, 240)
    cluster.kube("scale", "deployment/minio", "-n", install.STORE_NAMESPACE, "--replicas=0")
    time.sleep(60)
    cluster.kube("scale", "deployment/minio", "-n", install.STORE_NAMESPACE, "--replicas=1")
    done = yard.wait_ready("finetunejob", "patient", 400)
    assert done["status"]["version"] == "patient-1"


def running_pod(yard: Yard, job: Manifest) -> Manifest:
    """The run's pod."""
    return next(pod for pod in yard.pods_of(job["status"]["run"]["id"]) if pod["status"]["phase"] == "Running")


def kill_container(pod: Manifest) -> None:
    """SIGKILL from the node, as the kernel would: inside the pod the first process cannot be killed."""
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    pids = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cgroup") if container in _read(path)]
    assert pids, f"no process of container {container} on this node"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def progress_of(yard: Yard, job: Manifest) -> Manifest:
    """The run's progress.json in the store."""
    run = job["status"]["run"]
    prefix = layout.run_prefix(yard.namespace, job["metadata"]["name"], run["id"])
    return yard.stored_json(layout.progress_key(prefix))


def _step(obj: Manifest) -> int:
    return int((obj.get("status", {}).get("progress") or {}).get("step", 0))


def _has_checkpoint(yard: Yard, job: Manifest) -> bool:
    prefix = layout.run_prefix(yard.namespace, job["metadata"]["name"], job["status"]["run"]["id"])
    return any(key.endswith("manifest.json") for key in yard.stored_keys(layout.checkpoints_prefix(prefix)))
