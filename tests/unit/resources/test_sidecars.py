"""A sidecar (service mesh, injected agent): our container's end decides, and nothing else about the pod does."""

from typing import Any

import pytest

from modelyard import names
from modelyard.resources import sidecars
from modelyard.resources.dataset import RECONCILER
from modelyard.resources.pods import diagnose, has_started, is_live, is_running
from tests.builders import Job, Pod, a_dataset, a_finetunejob, a_pod, a_profile, published_rows
from tests.unit.resources.finetunejob.harness import JobHarness, training
from tests.unit.resources.harness import Harness

CRASHED = {"terminated": {"exitCode": 255, "reason": "Error"}}


def suspended(harness: Harness) -> bool:
    return bool(harness.job()["spec"].get("suspend"))


def taken_away(pod: Pod) -> Pod:
    """As the kubelet leaves a pod that the suspended Job deleted."""
    return pod.exited(1, "boom").beside("Failed", terminated={"exitCode": 137})


def test_while_ours_runs_the_pod_runs_whatever_the_sidecar_does() -> None:
    for pod in (a_pod().running().beside(), a_pod().running().beside("Running", **CRASHED)):
        assert is_running(pod) and is_live(pod) and diagnose([pod]) is None


def test_a_sidecar_that_runs_is_no_start_of_ours() -> None:
    pod = a_pod().waiting("ErrImagePull", "not found").beside()
    assert not is_running(pod) and not has_started(pod)
    fault = diagnose([pod])
    assert fault is not None and fault.reason == names.IMAGE_PULL
    native = a_pod().status(initContainerStatuses=[{"name": "istio-proxy", "state": {"running": {}}, "ready": True}])
    assert not has_started(native)


def test_a_sidecar_without_image_is_named_and_nobody_is_sent_to_our_fields() -> None:
    pod = (
        a_pod().waiting("PodInitializing").beside("Pending", waiting={"reason": "ErrImagePull", "message": "not found"})
    )
    fault = diagnose([pod])
    assert fault is not None and "istio-proxy" in fault.message and "trainer.image" not in fault.message


@pytest.mark.parametrize(
    ("pod", "phase"),
    [
        (a_pod().exited(0).beside(), "Succeeded"),
        (a_pod().exited(0).beside("Failed", **CRASHED), "Succeeded"),
        (a_pod().exited(11).beside(), "Failed"),
        (a_pod().exited(11).beside("Succeeded"), "Succeeded"),  # cannot be: the kubelet's word for ours stands
        (a_pod().exited(143).beside("Failed", **CRASHED), "Failed"),
        (a_pod().running().beside("Failed", **CRASHED), "Failed"),
        (a_pod().status(phase="Running"), "Running"),
    ],
)
def test_our_containers_end_is_the_pods_phase(pod: Pod, phase: str) -> None:
    assert sidecars.phase(pod) == phase


@pytest.mark.parametrize("beside", [("Running", {}), ("Failed", CRASHED)], ids=["runs on", "failed"])
def test_a_published_run_is_done_though_the_sidecar_is_not(beside: tuple[str, dict[str, Any]]) -> None:
    harness = training()
    harness.publish()
    harness.pod(lambda pod: pod.exited(0).beside(beside[0], **beside[1]))
    harness.settle()
    assert (harness.reason, harness.status["phase"]) == (names.SUCCEEDED, "Succeeded")
    assert suspended(harness), "the Job's pod goes, and no other one comes"
    harness.pods.clear()
    harness.settle()
    assert harness.reason == names.SUCCEEDED and suspended(harness)


@pytest.mark.parametrize("code", [0, 11])
def test_a_pod_alone_keeps_its_job_and_log_though_its_end_comes_in_two_parts(code: int) -> None:
    """The kubelet tells the container's end a moment before the pod's; a Job stopped then takes the pod's log away."""
    harness = training()
    harness.publish()
    harness.pod(lambda pod: pod.exited(code).status(phase="Running"))
    harness.settle()
    assert not suspended(harness)
    harness.pod(lambda pod: pod.status(phase="Succeeded" if code == 0 else "Failed"))
    harness.settle()
    assert not suspended(harness)


