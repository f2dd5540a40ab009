"""A foreign trainer: three containers, and only ours near the store."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.api.run import FINAL_EXIT_CODES
from tests.builders import AT, Pod, a_dataset, a_finetunejob, a_profile
from tests.unit.resources.finetunejob.harness import JobHarness, started

COMMAND = ["python", "/opt/train.py"]


def foreign(**profile: Any) -> JobHarness:
    trainer = {"image": "theirs:1", "command": COMMAND, "args": ["--fast"]}
    harness = JobHarness(a_finetunejob(), a_profile(trainer=trainer, **profile), a_dataset().prepared())
    harness.settle()
    return harness


def containers(harness: JobHarness) -> dict[str, dict[str, Any]]:
    pod = harness.job()["spec"]["template"]["spec"]
    return {found["name"]: found for found in (*pod["initContainers"], *pod["containers"])}


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry) for entry in container["env"]}


def mounts(container: dict[str, Any]) -> dict[str, bool]:
    return {mount["name"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}


def test_ours_theirs_ours() -> None:
    found = containers(foreign())
    assert list(found) == ["fetch", "trainer", "publish"]
    assert [container["image"] for container in found.values()] == [
        "modelyard/trainer:1",
        "theirs:1",
        "modelyard/trainer:1",
    ]
    assert (found["trainer"]["command"], found["trainer"]["args"]) == (COMMAND, ["--fast"])
    for name in ("fetch", "publish"):
        assert found[name]["args"] == [name] and "command" not in found[name]


@pytest.mark.parametrize("profile", [{}, {"store": {"secret": "team-key"}}])
def test_theirs_holds_no_key_and_no_way_to_one(profile: dict[str, Any]) -> None:
    theirs = containers(foreign(**profile))["trainer"]
    env = environment(theirs)
    assert not [name for name in env if "AWS" in name or "CREDENTIALS" in name]
    assert all(isinstance(value, str) for value in env.values())
    assert mounts(theirs) == {"scratch": False, "config": True, "progress-token": True, "inputs": True, "output": False}
    assert env["KUBEFLOW_TRAINER_SERVER_URL"].endswith("/progress")
    folders = ("/modelyard/inputs/base", "/modelyard/inputs/data", "/modelyard/output")
    assert tuple(env[f"MODELYARD_{name}"] for name in ("BASE", "DATA", "OUTPUT")) == folders


def test_ours_trusts_nothing_that_theirs_can_write_but_the_output() -> None:
    found = containers(foreign())
    assert mounts(found["fetch"])["inputs"] is False and "output" not in mounts(found["fetch"])
    publish = mounts(found["publish"])
    assert publish["inputs"] is True and publish["output"] is True
    assert set(publish) & set(mounts(found["trainer"])) == {"config", "progress-token", "inputs", "output"}
    for container in found.values():
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["resources"]["limits"] == container["resources"]["requests"]


def test_each_containers_final_codes_end_the_run() -> None:
    rules = foreign().job()["spec"]["podFailurePolicy"]["rules"]
    final = {r["onExitCodes"]["containerName"]: r["onExitCodes"]["values"] for r in rules if r["action"] == "FailJob"}
    assert final == {name: list(FINAL_EXIT_CODES) for name in ("fetch", "trainer", "publish")}


def test_a_dataset_is_prepared_by_ours() -> None:
    from modelyard.resources.dataset import RECONCILER
    from tests.unit.resources.harness import Harness

    harness = Harness(RECONCILER, a_dataset(), a_profile(trainer={"image": "theirs:1", "command": COMMAND}))
    harness.settle()
    pod = harness.job()["spec"]["template"]["spec"]
    assert [container["image"] for container in pod["containers"]] == ["modelyard/trainer:1"]
    assert "initContainers" not in pod


def test_another_command_before_a_pod_ran_makes_the_job_again() -> None:
    harness = foreign()
    before = harness.job()["metadata"]["uid"]
    harness.put(a_profile(trainer={"image": "theirs:1", "command": ["python", "/opt/other.py"]}))
    harness.settle()
    assert harness.job()["metadata"]["uid"] != before
    assert containers(harness)["trainer"]["command"] == ["python", "/opt/other.py"]


def states(fetch: Any = None, trainer: Any = None, publish: Any = None, phase: str = "Pending") -> dict[str, Any]:
    """Status of a pod with two init containers."""
    wait = {"waiting": {"reason": "PodInitializing"}}
    first = {"name": "fetch", "image": "i", "state": fetch or wait}
    init = [first, {"name": "trainer", "image": "theirs:1", "state": trainer or wait}]
    return {
        "phase": phase,
        "initContainerStatuses": init,
        "containerStatuses": [{"name": "publish", "image": "i", "state": publish or wait}],
    }


RUNS = {"running": {"startedAt": AT}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def ended(code: int, message: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message}}


@pytest.mark.parametrize("state", [states(RUNS), states(DONE), states(DONE, RUNS), states(DONE, DONE)])
def test_it_trains_while_any_of_them_runs(state: dict[str, Any]) -> None:
    harness = foreign()
    harness.pod(lambda pod: pod.status(**state))
    harness.facts["progress"] = {
        "run": harness.run["id"],
        "stage": "train",
        "percent": 40,
        "loss": 0.5,
        "secondsLeft": 90,
    }
    harness.settle()
    assert (harness.reason, harness.status["phase"]) == (names.TRAINING, "Training")
    assert (harness.status["progress"]["percent"], harness.status["progress"]["eta"]) == (40, "2m")


def test_an_image_that_cannot_be_pulled_is_theirs() -> None:
    harness = foreign()
    pull = {"waiting": {"reason": "ImagePullBackOff", "message": "manifest unknown"}}
    harness.pod(lambda pod: pod.status(**states(DONE, pull)))
    harness.settle()
    assert harness.reason == names.IMAGE_PULL
    assert "theirs:1" in harness.message and "container trainer" in harness.message


CRASH = ended(1, "Traceback\nKeyError: 'text'")
ENDS = [
    (states(DONE, CRASH, phase="Failed"), "container trainer ended with exit code 1: Traceback | KeyError: 'text'"),
    (states(DONE, CRASH, phase="Failed"), "-c trainer"),
    (states(ended(17, '{"outcome":"failed","reason":"StoreAccessDenied","message":"no"}'), phase="Failed"), "no"),
    (
        states(DONE, DONE, ended(18, '{"outcome":"failed","reason":"OutputInvalid","message":"no config"}'), "Failed"),
        "no config",
    ),
]


@pytest.mark.parametrize(("state", "told"), ENDS)
def test_the_right_container_is_blamed(state: dict[str, Any], told: str) -> None:
    harness = foreign()
    harness.pod(lambda pod: pod.status(**state))
    harness.job(lambda job: job.failed())
    harness.settle()
    assert harness.status["phase"] == "Failed" and told in harness.message


def test_our_own_pod_is_one_container() -> None:
    pod = started().pod(Pod.running)
    assert "initContainerStatuses" not in pod["status"]
    spec = started().job()["spec"]["template"]["spec"]
    assert "initContainers" not in spec and len(spec["containers"]) == 1
