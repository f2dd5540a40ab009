from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Observed
from modelyard.resources.pods import Hints
from modelyard.resources.refusals import refusal, refused_child, why_refused
from tests.builders import Job, Pod
from tests.unit.resources.finetunejob.harness import JobHarness, started, training

QUOTA = (
    'Error creating: pods "reviews-1-0-abcde" is forbidden: exceeded quota: team, requested: requests.memory=3Gi, '
    "used: requests.memory=0, limited: requests.memory=1Gi"
)
LATER, EARLIER = "2026-11-22T10:30:00Z", "2026-11-22T09:00:00Z"


def seen_by_its_controller(job: Job, **status: Any) -> Job:
    return job.status(startTime="2026-11-22T10:00:00Z", **status)


def refused(harness: JobHarness, at: str = LATER) -> JobHarness:
    harness.facts["refused_pod"] = {"at": at, "message": QUOTA}
    harness.job(seen_by_its_controller)
    harness.settle()
    return harness


def test_a_quota_is_named_with_its_field() -> None:
    harness = refused(started())
    assert (harness.reason, harness.stalled) == (names.QUOTA, True)
    assert harness.message == (
        "the namespace refuses the pod: over ResourceQuota team: asks for requests.memory=3Gi; used requests.memory=0 "
        "of requests.memory=1Gi; lower spec.resources or have the quota raised; goes on by itself"
    )
    assert harness.last.wake_after is not None and "Job" in {kind for kind, _ in harness.children}


def test_it_goes_on_once_a_pod_is_there() -> None:
    harness = refused(started())
    harness.pod(Pod.running)
    harness.job(lambda job: seen_by_its_controller(job, active=1))
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.TRAINING, False)


def test_nothing_is_asked_while_pods_are_there_or_the_controller_has_not_looked() -> None:
    harness = training()
    assert "refused_pod" not in {fact.name for fact in harness.asked}


def test_a_job_without_a_pod_is_looked_at_again() -> None:
    harness = started()
    harness.job(seen_by_its_controller)
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD and harness.last.wake_after is not None


def test_a_refusal_from_before_the_last_pod_is_old() -> None:
    harness = training()
    harness.pod(lambda pod: pod.exited(1, "boom"))
    harness.job(lambda job: seen_by_its_controller(job, failed=1))
    assert refused(harness, EARLIER).reason == names.TRAINING
    assert refused(harness, LATER).reason == names.QUOTA


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            'pods "x" is forbidden: maximum memory usage per Container is 512Mi, but limit is 3Gi',
            ["refuses the pod: maximum memory usage", "change spec.serve.resources", "LimitRange"],
        ),
        (
            'pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile',
            ["violates PodSecurity", "pod-security.kubernetes.io/enforce"],
        ),
        ('pods "x" is forbidden: failed quota: q: must specify limits.cpu for: trainer', ["failed quota: q"]),
        ("admission webhook denied the request", ["webhook denied", "or what refuses it"]),
    ],
)
def test_other_refusals(told: str, words: list[str]) -> None:
    said = why_refused(told, Hints(resources="spec.serve.resources", profile="ServingProfile"))
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    ("told", "remedy"),
    [
        ("'runAsUser: Invalid value: 65532': must be in the ranges: [1000680000, 1009]", "spec.pod.user: cluster"),
        ("every pod needs the label team", "spec.pod.labels or spec.pod.copyLabels"),
        ('error looking up service account ns/x: serviceaccount "x" not found', "spec.pod.serviceAccountName"),
        ("no PriorityClass with name high was found", "spec.pod.priorityClassName"),
        ('pod rejected: RuntimeClass "nvidia" not found', "spec.pod.runtimeClassName"),
        ("annotation backup.example.com/policy is missing", "spec.pod.annotations"),
        ("image is too old", "let spec.pod of the TrainingProfile say what it asks for"),
    ],
)
def test_what_a_policy_asks_for_stands_in_the_profile(told: str, remedy: str) -> None:
    said = why_refused(f'pods "x" is forbidden: {told}', Hints())
    assert remedy in said and "TrainingProfile" in said


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ('error looking up service account ns/x: serviceaccount "x" not found', "spec.pod.serviceAccountName"),
        ("no PriorityClass with name high was found", "spec.pod.priorityClassName"),
        ('pod rejected: RuntimeClass "nvidia" not found', "spec.pod.runtimeClassName"),
    ],
)
def test_what_a_profile_names_but_is_not_there_is_to_be_made(told: str, field: str) -> None:
    said = why_refused(f'pods "x" is forbidden: {told}', Hints())
    assert f"{told}; make what is missing, or change {field} of the TrainingProfile" in said


def test_servers_have_no_user_to_give_up() -> None:
    said = why_refused('pods "x" is forbidden: runAsUser is not allowed', Hints(profile="ServingProfile"))
    assert "spec.pod.user" not in said and "ServingProfile" in said


def test_a_quota_that_counts_jobs_says_what_to_delete() -> None:
    told = (
        'jobs.batch "reviews-1" is forbidden: exceeded quota: small, requested: count/jobs.batch=1, '
        "used: count/jobs.batch=3, limited: count/jobs.batch=3"
    )
    wait = refusal(Observed(refused={("Job", "reviews-1"): told}), "reviews-1", Hints())
    assert wait is not None and wait.verdict.stalled and wait.verdict.reason == names.QUOTA
    assert "over ResourceQuota small: asks for count/jobs.batch=1" in wait.verdict.message
    assert "kubectl delete jobs --field-selector status.successful=1" in wait.verdict.message


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        ("count/configmaps=1", "delete FineTuneJobs and Datasets that have ended"),
        ("pods=1", "wait until other pods have ended"),
        ("limits.memory=3Gi,requests.cpu=1", "lower spec.resources or have the quota raised"),
        ("requests.nvidia.com/gpu=1", "lower spec.resources or have the quota raised"),
        ("count/modelversions.modelyard.dev=1", "delete what nobody needs any more or have the quota raised"),
    ],
)
def test_what_makes_room_depends_on_what_a_quota_limits(asked: str, remedy: str) -> None:
    said = why_refused(f"exceeded quota: q, requested: {asked}, used: a=1, limited: a=1", Hints())
    assert f"{remedy}" in said and said.count(";") == 3


def test_a_child_of_somebody_else_is_nothing_that_a_profile_mends() -> None:
    told = "Job reviews-1 exists and belongs to something else: delete or rename it"
    wait = refused_child("Job", "reviews-1", told, Hints())
    assert wait.verdict.message == f"the API server refused Job reviews-1: {told}"


def test_what_is_no_pod_is_not_mended_by_a_profile() -> None:
    said = refused_child("ModelVersion", "reviews-1", "every object needs the label team", Hints()).verdict.message
    assert said.endswith("the label team; have what refuses it changed")
