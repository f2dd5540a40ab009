"""Pods that cannot start or go wrong: the condition says why, and the run ends or goes on as it should."""

from __future__ import annotations

import concurrent.futures
import struct

import pytest

from examples.demo import install
from examples.demo.cluster import Cluster
from examples.demo.follow import ready_condition
from tests.e2e.harness import API, ClusterHarness, dataset, deployment, finetunejob
from tests.e2e.tinybase import base_files
from tests.served import number_in
from tests.stubtrainer.behaviour import Behaviour


@pytest.fixture(scope="module", autouse=True)
def rows(harness: ClusterHarness) -> None:
    harness.apply(dataset("rows"))
    harness.wait_ready("dataset", "rows")


def test_image_that_cannot_be_pulled(harness: ClusterHarness) -> None:
    with harness.stub_profile("broken", trainer={"image": "localhost:5000/no-such-image:1"}) as profile:
        harness.apply(finetunejob("pull", "rows", profile=profile))
        message = harness.wait_reason("finetunejob", "pull", "ImagePullFailed", 120)
        assert "localhost:5000/no-such-image:1" in message and "trainer.image" in message
        harness.delete("finetunejob", "pull")


def test_out_of_memory_says_what_to_raise(harness: ClusterHarness) -> None:
    hungry = Behaviour(memory=400)
    harness.apply(harness.stub("oom", behaviour=hungry))
    message = harness.wait_reason("finetunejob", "oom", "OutOfMemory", 60)
    assert "spec.resources.memory" in message and "256Mi" in message and "spec.attempt: 2" in message
    harness.apply(harness.stub("oom", behaviour=hungry, attempt=2, resources={"cpu": 0.3, "memory": "1Gi"}))
    assert harness.wait_ready("finetunejob", "oom", 60)["status"]["version"] == "oom-1"


def test_loss_that_is_not_a_number(cluster: Cluster, harness: ClusterHarness) -> None:
    files = base_files()
    weights = bytearray(files["model.safetensors"])
    start = 8 + struct.unpack("<Q", weights[:8])[0]
    weights[start:] = struct.pack("<f", float("nan")) * ((len(weights) - start) // 4)
    with install.store_client(cluster) as (client, _):
        for name, content in (files | {"model.safetensors": bytes(weights)}).items():
            install.put(client, "base", f"poisoned/{name}", content)
    harness.apply(finetunejob("nan", "rows", **{"from": {"base": "s3://base/poisoned/"}}))
    message = harness.wait_reason("finetunejob", "nan", "LossNotANumber", 240)
    assert "spec.train.learningRate" in message


def test_gate_not_reached_keeps_the_version_and_serves_nothing(harness: ClusterHarness) -> None:
    gate = {
        "gate": {"require": [{"metric": "macro_f1", "min": 1.0}, {"metric": "recall", "class": "good", "min": 1.0}]}
    }
    weak = harness.stub("weak", behaviour=Behaviour(macro_f1=0.3), evaluate=gate)
    harness.apply(weak, deployment("weak", "weak"))
    message = harness.wait_reason("finetunejob", "weak", "GateFailed", 120)
    assert "macro_f1" in message and "1" in message
    version = harness.wait("modelversion", "weak-1", lambda o: o.get("status", {}).get("gate") == "failed", 60)
    assert ready_condition(version)["status"] == "True"
    assert "the highest, 1, has failed its gate" in harness.wait_reason(
        "modeldeployment", "weak", "NoPassedVersion", 60
    )
    lower = {"gate": {"require": [{"metric": "macro_f1", "min": 0.0}]}}
    harness.patch("finetunejob", "weak", {"evaluate": lower})
    harness.wait("modeldeployment", "weak", lambda o: number_in(o) == 1, 180)


def test_two_jobs_for_one_model_at_once_get_two_numbers(harness: ClusterHarness) -> None:
    shared = {"name": "shared"}
    harness.apply(*(harness.stub(f"shared-{i}", behaviour=Behaviour(steps=30 + i), model=shared) for i in range(2)))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        jobs = list(pool.map(lambda i: harness.wait_ready("finetunejob", f"shared-{i}", 120), range(2)))
    assert {job["status"]["version"] for job in jobs} == {"shared-1", "shared-2"}


def test_missing_secrets_are_named_and_healed(cluster: Cluster, harness: ClusterHarness) -> None:
    bare = ClusterHarness(cluster, f"{harness.namespace}-bare")
    cluster.ensure_namespace(bare.namespace)
    profile = {"apiVersion": API, "kind": "TrainingProfile", "metadata": {"name": bare.namespace}}
    cluster.apply({**profile, "spec": {"store": {"secret": "team-key"}}})
    try:
        rows = dataset("rows")
        rows["spec"]["profile"] = bare.namespace
        bare.apply(rows)
        message = bare.wait_reason("dataset", "rows", "SecretMissing", 60)
        assert "team-key" in message and "kubectl" in message
        install.make_secret(cluster, bare.namespace, "team-key", install.key_of(cluster, "operator"))
        bare.wait("dataset", "rows", lambda o: ready_condition(o).get("status") == "True", 120)
    finally:
        cluster.kube("delete", "namespace", bare.namespace, "--wait=false")
        cluster.kube("delete", "trainingprofile", bare.namespace)
