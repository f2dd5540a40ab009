"""A base is known by its content: read once per listing, by a Job of whoever asks first, before a run exists."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.api import layout
from modelyard.api.access import Access, AccessError, Place, access_of
from modelyard.decision import Answer
from tests.builders import Built, Job, Pod, a_dataset, a_finetunejob, a_listing, a_profile
from tests.unit.resources.finetunejob.harness import CONTENT, JobHarness

LISTING = "sha256:" + "b" * 64
NAME = "base-" + "b" * 16
RECORD = f"ns/team-a/bases/records/{'b' * 64}.json"


def unread(*others: Built, **spec: Any) -> JobHarness:
    """Nobody has read the base yet."""
    harness = JobHarness(a_finetunejob(**spec), *(others or (a_profile(), a_dataset().prepared())))
    harness.facts["base_record"] = None
    harness.settle()
    return harness


def reading(**spec: Any) -> JobHarness:
    harness = unread(**spec)
    harness.pod(Pod.running)
    harness.settle()
    return harness


def progress(step: int, run: str = NAME) -> dict[str, Any]:
    return {"run": run, "stage": "hash", "step": step, "steps": 2}


def test_the_content_is_read_by_a_small_job_before_a_run_exists() -> None:
    harness = unread()
    assert (harness.reason, harness.named("Job"), harness.named("ConfigMap")) == (names.HASHING_BASE, [NAME], [NAME])
    assert "run" not in harness.status and not harness.stalled
    assert harness.status["base"] == {"uri": "s3://base/minilm/", "listing": LISTING}
    (container,) = harness.job()["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}
    assert container["image"] == "modelyard/trainer:1"
    harness.facts["base_record"] = CONTENT
    harness.settle()
    assert harness.run["pinned"]["base"] == {"uri": "s3://base/minilm/", "digest": CONTENT, "listing": LISTING}
    assert "base" not in harness.status and NAME not in harness.named("Job") + harness.named("ConfigMap")


def test_the_pod_never_asks_for_more_than_the_run() -> None:
    (container,) = unread(resources={"cpu": 0.3, "memory": "200Mi"}).job()["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "300m", "memory": "200Mi"}


def test_a_foreign_trainers_base_is_read_by_our_image() -> None:
    theirs = a_profile(trainer={"image": "theirs:1", "command": ["train"]})
    job = unread(theirs, a_dataset().prepared()).job()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "modelyard/trainer:1" and "command" not in container


def test_a_known_base_needs_no_job() -> None:
    harness = JobHarness()
    harness.settle()
    assert NAME not in harness.named("Job") and harness.run["pinned"]["base"]["digest"] == CONTENT


def test_other_etags_of_the_same_content_are_the_same_run() -> None:
    runs = set()
    for listing in ("b", "e"):
        harness = JobHarness()
        harness.facts["listing"] = a_listing(digest="sha256:" + listing * 64)
        harness.settle()
        runs.add(harness.run["id"])
    harness.facts["base_record"] = "sha256:" + "f" * 64
    other = JobHarness()
    other.facts["base_record"] = "sha256:" + "f" * 64
    other.settle()
    assert len(runs) == 1 and other.run["id"] not in runs


def test_it_is_read_beside_the_preparation_of_the_rows() -> None:
    harness = unread(a_profile(), a_dataset())
    assert (harness.reason, harness.named("Job")) == (names.WAITING_FOR_DATASET, [NAME])


def test_nothing_is_read_for_what_cannot_go_on_or_is_suspended() -> None:
    harness = unread(a_profile())
    assert (harness.reason, harness.named("Job")) == (names.DATASET_NOT_FOUND, [])
    harness = reading()
    harness.edit(suspend=True)
    harness.settle()
    assert (harness.reason, harness.named("Job")) == (names.SUSPENDED, [])
    harness.edit(suspend=False)
    harness.settle()
    assert harness.named("Job") == [NAME]


def test_how_far_it_is() -> None:
    harness = reading()
    assert "hashing base: 0 of 3 files of s3://base/minilm/" in harness.message
    harness.facts["progress"] = progress(2)
    harness.settle()
    assert "hashing base: 2 of 3 files" in harness.message
    harness.facts["progress"] = progress(1, run="another")
    harness.settle()
    assert "0 of 3 files" in harness.message


FAILURES = [
    (lambda pod: pod.told(17, names.STORE_DENIED, "may not read"), names.STORE_DENIED, "may not read"),
    (lambda pod: pod.told(12, names.BASE_CHANGED, "changed while"), names.BASE_CHANGED, "changed while"),
    (lambda pod: pod.told(12, names.BASE_NOT_FOUND, "nothing lies"), names.BASE_NOT_FOUND, "nothing lies"),
    (lambda pod: pod.exited(137, reason="OOMKilled"), names.OUT_OF_MEMORY, "memory"),
]


@pytest.mark.parametrize(("end", "reason", "words"), FAILURES)
def test_a_failure_is_told_and_tried_again_within_limits(end: Any, reason: str, words: str) -> None:
    harness = reading()
    harness.pod(end)
    harness.job(lambda job: job.failed("PodFailurePolicy", "exit code 17"))
    harness.settle()
    assert (harness.reason, harness.stalled) == (reason, True)
    assert words in harness.message and "spec.from.base" in harness.message
    first, births = harness.job()["metadata"]["uid"], harness.births
    harness.wait(30)
    assert harness.job()["metadata"]["uid"] == first
    harness.wait(60)
    assert harness.job()["metadata"]["uid"] != first and harness.births == births + 2
    assert (harness.reason, harness.stalled) == (names.HASHING_BASE, False)


def test_it_is_tried_again_later_and_later() -> None:
    harness = reading()
    made = 0
    for _ in range(240):
        before = harness.job()["metadata"]["uid"]
        if not harness.job().get("status"):
            harness.pod(lambda pod: pod.exited(17))
            stamp = harness.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            failed = harness.job(lambda job: job.failed("PodFailurePolicy", "exit code 17"))
            failed["status"]["conditions"][0]["lastTransitionTime"] = stamp
        harness.wait(30)
        made += harness.job()["metadata"]["uid"] != before
    assert 10 <= made <= 40, made


def test_a_job_that_ends_without_a_record_is_made_again() -> None:
    harness = reading()
    harness.pod(lambda pod: pod.exited(0))
    harness.job(Job.succeeded)
    harness.settle()
    first = harness.job()["metadata"]["uid"]
    assert (harness.reason, harness.stalled) == (names.HASHING_BASE, False)
    harness.wait(90)
    assert harness.job()["metadata"]["uid"] != first


def test_another_listing_is_another_job() -> None:
    harness = reading()
    harness.facts["listing"] = a_listing(digest="sha256:" + "e" * 64)
    harness.settle()
    assert harness.named("Job") == ["base-" + "e" * 16]
    assert harness.status["base"]["listing"] == "sha256:" + "e" * 64


def test_two_jobs_on_one_base_share_the_reading() -> None:
    first = unread()
    made = first.job()
    second = JobHarness(a_finetunejob("second"))
    second.facts["base_record"] = None
    second.put(Built(made))
    second.settle()
    assert (second.reason, second.named("Job"), second.stalled) == (names.HASHING_BASE, [], False)
    assert "FineTuneJob reviews hashes base s3://base/minilm/" in second.message and "base" not in second.status
    second.remove("Job", NAME)  # its owner is gone
    second.settle()
    assert second.named("Job") == [NAME]


def test_a_config_map_that_goes_with_another_job_is_made_again() -> None:
    harness = unread()
    harness.remove("ConfigMap", NAME)
    harness.settle()
    assert harness.named("ConfigMap") == [NAME]


def test_the_failure_of_a_shared_reading_is_told() -> None:
    failed = unread().job(lambda job: job.failed("PodFailurePolicy", "container trainer failed with exit code 17"))
    second = JobHarness(a_finetunejob("second"))
    second.facts["base_record"] = None
    second.put(Built(failed))
    second.settle()
    assert (second.reason, second.named("Job"), second.stalled) == (names.STORE_DENIED, [], True)
    assert "FineTuneJob reviews" in second.message


def test_a_store_that_does_not_answer_makes_no_job() -> None:
    harness = unread()
    harness = JobHarness()
    harness.facts["base_record"] = Answer(reason=names.STORE_UNAVAILABLE, message="down")
    harness.settle()
    assert (harness.reason, harness.named("Job")) == (names.STORE_UNAVAILABLE, [])


def test_its_pods_read_the_base_and_write_the_record_and_no_more() -> None:
    harness = reading()
    found = access_of(harness.obj, NAME, "modelyard")
    assert found == Access((Place("modelyard", RECORD),), (Place("base", "minilm/"),))
    assert harness.status["base"]["listing"] == LISTING and layout.base_record_key("team-a", LISTING) == RECORD
    with pytest.raises(AccessError):
        access_of(harness.obj, "base-" + "e" * 16, "modelyard")
    harness.facts["base_record"] = CONTENT
    harness.settle()
    with pytest.raises(AccessError):
        access_of(harness.obj, NAME, "modelyard")


def test_a_reading_that_has_begun_goes_on_whatever_is_not_known_just_now() -> None:
    harness = reading()
    made = harness.job()["metadata"]["uid"]
    for fact in ("listing", "base_record"):
        before = harness.facts[fact]
        harness.facts[fact] = Answer(reason=names.STORE_UNAVAILABLE, message="down")
        harness.settle()
        assert (harness.job()["metadata"]["uid"], harness.status["base"]["listing"]) == (made, LISTING)
        harness.facts[fact] = before
    harness.remove("Dataset", "reviews")
    harness.settle()
    assert (harness.reason, harness.job()["metadata"]["uid"]) == (names.DATASET_NOT_FOUND, made)
