from __future__ import annotations

from modelyard import names
from modelyard.decision import Answer
from tests.builders import Job, Pod
from tests.unit.resources.finetunejob.harness import JobHarness, succeeded, training


def asked(harness: JobHarness) -> list[dict[str, str]]:
    return [dict(effect.args) for effect in harness.effects if effect.name == "sweep"]


def test_a_published_run_is_swept_once() -> None:
    harness = succeeded()
    prefix = f"ns/team-a/models/reviews/runs/{harness.run['id']}/"
    epoch = harness.run["epoch"]
    assert asked(harness) == [{"prefix": prefix, "published": f"{prefix}version/", "epoch": epoch}]
    assert epoch and epoch in str(harness.children)
    assert harness.run["cleanedUp"] is True
    harness.go(3)
    assert len(asked(harness)) == 1


def test_nothing_is_swept_while_the_run_may_go_on() -> None:
    harness = training()
    harness.pod(lambda pod: pod.exited(1))
    harness.go(3)
    harness.edit(suspend=True)
    harness.go(3)
    assert (harness.reason, asked(harness)) == (names.SUSPENDED, [])


def test_a_failed_run_is_swept_when_its_last_pod_is_gone() -> None:
    harness = training()
    harness.pod(Pod.running, 2)
    harness.pod(Pod.oom, 1)
    harness.settle()
    assert (harness.run["state"], asked(harness)) == ("Failed", [])
    harness.pod(lambda pod: pod.exited(143), 2)
    harness.settle()
    assert (harness.run["cleanedUp"], len(asked(harness))) == (True, 1)


def test_a_failed_run_whose_job_is_gone_is_left_to_others_of_the_same_run() -> None:
    harness = training()
    harness.pod(lambda pod: pod.told(10, names.BAD_CONFIG, "no"))
    harness.deeds["sweep"] = Answer(reason=names.STORE_UNAVAILABLE, message="away")
    harness.job(Job.failed)
    harness.settle()
    assert harness.run["state"] == "Failed"
    harness.remove("Job", harness.named("Job")[0])
    harness.effects.clear()
    harness.go(2)
    assert asked(harness) == []


def test_a_store_that_is_away_is_asked_again() -> None:
    harness = training()
    harness.deeds["sweep"] = Answer(reason=names.STORE_UNAVAILABLE, message="away")
    harness.finish()
    assert (harness.reason, harness.run["cleanedUp"], harness.last.wake_after) == (names.SUCCEEDED, False, 60.0)
    harness.deeds["sweep"] = True
    harness.settle()
    assert (harness.run["cleanedUp"], harness.last.wake_after) == (True, None)


def test_the_same_run_begun_anew_has_another_epoch() -> None:
    harness = training()
    first, run = harness.run["epoch"], harness.run["id"]
    harness.edit(resources={"cpu": 1, "memory": "8Gi"})
    harness.settle()
    assert (harness.run["id"], harness.run["epoch"]) == (run, first)
    for attempt in (2, 1):
        harness.edit(attempt=attempt)
        harness.settle()
    assert harness.run["id"] == run and harness.run["epoch"] != first
