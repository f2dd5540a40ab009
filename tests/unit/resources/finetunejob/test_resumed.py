from __future__ import annotations

from modelyard import names
from modelyard.decision import Event
from tests.builders import Pod
from tests.unit.resources.finetunejob.yard import Yard, training


def told(yard: Yard, step: int, resumed_from: int = 0) -> list[Event]:
    """Events of the pass in which the pod tells where it is."""
    report = {"run": yard.run["id"], "stage": "train", "step": step, "steps": 400, "resumedFrom": resumed_from}
    yard.facts["progress"] = report
    yard.go()
    return [event for event in yard.last.events if event.reason == names.RESUMED]


def test_a_pod_that_was_taken_away_costs_steps_and_time() -> None:
    yard = training()
    assert told(yard, 131) == []
    yard.pod(lambda pod: _ended_at(pod.evicted(), "10:20:00"))
    yard.settle()
    yard.pod(lambda pod: _began_at(pod.running(), "10:21:05"), 2)
    (event,) = told(yard, 121, resumed_from=120)
    assert event.type == "Normal"
    for part in ("goes on from step 120 of 400", "11 reported steps", "1m without a pod", "disruption 1 of 20"):
        assert part in event.message
    assert yard.status["progress"]["resumedFrom"] == 120
    assert told(yard, 130, resumed_from=120) == []


def test_what_is_not_known_is_not_told() -> None:
    yard = training()
    (event,) = told(yard, 51, resumed_from=50)
    assert event.message == "goes on from step 50 of 400"


def test_the_time_since_a_pod_that_is_gone_is_not_known() -> None:
    yard = training()
    told(yard, 131)
    yard.pod(lambda pod: _ended_at(pod.evicted(), "10:20:00"))
    yard.settle()
    yard.pod(Pod.running, 2)
    told(yard, 140, resumed_from=120)
    yard.pods = yard.pods[:1]  # the second pod was deleted
    yard.pod(lambda pod: _began_at(pod.running(), "10:40:00"), 3)
    (event,) = told(yard, 150, resumed_from=140)
    assert "without a pod" not in event.message


def _ended_at(pod: Pod, time: str) -> Pod:
    return _with_state(pod, "terminated", finishedAt=f"2026-11-22T{time}Z")


def _began_at(pod: Pod, time: str) -> Pod:
    return _with_state(pod, "running", startedAt=f"2026-11-22T{time}Z")


def _with_state(pod: Pod, word: str, **fields: str) -> Pod:
    (container,) = pod["status"]["containerStatuses"]
    state = {word: {**container["state"].get(word, {}), **fields}}
    return pod.status(containerStatuses=[{**container, "state": state}])
