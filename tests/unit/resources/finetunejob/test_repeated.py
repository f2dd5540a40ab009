"""A failure that repeats identically, with nothing done in between, is not tried again and again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from modelyard import names
from modelyard.api.run import ExitCode
from tests.builders import Pod
from tests.unit.resources.finetunejob.harness import JobHarness, training

End = Callable[[Pod], Pod]


def told(message: str = "IndexError: index out of range", stage: str = "train", step: int = 0, code: int = 1) -> End:
    """The trainer's own words."""
    reason = names.STORE_UNAVAILABLE if code == ExitCode.STORE_UNAVAILABLE else names.TRAINER_FAILED
    words = {"outcome": "failed", "reason": reason, "message": message, "stage": stage, "step": step}
    return lambda pod: pod.exited(code, json.dumps(words))


def ended(*ends: End) -> JobHarness:
    """Pods that started and ended, one after the other."""
    harness = training()
    for number, end in enumerate(ends, 1):
        harness.pod(Pod.running, number)
        harness.settle()
        harness.pod(end, number)
        harness.settle()
    return harness


@pytest.mark.parametrize(
    "ends",
    [
        (told(), told()),
        (told(step=40), told(step=40)),
        (told(step=40), told(step=20)),  # it went on from a checkpoint and came no further
        (told("at <Module at 0x7f31aa>"), told("at <Module at 0x7fc2bb>")),
        (told("boom"), told(), told()),
        (lambda pod: pod.exited(1, "Traceback\nboom"), lambda pod: pod.exited(1, "Traceback\nboom")),
    ],
)
def test_twice_the_same_ends_the_run(ends: tuple[End, ...]) -> None:
    harness = ended(*ends)
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.TRAINER_FAILED, True, "Failed")
    assert "the same failure twice in a row, so it is not tried again" in harness.message
    assert "spec.attempt: 2" in harness.message
    assert harness.job()["spec"]["suspend"] is True
    assert harness.status["resumes"] == len(ends) - 1


@pytest.mark.parametrize(
    "ends",
    [
        (told(),),
        (told(), told("another")),
        (told(), told(stage="evaluate")),
        (told(step=40), told(step=41)),  # it came further
        (told(), Pod.evicted, told()),
        (told(), lambda pod: pod.exited(137, "")),
        (lambda pod: pod.exited(137, ""), lambda pod: pod.exited(137, "")),  # killed from outside
        (lambda pod: pod.exited(143, ""), lambda pod: pod.exited(143, "")),
        (told(code=30), told(code=30)),  # the store may come back
        (told(), Pod.running),
    ],
)
def test_what_is_not_the_same_goes_on(ends: tuple[End, ...]) -> None:
    harness = ended(*ends)
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.TRAINING, False, "Running")


def test_the_words_of_a_foreign_trainer_count_only_where_no_step_was_done() -> None:
    harness = training()
    harness.facts["progress"] = {"run": harness.run["id"], "pod": "p", "stage": "train", "step": 10, "steps": 20}
    harness.settle()
    for number in (1, 2):
        harness.pod(lambda pod: pod.exited(1, "boom"), number)
        harness.settle()
    assert harness.run["state"] == "Running"


def test_what_the_store_holds_counts_more() -> None:
    harness = ended(told())
    harness.publish()
    harness.pod(told(), 2)
    harness.settle()
    assert harness.run["state"] == "Succeeded"
