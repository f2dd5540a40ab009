"""Kueue's moves as an operator sees them: a label, a suspended Job, pods that go, a Job that runs again."""

from __future__ import annotations

import pytest

from modelyard import names
from modelyard.decision import Manifest
from tests.builders import Built, Job, Pod, a_dataset, a_finetunejob, a_profile
from tests.unit.resources.finetunejob.harness import JobHarness

LABELS = {names.LABEL_QUEUE: "team-a"}


def labelled() -> JobHarness:
    return JobHarness(a_finetunejob().but("metadata.labels", LABELS), a_profile(), a_dataset().prepared())


def by_profile() -> JobHarness:
    return JobHarness(None, a_profile(queue="team-a"), a_dataset().prepared())


def kueue(harness: JobHarness, *, suspend: bool) -> None:
    """What Kueue does to a Job."""
    harness.job(lambda job: job.but("spec.suspend", suspend))


def queued(harness: JobHarness) -> JobHarness:
    harness.settle()
    return harness


@pytest.mark.parametrize("make", [labelled, by_profile])
def test_the_job_carries_the_label_and_is_left_suspended(make: object) -> None:
    harness = queued(make())  # type: ignore[operator]
    assert harness.job()["spec"]["suspend"] is True
    assert harness.job()["metadata"]["labels"][names.LABEL_QUEUE] == "team-a"
    assert names.LABEL_QUEUE not in harness.job()["spec"]["template"]["metadata"]["labels"]
    assert (harness.reason, harness.status["phase"], harness.stalled) == (names.QUEUED, "Queued", False)
    assert "team-a" in harness.message
    assert harness.run["pinned"]["queue"] == "team-a"
    assert wanted_suspend(harness) is None


def wanted_suspend(harness: JobHarness) -> bool | None:
    child = harness.wanted("Job")
    assert child is not None
    return child.suspend


def test_unsuspended_evicted_and_resumed_it_goes_on_without_a_failure() -> None:
    harness = queued(labelled())
    kueue(harness, suspend=False)
    harness.pod(Pod.running)
    harness.settle()
    assert harness.reason == names.TRAINING
    kueue(harness, suspend=True)
    harness.pods.clear()
    harness.settle()
    assert (harness.reason, harness.run["state"], harness.run["disruptions"]) == (names.QUEUED, "Running", 0)
    assert "took the pods back" in harness.message and "and starts over" in harness.message, "no step was done"
    assert (wanted_suspend(harness), len(harness.named("Job"))) == (None, 1)
    kueue(harness, suspend=False)
    harness.pod(Pod.running, 2)
    harness.settle()
    assert (harness.reason, harness.status["resumes"]) == (names.TRAINING, 1)
    harness.facts["progress"] = {"run": harness.run["id"], "pod": "p", "stage": "train", "step": 10, "steps": 20}
    harness.settle()
    kueue(harness, suspend=True)
    harness.pods.clear()
    harness.settle()
    assert "and goes on from the newest checkpoint, or from the start if none was saved" in harness.message
    harness.finish()
    assert harness.reason == names.SUCCEEDED


def test_the_users_suspend_deletes_the_job_and_resume_queues_it_again() -> None:
    harness = queued(labelled())
    kueue(harness, suspend=False)
    harness.pod(Pod.running)
    harness.settle()
    pods = harness.pods
    harness.edit(suspend=True)
    harness.go(2)
    assert (harness.named("Job"), harness.reason) == ([], names.SUSPENDED)
    harness.pods = pods
    harness.edit(suspend=False)
    harness.go(2)
    assert harness.named("Job") == []  # the pod still saves
    harness.pods.clear()
    harness.settle()
    assert (harness.reason, harness.job()["spec"]["suspend"]) == (names.QUEUED, True)


def test_a_run_that_ends_too_early_leaves_no_job_that_kueue_would_start_again() -> None:
    harness = queued(labelled())
    kueue(harness, suspend=False)
    harness.pod(Pod.oom)
    harness.settle()
    assert (harness.run["state"], harness.named("Job")) == ("Failed", [])


def test_without_a_queue_nothing_is_suspended() -> None:
    harness = JobHarness()
    harness.settle()
    assert not harness.job()["spec"].get("suspend")
    assert names.LABEL_QUEUE not in harness.job()["metadata"]["labels"]


def test_an_inline_dataset_waits_in_the_same_queue() -> None:
    inline = {"task": "text-classification", "source": {"s3": {"uri": "s3://data/reviews/"}}}
    harness = JobHarness(a_finetunejob(dataset={"inline": inline}).but("metadata.labels", LABELS), a_profile())
    harness.settle()
    (name,) = harness.named("Dataset")
    made: Manifest | Built = harness.children["Dataset", name]
    assert made["metadata"]["labels"][names.LABEL_QUEUE] == "team-a"


def test_the_spec_of_the_job_is_never_wanted_otherwise() -> None:
    """Kueue adds node selectors and labels of its own while a Job is suspended."""
    harness = queued(labelled())
    births = harness.births
    harness.job(lambda job: Job(job).but("spec.template.spec.nodeSelector", {"pool": "spot"}))
    harness.go(3)
    assert (harness.births, harness.job()["spec"]["template"]["spec"]["nodeSelector"]) == (births, {"pool": "spot"})


def test_what_kueue_says_stands_in_the_condition() -> None:
    harness = labelled()
    harness.facts["queue_word"] = (
        "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu"
    )
    harness.settle()
    assert (
        "waits in queue team-a" in harness.message and "insufficient unused quota for nvidia.com/gpu" in harness.message
    )
    assert harness.last.wake_after is not None
    kueue(harness, suspend=False)
    harness.pod(Pod.running)
    harness.settle()
    assert harness.reason == names.TRAINING
