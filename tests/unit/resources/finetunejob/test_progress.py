from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Answer
from modelyard.resources.finetunejob.progress import humanised, rounded
from tests.builders import Pod
from tests.unit.resources.finetunejob.harness import JobHarness, started, training


def report(harness: JobHarness, **more: Any) -> dict[str, Any]:
    fields = {"run": harness.run["id"], "pod": "p", "stage": "train", "step": 410, "steps": 1000}
    return {**fields, "loss": 0.312345, "secondsLeft": 700.0, "epoch": 0.41, **more}


def test_progress_is_shown_while_a_pod_runs() -> None:
    harness = training()
    harness.facts["progress"] = report(harness)
    harness.settle()
    shown = {"percent": 41, "step": 410, "steps": 1000, "eta": "12m", "loss": 0.3123, "stage": "train", "epoch": 0.41}
    assert harness.status["progress"] == shown
    assert harness.last.wake_after is None, "the endpoint wakes it"


def test_nothing_is_asked_before_a_pod_runs() -> None:
    harness = started()
    assert [fact for fact in harness.asked if fact.name == "progress"] == []


ODD: list[dict[str, Any]] = [
    {"run": "another"},
    {"step": "many"},
    {"stage": 7},
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_about_this_run_is_ignored(odd: dict[str, Any]) -> None:
    harness = training()
    harness.facts["progress"] = report(harness, **odd)
    harness.settle()
    assert "progress" not in harness.status


NUMBERS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"step": 1000}, {"percent": 99}),
    ({"step": 2000}, {"percent": 99}),
    ({"step": -5}, {"percent": 0}),
    ({"steps": 0}, {"percent": 0}),
    ({"steps": 0, "percent": 40}, {"percent": 40}),
    ({"steps": 0, "percent": 100}, {"percent": 99}),
    ({"step": 29, "steps": 100}, {"percent": 29}),
    ({"secondsLeft": 0.0}, {"eta": "1s"}),
    ({"loss": float("nan")}, {"loss": None}),
    ({"loss": float("inf"), "secondsLeft": float("nan")}, {"loss": None, "eta": None}),
]


@pytest.mark.parametrize(("fields", "shown"), NUMBERS)
def test_reports_are_claims_not_proofs(fields: dict[str, Any], shown: dict[str, Any]) -> None:
    harness = training()
    harness.facts["progress"] = report(harness, **fields)
    harness.settle()
    assert {name: harness.status["progress"].get(name) for name in shown} == shown


def test_the_last_progress_stands_through_an_outage_and_between_pods() -> None:
    harness = training()
    harness.facts["progress"] = report(harness)
    harness.settle()
    harness.facts["progress"] = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")
    harness.settle()
    assert (harness.reason, harness.status["progress"]["step"]) == (names.TRAINING, 410)
    harness.pod(lambda pod: pod.exited(1, "boom"))
    harness.settle()
    assert (harness.status["progress"]["step"], harness.status["progress"].get("eta")) == (410, None)
    assert "boom" in harness.message


def test_a_new_run_starts_from_nothing() -> None:
    harness = training()
    harness.facts["progress"] = report(harness)
    harness.settle()
    harness.edit(attempt=2)
    harness.settle()
    assert "progress" not in harness.status


def test_resumes_count_pods_that_ran_once_each() -> None:
    harness = training()
    assert harness.status["resumes"] == 0
    for number in (2, 3):
        harness.pod(lambda pod: pod.exited(1), number - 1)
        harness.settle()
        harness.pod(Pod.running, number)
        harness.settle()
        harness.go(3)
        assert harness.status["resumes"] == number - 1
    harness.pods = harness.pods[-1:]
    harness.settle()
    assert harness.status["resumes"] == 2


TIMES = [(0, "0s"), (40.4, "40s"), (59.6, "1m"), (700, "12m"), (3599, "1h"), (3600, "1h"), (3900, "1h5m"), (-3, "0s")]


@pytest.mark.parametrize(("seconds", "text"), TIMES)
def test_times_for_people(seconds: float, text: str) -> None:
    assert humanised(seconds) == text


@pytest.mark.parametrize(("loss", "shown"), [(0.312345, 0.3123), (12.34567, 12.35), (0.000123456, 0.0001235), (0, 0)])
def test_losses_have_four_digits(loss: float, shown: float) -> None:
    assert rounded(loss) == shown


def test_percent_never_falls_when_another_pod_takes_the_run_up() -> None:
    harness = training()
    harness.facts["progress"] = report(harness, percent=60)
    harness.settle()
    harness.facts["progress"] = report(harness, percent=4, stage="load", step=0)
    harness.settle()
    assert (harness.status["progress"]["percent"], harness.status["progress"]["stage"]) == (60, "load")
