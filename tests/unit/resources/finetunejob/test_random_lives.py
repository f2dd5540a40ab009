"""Random lives: whatever happens in whatever order, at most one Job, ends are final, and the status is well formed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from modelyard import names
from modelyard.api.finetunejob import FineTuneJobStatus
from modelyard.decision import Answer
from tests.builders import Job, Pod, a_dataset, a_listing, a_profile
from tests.unit.resources.finetunejob.yard import Yard

DOWN = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")
Step = Callable[[Yard], Any]


def with_job(step: Step) -> Step:
    return lambda yard: step(yard) if yard.named("Job") else None


def publish(yard: Yard) -> None:
    if "run" in yard.status:
        yard.publish()


def pod(change: Callable[[Pod], Pod]) -> Step:
    def step(yard: Yard) -> None:
        numbers = [int(p["metadata"]["name"][-5:]) for p in yard.pods]
        last = max(numbers, default=0)
        ended = not numbers or yard.pods[-1]["status"]["phase"] in ("Failed", "Succeeded")
        yard.pod(change, last + 1 if ended else last)

    return with_job(step)


STEPS: list[Step] = [
    pod(Pod.running),
    pod(lambda p: p.waiting("ErrImagePull", "not found")),
    pod(lambda p: p.exited(1, "boom")),
    pod(lambda p: p.exited(11)),
    pod(Pod.evicted),
    pod(Pod.oom),
    with_job(lambda yard: yard.job(Job.succeeded)),
    with_job(lambda yard: yard.job(Job.failed)),
    with_job(lambda yard: yard.remove("Job", yard.named("Job")[0])),
    with_job(lambda yard: yard.remove("ConfigMap", yard.named("Job")[0])),
    lambda yard: yard.pods.clear(),
    publish,
    lambda yard: yard.facts.update(manifest=DOWN),
    lambda yard: yard.facts.update(manifest=None),
    lambda yard: yard.facts.update(listing=DOWN),
    lambda yard: yard.facts.update(listing=a_listing()),
    lambda yard: yard.put(a_dataset()),
    lambda yard: yard.put(a_dataset().prepared()),
    lambda yard: yard.remove("TrainingProfile", "default"),
    lambda yard: yard.put(a_profile()),
    lambda yard: yard.put(a_profile(trainer={"image": "modelyard/trainer:2"})),
    lambda yard: yard.edit(suspend=True),
    lambda yard: yard.edit(suspend=False),
    lambda yard: yard.edit(resources={"cpu": 1, "memory": "1Gi"}),
    lambda yard: yard.edit(attempt=yard.obj["spec"].get("attempt", 1) + 1),
    lambda yard: yard.edit(task="juggling"),
    lambda yard: yard.edit(task="text-classification"),
    lambda yard: yard.remove("ModelVersion", "reviews-7"),
]


def well_formed(yard: Yard) -> None:
    FineTuneJobStatus.model_validate(yard.status)
    found = {c["type"]: c["status"] for c in yard.status["conditions"]}
    assert "Ready" in found
    assert not {"Reconciling", "Stalled"} <= set(found)
    assert all(status == "True" for type_, status in found.items() if type_ != "Ready")
    assert yard.message
    assert yard.status["observedGeneration"] == yard.obj["metadata"]["generation"]


def once(yard: Yard) -> None:
    """One Job, and no living pod of its run that is not its own."""
    assert len(yard.named("Job")) <= 1
    if not yard.named("Job"):
        return
    meta = yard.job()["metadata"]
    run = [p for p in yard.pods if p["metadata"]["labels"][names.LABEL_RUN] == meta["labels"][names.LABEL_RUN]]
    live = [p for p in run if p["status"]["phase"] in ("Pending", "Running")]
    assert {p["metadata"]["ownerReferences"][0]["uid"] for p in live} <= {meta["uid"]}


@pytest.mark.parametrize("seed", range(25))
def test_invariants_hold_in_a_random_life(seed: int) -> None:
    dice, yard = random.Random(seed), Yard()
    ends: dict[str, tuple[str, str | None]] = {}
    for _ in range(30):
        dice.choice(STEPS)(yard)
        yard.go(dice.randint(1, 3))
        well_formed(yard)
        once(yard)
        run = yard.status.get("run")
        if run and run["id"] in ends:
            assert ends[run["id"]] == (run["state"], run.get("finishedAt"))
        elif run and run["state"] != "Running":
            ends[run["id"]] = (run["state"], run["finishedAt"])
    yard.settle()
