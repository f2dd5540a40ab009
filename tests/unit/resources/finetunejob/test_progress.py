from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Answer
from modelyard.resources.finetunejob.progress import humanised, rounded
from tests.builders import Pod
from tests.unit.resources.finetunejob.yard import Yard, started, training


def report(yard: Yard, **more: Any) -> dict[str, Any]:
    fields = {"run": yard.run["id"], "pod": "p", "stage": "train", "step": 410, "steps": 1000}
    return {**fields, "loss": 0.312345, "secondsLeft": 700.0, "epoch": 0.41, **more}


def test_progress_is_shown_while_a_pod_runs() -> None:
    yard = training()
    yard.facts["progress"] = report(yard)
    yard.settle()
    shown = {"percent": 41, "step": 410, "steps": 1000, "eta": "12m", "loss": 0.3123, "stage": "train", "epoch": 0.41}
    assert yard.status["progress"] == shown
    assert yard.last.wake_after is None, "the endpoint wakes it"


def test_nothing_is_asked_before_a_pod_runs() -> None:
    yard = started()
    assert [fact for fact in yard.asked if fact.name == "progress"] == []


ODD: list[dict[str, Any]] = [
    {"run": "another"},
    {"step": "many"},
    {"stage": 7},
]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_about_this_run_is_ignored(odd: dict[str, Any]) -> None:
    yard = training()
    yard.facts["progress"] = report(yard, **odd)
    yard.settle()
    assert "progress" not in yard.status


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
    yard = training()
    yard.facts["progress"] = report(yard, **fields)
    yard.settle()
    assert {name: yard.status["progress"].get(name) for name in shown} == shown


def test_the_last_progress_stands_through_an_outage_and_between_pods() -> None:
    yard = training()
    yard.facts["progress"] = report(yard)
    yard.settle()
    yard.facts["progress"] = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")
    yard.settle()
    assert (yard.reason, yard.status["progress"]["step"]) == (names.TRAINING, 410)
    yard.pod(lambda pod: pod.exited(1, "boom"))
    yard.settle()
    assert (yard.status["progress"]["step"], yard.status["progress"].get("eta")) == (410, None)
    assert "boom" in yard.message


def test_a_new_run_starts_from_nothing() -> None:
    yard = training()
    yard.facts["progress"] = report(yard)
    yard.settle()
    yard.edit(attempt=2)
    yard.settle()
    assert "progress" not in yard.status


def test_resumes_count_pods_that_ran_once_each() -> None:
    yard = training()
    assert yard.status["resumes"] == 0
    for number in (2, 3):
        yard.pod(lambda pod: pod.exited(1), number - 1)
        yard.settle()
        yard.pod(Pod.running, number)
        yard.settle()
        yard.go(3)
        assert yard.status["resumes"] == number - 1
    yard.pods = yard.pods[-1:]
    yard.settle()
    assert yard.status["resumes"] == 2


TIMES = [(0, "0s"), (40.4, "40s"), (59.6, "1m"), (700, "12m"), (3599, "1h"), (3600, "1h"), (3900, "1h5m"), (-3, "0s")]


@pytest.mark.parametrize(("seconds", "text"), TIMES)
def test_times_for_people(seconds: float, text: str) -> None:
    assert humanised(seconds) == text


@pytest.mark.parametrize(("loss", "shown"), [(0.312345, 0.3123), (12.34567, 12.35), (0.000123456, 0.0001235), (0, 0)])
def test_losses_have_four_digits(loss: float, shown: float) -> None:
    assert rounded(loss) == shown


def test_percent_never_falls_when_another_pod_takes_the_run_up() -> None:
    yard = training()
    yard.facts["progress"] = report(yard, percent=60)
    yard.settle()
    yard.facts["progress"] = report(yard, percent=4, stage="load", step=0)
    yard.settle()
    assert (yard.status["progress"]["percent"], yard.status["progress"]["stage"]) == (60, "load")