def test_while_the_store_is_silent_the_pod_stays_and_nothing_trains_again() -> None:
    harness = training()
    harness.pod(lambda pod: pod.exited(0).beside())
    harness.facts["manifest"] = None
    births = harness.births
    harness.go(3)
    assert harness.births == births and not suspended(harness) and len(harness.pods) == 1
    harness.publish()
    harness.settle()
    assert harness.reason == names.SUCCEEDED


def test_a_failure_that_would_come_back_ends_the_run() -> None:
    harness = training()
    harness.pod(lambda pod: pod.told(11, names.BAD_DATA, "no rows are left").beside())
    harness.settle()
    assert (harness.reason, harness.status["phase"]) == (names.BAD_DATA, "Failed")
    assert "no rows are left" in harness.message and suspended(harness)


def test_a_failure_is_tried_again_once_the_pod_is_out_of_the_way() -> None:
    harness = training()
    harness.pod(lambda pod: pod.exited(1, "boom").beside())
    harness.settle()
    assert suspended(harness) and harness.status["phase"] == "Training"
    harness.pod(taken_away)
    harness.job(lambda job: job.status(failed=1))
    harness.settle()
    assert not suspended(harness)
    harness.pod(lambda pod: pod.at("10:20:00").running().beside(), 2)
    harness.settle()
    assert harness.reason == names.TRAINING and harness.status["resumes"] == 1


def test_the_last_failure_is_the_runs_end_and_names_our_container() -> None:
    harness = training()
    harness.pod(taken_away)
    harness.job(Job.failed)
    harness.settle()
    assert harness.reason == names.TRAINER_FAILED and "container trainer" in harness.message


@pytest.mark.parametrize("profile", [{"queue": "q"}, {}], ids=["queued", "plain"])
def test_a_held_pod_costs_a_try_although_its_job_counts_none(profile: dict[str, Any]) -> None:
    harness = JobHarness(a_finetunejob(), a_profile(retries=1, **profile), a_dataset().prepared())
    harness.settle()
    for number in (1, 2):
        harness.job(lambda job: job.but("spec.suspend", False))
        harness.pod(lambda pod, at=number: pod.at(f"10:0{at}:00").running().beside(), number)  # type: ignore[misc]
        harness.settle()
        harness.pod(lambda pod, at=number: pod.at(f"10:0{at}:00").exited(1, f"boom {at}").beside(), number)  # type: ignore[misc]
        harness.settle()
    assert (harness.reason, harness.status["phase"]) == (names.TRAINER_FAILED, "Failed")


def test_what_is_taken_away_beside_a_sidecar_costs_no_try() -> None:
    harness = JobHarness(a_finetunejob(), a_profile(retries=0), a_dataset().prepared())
    harness.settle()
    harness.pod(lambda pod: pod.running().beside())
    harness.settle()
    harness.pod(lambda pod: pod.exited(143).beside().but("metadata.deletionTimestamp", "2026-01-01T10:00:00Z"))
    harness.settle()
    assert harness.status["phase"] == "Training" and not suspended(harness)


def a_preparation() -> Harness:
    harness = Harness(RECONCILER, a_dataset(), a_profile())
    harness.settle()
    harness.pod(lambda pod: pod.running().beside())
    harness.settle()
    assert harness.reason == names.PREPARING
    return harness


def test_prepared_rows_count_though_the_sidecar_lives() -> None:
    harness = a_preparation()
    harness.facts["manifest"] = published_rows()
    harness.pod(lambda pod: pod.exited(0).beside())
    harness.settle()
    assert harness.reason == names.PREPARED and suspended(harness)


@pytest.mark.parametrize(("code", "reason"), [(11, names.BAD_DATA), (1, names.TRAINER_FAILED)])
def test_a_preparation_that_failed_beside_a_sidecar_is_told_at_once(code: int, reason: str) -> None:
    harness = a_preparation()
    harness.pod(lambda pod: pod.told(code, reason, "no rows are left").beside())
    harness.settle()
    assert harness.reason == reason and "no rows are left" in harness.message and suspended(harness)


def test_rules_of_the_job_name_our_containers() -> None:
    harness = training()
    rules = harness.job()["spec"]["podFailurePolicy"]["rules"]
    assert {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule} == {"trainer"}
