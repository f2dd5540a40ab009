"""A profile's pod block in the pods of runs: what is added, what is copied, what stays the operator's own."""

from typing import Any

import pytest

from modelyard import names
from modelyard.api.pod import OUR_VOLUMES
from modelyard.resources.run_pod import MOUNTS
from tests.builders import a_dataset, a_finetunejob, a_profile
from tests.cluster.manifests import FULL_POD
from tests.unit.resources.finetunejob.harness import JobHarness

FOREIGN = {"image": "other:1", "command": ["train"]}


def job_of(pod: dict[str, Any], *, labels: dict[str, str] | None = None, **profile: Any) -> dict[str, Any]:
    """The Job that a run under a profile with this pod block gets."""
    made = a_finetunejob().but("metadata.labels", labels or {})
    harness = JobHarness(made, a_profile(pod=pod, **profile), a_dataset().prepared())
    harness.settle()
    return dict(harness.job())


@pytest.mark.parametrize("trainer", [{}, FOREIGN], ids=["ours", "foreign"])
def test_every_field_reaches_the_pod(trainer: dict[str, Any]) -> None:
    template = job_of(FULL_POD, trainer=trainer)["spec"]["template"]
    spec = template["spec"]
    for field in ("imagePullSecrets", "serviceAccountName", "priorityClassName", "runtimeClassName", "nodeSelector",
                  "tolerations", "affinity", "topologySpreadConstraints"):  # fmt: skip
        assert spec[field] == FULL_POD[field], field
    assert spec["automountServiceAccountToken"] is False
    assert template["metadata"]["annotations"].items() >= FULL_POD["annotations"].items()
    assert {volume["name"] for volume in spec["volumes"]} >= {"cache", "ca", "data", "shm"}
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}} in spec["volumes"]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        env = {entry["name"]: entry for entry in container["env"]}
        assert {"HF_HUB_OFFLINE", "NODE", "KEY"} <= set(env) and len(env) == len(container["env"])
        assert container["envFrom"] == FULL_POD["envFrom"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts["/cache"] == "cache" and mounts["/dev/shm"] == "shm"
        assert len(mounts) == len(container["volumeMounts"])
        assert container["resources"]["limits"]["ephemeral-storage"] == "20Gi"
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_labels_are_copied_to_job_and_pods_but_never_over_our_own() -> None:
    copied = ["team", "missing", names.LABEL_RUN, names.LABEL_QUEUE]
    labels = {"team": "a", "other": "b", names.LABEL_RUN: "forged", names.MANAGED_BY: "me"}
    job = job_of({"labels": {"team": "none", "cost": "42", names.MANAGED_BY: "x"}, "copyLabels": copied}, labels=labels)
    for meta in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert (meta["labels"]["team"], meta["labels"]["cost"]) == ("a", "42")
        assert not {"other", "missing", names.LABEL_QUEUE} & set(meta["labels"])
        assert meta["labels"][names.LABEL_RUN] != "forged"
        assert meta["labels"].get(names.MANAGED_BY, names.MANAGED_BY_VALUE) == names.MANAGED_BY_VALUE


@pytest.mark.parametrize(("user", "set_"), [("fixed", {"runAsUser", "runAsGroup"}), ("cluster", set())])
def test_user_and_group_can_be_left_to_the_cluster(user: str, set_: set[str]) -> None:
    context = job_of({"user": user})["spec"]["template"]["spec"]["securityContext"]
    assert {"runAsUser", "runAsGroup", "fsGroup"} & set(context) == set_
    assert context["runAsNonRoot"] is True and context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_a_variable_of_the_profile_wins_over_ours() -> None:
    template = job_of({"env": [{"name": "OMP_NUM_THREADS", "value": "7"}]})["spec"]["template"]
    env = template["spec"]["containers"][0]["env"]
    assert [entry["value"] for entry in env if entry["name"] == "OMP_NUM_THREADS"] == ["7"]


def test_another_gpu_resource_is_asked_for() -> None:
    profile = a_profile(pod={"gpuResource": "amd.com/gpu", "sharedMemory": "8Gi"})
    harness = JobHarness(a_finetunejob(resources={"gpu": 1}), profile, a_dataset().prepared())
    harness.settle()
    spec = harness.job()["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"]["amd.com/gpu"] == "1"
    shared = [volume for volume in spec["volumes"] if volume["name"] == "shm"]
    assert shared == [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}]


def test_an_edited_profile_leaves_a_started_run_alone() -> None:
    harness = JobHarness(a_finetunejob(), a_profile(pod={"nodeSelector": {"pool": "a"}}), a_dataset().prepared())
    harness.settle()
    harness.pod(lambda pod: pod.running())
    harness.settle()
    before = harness.job()
    harness.put(a_profile(pod={"nodeSelector": {"pool": "b"}, "copyLabels": ["team"]}))
    harness.settle()
    assert harness.job() == before
    assert harness.run["pinned"]["pod"]["nodeSelector"] == {"pool": "a"}


def test_names_of_our_volumes_are_reserved() -> None:
    assert set(MOUNTS) | {"model"} == set(OUR_VOLUMES)
