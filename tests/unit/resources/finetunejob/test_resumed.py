from __future__ import annotations

from modelyard import names
from modelyard.decision import Event
from tests.builders import Pod
from tests.unit.resources.finetunejob.harness import JobHarness, training


def told(harness: JobHarness, step: int, resumed_from: int = 0) -> list[Event]:
    """Events of the pass in which the pod tells where it is."""
    report = {"run": harness.run["id"], "stage": "train", "step": step, "steps": 400, "resumedFrom": resumed_from}
    harness.facts["progress"] = report
    harness.go()
    return [event for event in harness.last.events if event.reason == names.RESUMED]


def test_a_pod_that_was_taken_away_costs_steps_and_time() -> None:
    harness = training()
    assert told(harness, 131) == []
    harness.pod(lambda pod: _ended_at(pod.evicted(), "10:20:00"))
    harness.settle()
    harness.pod(lambda pod: _began_at(pod.running(), "10:21:05"), 2)
    (event,) = told(harness, 121, resumed_from=120)
    assert event.type == "Normal"
    for part in ("goes on from step 120 of 400", "11 reported steps", "1m without a pod", "disruption 1 of 20"):
        assert part in event.message
    assert harness.status["progress"]["resumedFrom"] == 120
    assert told(harness, 130, resumed_from=120) == []


def test_what_is_not_known_is_not_told() -> None:
    harness = training()
    (event,) = told(harness, 51, resumed_from=50)
    assert event.message == "goes on from step 50 of 400"


def test_the_time_since_a_pod_that_is_gone_is_not_known() -> None:
    harness = training()
    told(harness, 131)
    harness.pod(lambda pod: _ended_at(pod.evicted(), "10:20:00"))
    harness.settle()
    harness.pod(Pod.running, 2)
    told(harness, 140, resumed_from=120)
    harness.pods = harness.pods[:1]  # the second pod was deleted
    harness.pod(lambda pod: _began_at(pod.running(), "10:40:00"), 3)
    (event,) = told(harness, 150, resumed_from=140)
    assert "without a pod" not in event.message


def _ended_at(pod: Pod, time: str) -> Pod:
    return _with_state(pod, "terminated", finishedAt=f"2026-11-22T{time}Z")


def _began_at(pod: Pod, time: str) -> Pod:
    return _with_state(pod, "running", startedAt=f"2026-11-22T{time}Z")


def _with_state(pod: Pod, word: str, **fields: str) -> Pod:
    (container,) = pod["status"]["containerStatuses"]
    state = {word: {**container["state"].get(word, {}), **fields}}
    return pod.status(containerStatuses=[{**container, "state": state}])
