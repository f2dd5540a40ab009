from __future__ import annotations

from modelyard import names
from modelyard.decision import Answer
from tests.builders import Job, Pod
from tests.unit.resources.finetunejob.yard import Yard, succeeded, training


def asked(yard: Yard) -> list[dict[str, str]]:
    return [dict(fact.args) for fact in yard.asked if fact.name == "swept"]


def test_a_published_run_is_swept_once() -> None:
    yard = succeeded()
    prefix = f"ns/team-a/models/reviews/runs/{yard.run['id']}/"
    assert asked(yard) == [{"prefix": prefix, "published": f"{prefix}version/"}]
    assert yard.run["cleanedUp"] is True
    yard.go(3)
    assert len(asked(yard)) == 1


def test_nothing_is_swept_while_the_run_may_go_on() -> None:
    yard = training()
    yard.pod(lambda pod: pod.exited(1))
    yard.go(3)
    yard.edit(suspend=True)
    yard.go(3)
    assert (yard.reason, asked(yard)) == (names.SUSPENDED, [])


def test_a_failed_run_is_swept_when_its_last_pod_is_gone() -> None:
    yard = training()
    yard.pod(Pod.running, 2)
    yard.pod(Pod.oom, 1)
    yard.settle()
    assert (yard.run["state"], asked(yard)) == ("Failed", [])
    yard.pod(lambda pod: pod.exited(143), 2)
    yard.settle()
    assert (yard.run["cleanedUp"], len(asked(yard))) == (True, 1)


def test_a_failed_run_whose_job_is_gone_is_left_to_others_of_the_same_run() -> None:
    yard = training()
    yard.pod(lambda pod: pod.told(10, names.BAD_CONFIG, "no"))
    yard.facts["swept"] = Answer(reason=names.STORE_UNAVAILABLE, message="away")
    yard.job(Job.failed)
    yard.settle()
    assert yard.run["state"] == "Failed"
    yard.remove("Job", yard.named("Job")[0])
    yard.asked.clear()
    yard.go(2)
    assert asked(yard) == []


def test_a_store_that_is_away_is_asked_again() -> None:
    yard = training()
    yard.facts["swept"] = Answer(reason=names.STORE_UNAVAILABLE, message="away")
    yard.finish()
    assert (yard.reason, yard.run["cleanedUp"], yard.last.wake_after) == (names.SUCCEEDED, False, 60.0)
    yard.facts["swept"] = True
    yard.settle()
    assert (yard.run["cleanedUp"], yard.last.wake_after) == (True, None)
