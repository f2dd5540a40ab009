"""Random scenarios: whatever happens in any order, at most one Job, ends are final, the status is well formed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from modelyard import names
from modelyard.api.finetunejob import FineTuneJobStatus
from modelyard.decision import Answer
from tests.builders import Job, Pod, a_dataset, a_listing, a_profile
from tests.unit.resources.finetunejob.harness import JobHarness

DOWN = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")
Step = Callable[[JobHarness], Any]


def with_job(step: Step) -> Step:
    return lambda harness: step(harness) if harness.named("Job") else None


def publish(harness: JobHarness) -> None:
    if "run" in harness.status:
        harness.publish()


def pod(change: Callable[[Pod], Pod]) -> Step:
    def step(harness: JobHarness) -> None:
        numbers = [int(p["metadata"]["name"][-5:]) for p in harness.pods]
        last = max(numbers, default=0)
        ended = not numbers or harness.pods[-1]["status"]["phase"] in ("Failed", "Succeeded")
        harness.pod(change, last + 1 if ended else last)

    return with_job(step)


STEPS: list[Step] = [
    pod(Pod.running),
    pod(lambda p: p.waiting("ErrImagePull", "not found")),
    pod(lambda p: p.exited(1, "boom")),
    pod(lambda p: p.exited(11)),
    pod(Pod.evicted),
    pod(Pod.oom),
    with_job(lambda harness: harness.job(Job.succeeded)),
    with_job(lambda harness: harness.job(Job.failed)),
    with_job(lambda harness: harness.remove("Job", harness.named("Job")[0])),
    with_job(lambda harness: harness.remove("ConfigMap", harness.named("Job")[0])),
    lambda harness: harness.pods.clear(),
    publish,
    lambda harness: harness.facts.update(manifest=DOWN),
    lambda harness: harness.facts.update(manifest=None),
    lambda harness: harness.facts.update(listing=DOWN),
    lambda harness: harness.facts.update(listing=a_listing()),
    lambda harness: harness.put(a_dataset()),
    lambda harness: harness.put(a_dataset().prepared()),
    lambda harness: harness.remove("TrainingProfile", "default"),
    lambda harness: harness.put(a_profile()),
    lambda harness: harness.put(a_profile(trainer={"image": "modelyard/trainer:2"})),
    lambda harness: harness.edit(suspend=True),
    lambda harness: harness.edit(suspend=False),
    lambda harness: harness.edit(resources={"cpu": 1, "memory": "1Gi"}),
    lambda harness: harness.edit(attempt=harness.obj["spec"].get("attempt", 1) + 1),
    lambda harness: harness.edit(task="juggling"),
    lambda harness: harness.edit(task="text-classification"),
    lambda harness: harness.remove("ModelVersion", "reviews-7"),
]


def well_formed(harness: JobHarness) -> None:
    FineTuneJobStatus.model_validate(harness.status)
    found = {c["type"]: c["status"] for c in harness.status["conditions"]}
    assert "Ready" in found
    assert not {"Reconciling", "Stalled"} <= set(found)
    assert all(status == "True" for type_, status in found.items() if type_ != "Ready")
    assert harness.message
    assert harness.status["observedGeneration"] == harness.obj["metadata"]["generation"]


def once(harness: JobHarness) -> None:
    """One Job, and no living pod of its run that is not its own."""
    assert len(harness.named("Job")) <= 1
    if not harness.named("Job"):
        return
    meta = harness.job()["metadata"]
    run = [p for p in harness.pods if p["metadata"]["labels"][names.LABEL_RUN] == meta["labels"][names.LABEL_RUN]]
    live = [p for p in run if p["status"]["phase"] in ("Pending", "Running")]
    assert {p["metadata"]["ownerReferences"][0]["uid"] for p in live} <= {meta["uid"]}


@pytest.mark.parametrize("seed", range(25))
def test_invariants_hold_in_a_random_scenario(seed: int) -> None:
    dice, harness = random.Random(seed), JobHarness()
    ends: dict[str, tuple[str, str | None]] = {}
    for _ in range(30):
        dice.choice(STEPS)(harness)
        harness.go(dice.randint(1, 3))
        well_formed(harness)
        once(harness)
        run = harness.status.get("run")
        if run and run["id"] in ends:
            assert ends[run["id"]] == (run["state"], run.get("finishedAt"))
        elif run and run["state"] != "Running":
            ends[run["id"]] = (run["state"], run["finishedAt"])
    harness.settle()
