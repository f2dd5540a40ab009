"""Kueue's moves as an operator sees them: a label, a suspended Job, pods that go, a Job that runs again."""

from __future__ import annotations

import pytest

from modelyard import names
from modelyard.decision import Manifest
from tests.builders import Built, Job, Pod, a_dataset, a_finetunejob, a_profile
from tests.unit.resources.finetunejob.yard import Yard

LABELS = {names.LABEL_QUEUE: "team-a"}


def labelled() -> Yard:
    return Yard(a_finetunejob().but("metadata.labels", LABELS), a_profile(), a_dataset().prepared())


def by_profile() -> Yard:
    return Yard(None, a_profile(queue="team-a"), a_dataset().prepared())


def kueue(yard: Yard, *, suspend: bool) -> None:
    """What Kueue does to a Job."""
    yard.job(lambda job: job.but("spec.suspend", suspend))


def queued(yard: Yard) -> Yard:
    yard.settle()
    return yard


@pytest.mark.parametrize("make", [labelled, by_profile])
def test_the_job_carries_the_label_and_is_left_suspended(make: object) -> None:
    yard = queued(make())  # type: ignore[operator]
    assert yard.job()["spec"]["suspend"] is True
    assert yard.job()["metadata"]["labels"][names.LABEL_QUEUE] == "team-a"
    assert names.LABEL_QUEUE not in yard.job()["spec"]["template"]["metadata"]["labels"]
    assert (yard.reason, yard.status["phase"], yard.stalled) == (names.QUEUED, "Queued", False)
    assert "team-a" in yard.message
    assert yard.run["pinned"]["queue"] == "team-a"
    assert wanted_suspend(yard) is None


def wanted_suspend(yard: Yard) -> bool | None:
    child = yard.wanted("Job")
    assert child is not None
    return child.suspend


def test_unsuspended_evicted_and_resumed_it_goes_on_without_a_failure() -> None:
    yard = queued(labelled())
    kueue(yard, suspend=False)
    yard.pod(Pod.running)
    yard.settle()
    assert yard.reason == names.TRAINING
    kueue(yard, suspend=True)
    yard.pods.clear()
    yard.settle()
    assert (yard.reason, yard.run["state"], yard.run["disruptions"]) == (names.QUEUED, "Running", 0)
    assert "took the pods back" in yard.message and "and starts over" in yard.message, "no step was done"
    assert (wanted_suspend(yard), len(yard.named("Job"))) == (None, 1)
    kueue(yard, suspend=False)
    yard.pod(Pod.running, 2)
    yard.settle()
    assert (yard.reason, yard.status["resumes"]) == (names.TRAINING, 1)
    yard.facts["progress"] = {"run": yard.run["id"], "pod": "p", "stage": "train", "step": 10, "steps": 20}
    yard.settle()
    kueue(yard, suspend=True)
    yard.pods.clear()
    yard.settle()
    assert "and goes on from the newest checkpoint, or from the start if none was saved" in yard.message
    yard.finish()
    assert yard.reason == names.SUCCEEDED


def test_the_users_suspend_deletes_the_job_and_resume_queues_it_again() -> None:
    yard = queued(labelled())
    kueue(yard, suspend=False)
    yard.pod(Pod.running)
    yard.settle()
    pods = yard.pods
    yard.edit(suspend=True)
    yard.go(2)
    assert (yard.named("Job"), yard.reason) == ([], names.SUSPENDED)
    yard.pods = pods
    yard.edit(suspend=False)
    yard.go(2)
    assert yard.named("Job") == []  # the pod still saves
    yard.pods.clear()
    yard.settle()
    assert (yard.reason, yard.job()["spec"]["suspend"]) == (names.QUEUED, True)


def test_a_run_that_ends_too_early_leaves_no_job_that_kueue_would_start_again() -> None:
    yard = queued(labelled())
    kueue(yard, suspend=False)
    yard.pod(Pod.oom)
    yard.settle()
    assert (yard.run["state"], yard.named("Job")) == ("Failed", [])


def test_without_a_queue_nothing_is_suspended() -> None:
    yard = Yard()
    yard.settle()
    assert not yard.job()["spec"].get("suspend")
    assert names.LABEL_QUEUE not in yard.job()["metadata"]["labels"]


def test_an_inline_dataset_waits_in_the_same_queue() -> None:
    inline = {"task": "text-classification", "source": {"s3": {"uri": "s3://data/reviews/"}}}
    yard = Yard(a_finetunejob(dataset={"inline": inline}).but("metadata.labels", LABELS), a_profile())
    yard.settle()
    (name,) = yard.named("Dataset")
    made: Manifest | Built = yard.children["Dataset", name]
    assert made["metadata"]["labels"][names.LABEL_QUEUE] == "team-a"


def test_the_spec_of_the_job_is_never_wanted_otherwise() -> None:
    """Kueue adds node selectors and labels of its own while a Job is suspended."""
    yard = queued(labelled())
    births = yard.births
    yard.job(lambda job: Job(job).but("spec.template.spec.nodeSelector", {"pool": "spot"}))
    yard.go(3)
    assert (yard.births, yard.job()["spec"]["template"]["spec"]["nodeSelector"]) == (births, {"pool": "spot"})


def test_what_kueue_says_stands_in_the_condition() -> None:
    yard = labelled()
    yard.facts["queue_word"] = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu"
    yard.settle()
    assert "waits in queue team-a" in yard.message and "insufficient unused quota for nvidia.com/gpu" in yard.message
    assert yard.last.wake_after is not None
    kueue(yard, suspend=False)
    yard.pod(Pod.running)
    yard.settle()
    assert yard.reason == names.TRAINING
