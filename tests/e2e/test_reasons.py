"""Staged failures: the condition names cause, field and remedy, and what can heal heals by itself.

here             quota, LimitRange, GPU, disk, disruptions, store key, crash, a model that does not load
test_bad_input   bad column, wrong source key, missing profile, missing base, pickles
test_pods        image, memory, NaN loss, missing Secret
test_recovery    corrupt artifacts, store away
test_way         certificate of an unknown authority, a server out of reach
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from examples.demo import install
from examples.demo.follow import ready_condition
from tests.e2e.harness import ClusterHarness, dataset, deployment
from tests.e2e.runs import evict, running_pod
from tests.served import number_in
from tests.stubtrainer.behaviour import Behaviour

SLOW = Behaviour(steps=600, seconds_per_step=0.5, at=5)


@pytest.fixture(scope="module", autouse=True)
def rows(harness: ClusterHarness) -> None:
    harness.apply(dataset("rows"))
    harness.wait_ready("dataset", "rows")


@contextmanager
def policy(harness: ClusterHarness, kind: str, **spec: Any) -> Iterator[None]:
    """Something in the namespace that is in the way for a while."""
    harness.apply({"apiVersion": "v1", "kind": kind, "metadata": {"name": "tight"}, "spec": spec})
    try:
        yield
    finally:
        harness.delete(kind.lower(), "tight")


def says(message: str, *words: str) -> None:
    assert [word for word in words if word not in message] == [], message
    assert len(message) <= 1024


def test_a_quota_refuses_the_pod_until_it_is_raised(harness: ClusterHarness) -> None:
    with policy(harness, "ResourceQuota", hard={"requests.memory": "16Mi"}):
        harness.apply(harness.stub("quota"))
        message = harness.wait_reason("finetunejob", "quota", "ChildRefused", 60)
        says(message, "ResourceQuota tight", "requests.memory=256Mi", "16Mi", "lower spec.resources", "quota raised")
    harness.wait("finetunejob", "quota", lambda o: o["status"].get("version") == "quota-1", 120)


def test_a_limit_range_refuses_the_pod(harness: ClusterHarness) -> None:
    with policy(harness, "LimitRange", limits=[{"type": "Container", "max": {"memory": "64Mi"}}]):
        harness.apply(harness.stub("range"), dataset("range"))
        message = harness.wait_reason("finetunejob", "range", "ChildRefused", 60)
        says(message, "maximum memory usage per Container is 64Mi", "change spec.resources", "LimitRange")
        says(harness.wait_reason("dataset", "range", "ChildRefused", 60), "maximum memory usage", "spec.resources")
    harness.delete("finetunejob", "range")


def test_a_gpu_that_no_node_has_free(harness: ClusterHarness) -> None:
    harness.apply(harness.stub("gpu", resources={"cpu": 0.1, "memory": "256Mi", "gpu": 1}))
    message = harness.wait_reason("finetunejob", "gpu", "Unschedulable", 60)
    assert message == (
        "waiting: 1 GPU asked, no node has any; lower spec.resources.gpu, or add a node that has as much"
    )
    with gpus(harness, 1):
        harness.wait_ready("finetunejob", "gpu", 120)


@contextmanager
def gpus(harness: ClusterHarness, count: int) -> Iterator[None]:
    """The node says that it has GPUs, which is all that the scheduler asks."""
    node = harness.cluster.kube("get", "nodes", "-o", "name").strip().removeprefix("node/")
    path = "/status/capacity/nvidia.com~1gpu"
    words = ("patch", "node", node, "--subresource=status", "--type=json", "-p")
    harness.cluster.kube(*words, json.dumps([{"op": "add", "path": path, "value": str(count)}]))
    try:
        yield
    finally:
        harness.cluster.kube(*words, json.dumps([{"op": "remove", "path": path}]))


def test_a_disk_that_is_full(harness: ClusterHarness) -> None:
    full = SLOW.model_copy(update={"disk": 200})
    limits = [{"type": "Container", "default": {"ephemeral-storage": "20Mi"}}]
    with policy(harness, "LimitRange", limits=limits), harness.stub_profile("once", retries=0) as once:
        harness.apply(harness.stub("disk", behaviour=full, profile=once))
        message = harness.wait_reason("finetunejob", "disk", "DiskFull", 180)
    says(message, "ephemeral", "20Mi", "LimitRange", "spec.pod.nodeSelector", "spec.attempt: 2")


def test_one_eviction_more_than_the_profile_allows(harness: ClusterHarness) -> None:
    with harness.stub_profile("calm", disruptions=0) as calm:
        harness.apply(harness.stub("evicted", behaviour=SLOW, profile=calm))
        job = harness.wait("finetunejob", "evicted", lambda o: o.get("status", {}).get("run"), 60)
        evict(harness, running_pod(harness, job))
        message = harness.wait_reason("finetunejob", "evicted", "TooManyDisruptions", 120)
    says(message, "took away more pods", "disruptions: 0", "spec.disruptions of the TrainingProfile", "spec.attempt: 2")


def test_a_store_key_that_the_store_refuses(harness: ClusterHarness) -> None:
    key = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "wrong-key-1"}
    install.make_secret(harness.cluster, harness.namespace, "wrong-key", key)
    with harness.stub_profile("keyless", store={"secret": "wrong-key"}) as keyless:
        harness.apply(harness.stub("denied", profile=keyless))
        message = harness.wait_reason("finetunejob", "denied", "StoreAccessDenied", 90)
    says(message, "InvalidAccessKeyId", "check what the key may read and write", "spec.store", "spec.attempt: 2")


def test_a_failure_that_repeats_is_not_tried_again_and_tells_where_the_whole_log_lies(harness: ClusterHarness) -> None:
    harness.apply(harness.stub("crash", behaviour=Behaviour(ends="INTERNAL")))
    message = harness.wait_reason("finetunejob", "crash", "TrainerFailed", 120)
    says(message, "the stub was told to end with INTERNAL", "the same failure twice in a row", "spec.attempt: 2")
    harness.wait("finetunejob", "crash", lambda o: o["status"]["resumes"] == 1, 5)
    command = re.search(r"the whole log: kubectl ([^;]*)", message)
    assert command is not None, message
    assert harness.cluster.kube(*shlex.split(command[1])).strip()


def test_a_model_that_does_not_load(harness: ClusterHarness) -> None:
    harness.apply(harness.stub("broken", behaviour=Behaviour(loads=False)), deployment("broken", "broken"))
    harness.wait_ready("finetunejob", "broken", 120)
    obj = harness.wait("modeldeployment", "broken", lambda o: number_in(o, "failed") == 1, 240)
    message = ready_condition(obj)["message"]
    says(message, "version 1 failed and gets no traffic", "model.onnx", "train a new version", "tried again when")
