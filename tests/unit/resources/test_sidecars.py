"""A sidecar (service mesh, injected agent): our container's end decides, and nothing else about the pod does."""

from typing import Any

import pytest

from modelyard import names
from modelyard.resources import sidecars
from modelyard.resources.dataset import RECONCILER
from modelyard.resources.pods import diagnose, has_started, is_live, is_running
from tests.builders import Job, Pod, a_dataset, a_finetunejob, a_pod, a_profile, published_rows
from tests.unit.resources.finetunejob.yard import Yard, training
from tests.unit.resources.lab import Lab

CRASHED = {"terminated": {"exitCode": 255, "reason": "Error"}}


def suspended(yard: Lab) -> bool:
    return bool(yard.job()["spec"].get("suspend"))


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
    yard = training()
    yard.publish()
    yard.pod(lambda pod: pod.exited(0).beside(beside[0], **beside[1]))
    yard.settle()
    assert (yard.reason, yard.status["phase"]) == (names.SUCCEEDED, "Succeeded")
    assert suspended(yard), "the Job's pod goes, and no other one comes"
    yard.pods.clear()
    yard.settle()
    assert yard.reason == names.SUCCEEDED and suspended(yard)


@pytest.mark.parametrize("code", [0, 11])
def test_a_pod_alone_keeps_its_job_and_log_though_its_end_comes_in_two_parts(code: int) -> None:
    """The kubelet tells the container's end a moment before the pod's; a Job stopped then takes the pod's log away."""
    yard = training()
    yard.publish()
    yard.pod(lambda pod: pod.exited(code).status(phase="Running"))
    yard.settle()
    assert not suspended(yard)
    yard.pod(lambda pod: pod.status(phase="Succeeded" if code == 0 else "Failed"))
    yard.settle()
    assert not suspended(yard)


def test_while_the_store_is_silent_the_pod_stays_and_nothing_trains_again() -> None:
    yard = training()
    yard.pod(lambda pod: pod.exited(0).beside())
    yard.facts["manifest"] = None
    births = yard.births
    yard.go(3)
    assert yard.births == births and not suspended(yard) and len(yard.pods) == 1
    yard.publish()
    yard.settle()
    assert yard.reason == names.SUCCEEDED


def test_a_failure_that_would_come_back_ends_the_run() -> None:
    yard = training()
    yard.pod(lambda pod: pod.told(11, names.BAD_DATA, "no rows are left").beside())
    yard.settle()
    assert (yard.reason, yard.status["phase"]) == (names.BAD_DATA, "Failed")
    assert "no rows are left" in yard.message and suspended(yard)


def test_a_failure_is_tried_again_once_the_pod_is_out_of_the_way() -> None:
    yard = training()
    yard.pod(lambda pod: pod.exited(1, "boom").beside())
    yard.settle()
    assert suspended(yard) and yard.status["phase"] == "Training"
    yard.pod(taken_away)
    yard.job(lambda job: job.status(failed=1))
    yard.settle()
    assert not suspended(yard)
    yard.pod(lambda pod: pod.at("10:20:00").running().beside(), 2)
    yard.settle()
    assert yard.reason == names.TRAINING and yard.status["resumes"] == 1


def test_the_last_failure_is_the_runs_end_and_names_our_container() -> None:
    yard = training()
    yard.pod(taken_away)
    yard.job(Job.failed)
    yard.settle()
    assert yard.reason == names.TRAINER_FAILED and "container trainer" in yard.message


@pytest.mark.parametrize("profile", [{"queue": "q"}, {}], ids=["queued", "plain"])
def test_a_held_pod_costs_a_try_although_its_job_counts_none(profile: dict[str, Any]) -> None:
    yard = Yard(a_finetunejob(), a_profile(retries=1, **profile), a_dataset().prepared())
    yard.settle()
    for number in (1, 2):
        yard.job(lambda job: job.but("spec.suspend", False))
        yard.pod(lambda pod, at=number: pod.at(f"10:0{at}:00").running().beside(), number)  # type: ignore[misc]
        yard.settle()
        yard.pod(lambda pod, at=number: pod.at(f"10:0{at}:00").exited(1, f"boom {at}").beside(), number)  # type: ignore[misc]
        yard.settle()
    assert (yard.reason, yard.status["phase"]) == (names.TRAINER_FAILED, "Failed")


def test_what_is_taken_away_beside_a_sidecar_costs_no_try() -> None:
    yard = Yard(a_finetunejob(), a_profile(retries=0), a_dataset().prepared())
    yard.settle()
    yard.pod(lambda pod: pod.running().beside())
    yard.settle()
    yard.pod(lambda pod: pod.exited(143).beside().but("metadata.deletionTimestamp", "2026-01-01T10:00:00Z"))
    yard.settle()
    assert yard.status["phase"] == "Training" and not suspended(yard)


def a_preparation() -> Lab:
    yard = Lab(RECONCILER, a_dataset(), a_profile())
    yard.settle()
    yard.pod(lambda pod: pod.running().beside())
    yard.settle()
    assert yard.reason == names.PREPARING
    return yard


def test_prepared_rows_count_though_the_sidecar_lives() -> None:
    yard = a_preparation()
    yard.facts["manifest"] = published_rows()
    yard.pod(lambda pod: pod.exited(0).beside())
    yard.settle()
    assert yard.reason == names.PREPARED and suspended(yard)


@pytest.mark.parametrize(("code", "reason"), [(11, names.BAD_DATA), (1, names.TRAINER_FAILED)])
def test_a_preparation_that_failed_beside_a_sidecar_is_told_at_once(code: int, reason: str) -> None:
    yard = a_preparation()
    yard.pod(lambda pod: pod.told(code, reason, "no rows are left").beside())
    yard.settle()
    assert yard.reason == reason and "no rows are left" in yard.message and suspended(yard)


def test_rules_of_the_job_name_our_containers() -> None:
    yard = training()
    rules = yard.job()["spec"]["podFailurePolicy"]["rules"]
    assert {rule["onExitCodes"]["containerName"] for rule in rules if "onExitCodes" in rule} == {"trainer"}
