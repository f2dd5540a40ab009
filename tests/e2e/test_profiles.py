"""What a platform team adds to pods, on a real kubelet; a sidecar that never ends; an autoscaler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import API, ClusterHarness, Manifest, dataset, deployment
from tests.e2e.injector import INJECT, SIDECAR, injector
from tests.e2e.runs import run_id, running_pod, wait_for
from tests.stubtrainer.behaviour import Behaviour

POD: dict[str, Any] = {
    "serviceAccountName": "runner",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
    "labels": INJECT,
    "copyLabels": ["team"],
    "annotations": {"mesh.example.com/mode": "strict"},
    "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
    "volumes": [{"name": "cache", "emptyDir": {"sizeLimit": "16Mi"}}],
    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
    "sharedMemory": "16Mi",
    "ephemeralStorage": "64Mi",
}
SLOW = Behaviour(steps=40, seconds_per_step=0.1)
IN_ORDER = True


@pytest.fixture(scope="module")
def meshed(harness: ClusterHarness) -> Iterator[str]:
    """The profile, in a namespace where pods that bear its label get a sidecar."""
    harness.kube("create", "serviceaccount", "runner")
    with injector(harness), harness.stub_profile("meshed", retries=1, pod=POD) as name:
        yield name


def teamed(manifest: Manifest, **spec: Any) -> Manifest:
    labels = {"team": "blue", "other": "x"}
    return {**manifest, "metadata": {**manifest["metadata"], "labels": labels}, "spec": {**manifest["spec"], **spec}}


def ended(harness: ClusterHarness, selector: str) -> bool:
    """True once no pod lives and no Job would make one."""
    jobs, pods = harness.list_all("jobs", selector), harness.list_all("pods", selector)
    live = [pod for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]
    return bool(jobs) and not live and all(not job["status"].get("active") for job in jobs)


def test_a_run_succeeds_though_its_sidecar_never_ends(harness: ClusterHarness, meshed: str) -> None:
    harness.apply(teamed(dataset("rows"), profile=meshed))
    harness.wait_ready("dataset", "rows")
    harness.apply(teamed(harness.stub("meshed", behaviour=SLOW), profile=meshed))
    job = harness.wait("finetunejob", "meshed", lambda o: o.get("status", {}).get("run"), 60)
    pod = running_pod(harness, job)
    assert [container["name"] for container in pod["spec"]["containers"]] == [SIDECAR, "trainer"]
    has_all_that_was_asked(pod)
    assert harness.wait_ready("finetunejob", "meshed", 120)["status"]["version"] == "meshed-1"
    wait_for(lambda: ended(harness, f"modelyard.dev/run={run_id(job)}"), 60)
    wait_for(lambda: ended(harness, "modelyard.dev/kind=dataset"), 60)


def has_all_that_was_asked(pod: Manifest) -> None:
    spec, labels = pod["spec"], pod["metadata"]["labels"]
    assert labels.items() >= {**INJECT, "team": "blue"}.items() and "other" not in labels
    assert pod["metadata"]["annotations"].items() >= POD["annotations"].items()
    assert (spec["serviceAccountName"], spec["nodeSelector"]) == ("runner", POD["nodeSelector"])
    assert spec["automountServiceAccountToken"] is False
    assert all(toleration in spec["tolerations"] for toleration in POD["tolerations"])
    ours = spec["containers"][1]
    assert {"/cache", "/dev/shm"} <= {mount["mountPath"] for mount in ours["volumeMounts"]}
    assert "NODE" in {entry["name"] for entry in ours["env"]}
    assert ours["resources"]["limits"]["ephemeral-storage"] == "64Mi"


def test_a_crash_beside_a_sidecar_is_tried_again_and_then_told(harness: ClusterHarness, meshed: str) -> None:
    harness.apply(teamed(harness.stub("crash", behaviour=Behaviour(ends="crash")), profile=meshed))
    message = harness.wait_reason("finetunejob", "crash", "TrainerFailed", 180)
    job = harness.get("finetunejob", "crash") or {}
    assert "container trainer" in message and job["status"]["resumes"] == 1
    wait_for(lambda: ended(harness, f"modelyard.dev/run={run_id(job)}"), 60)


@pytest.fixture(scope="module")
def served(harness: ClusterHarness, meshed: str) -> Iterator[Manifest]:
    """A ModelDeployment of the meshed version under a ServingProfile; it says nothing about replicas."""
    name = harness.namespace
    spec = {"pod": {**POD, "labels": {}}}
    harness.cluster.apply({"apiVersion": API, "kind": "ServingProfile", "metadata": {"name": name}, "spec": spec})
    made = deployment("meshed", "meshed")
    made["spec"]["serve"] = {"profile": name, "resources": {"cpu": 0.1, "memory": "1Gi"}}
    yield teamed(made)
    harness.delete("modeldeployment", "meshed")
    harness.cluster.kube("delete", "servingprofile", name)


def server_pods(harness: ClusterHarness) -> list[Manifest]:
    return harness.list_all("pods", "modelyard.dev/deployment=meshed")


def test_a_server_gets_what_its_serving_profile_says(harness: ClusterHarness, served: Manifest) -> None:
    harness.apply(served)
    harness.wait_ready("modeldeployment", "meshed", 180)
    (pod,) = server_pods(harness)
    assert pod["spec"]["serviceAccountName"] == "runner" and pod["metadata"]["labels"]["team"] == "blue"


@pytest.mark.full
def test_the_replicas_that_an_autoscaler_set_are_left_alone(harness: ClusterHarness, served: Manifest) -> None:
    """The real one of the controller manager: without metrics it still lifts to its least number."""
    target = {"apiVersion": API, "kind": "ModelDeployment", "name": "meshed"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 3, "metrics": [cpu]}
    scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "meshed"}}
    harness.apply(served, {**scaler, "spec": spec})
    two = harness.wait("modeldeployment", "meshed", lambda o: o["status"].get("replicas") == 2, 180)
    assert two["spec"]["serve"]["replicas"]["min"] == 2
    harness.wait("hpa", "meshed", lambda o: o["status"].get("currentReplicas") == 2, 60)
    harness.apply(served)
    harness.wait_ready("modeldeployment", "meshed", 60)
    assert len(server_pods(harness)) == 2
