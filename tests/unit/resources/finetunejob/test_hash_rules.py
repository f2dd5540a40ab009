"""A run is compared under the rule it was made with; who trains it enters its id, and starts nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelyard import names
from modelyard.api.deciding import ALWAYS, DATASET, FINETUNEJOB, Table
from modelyard.resources import hashes
from tests.builders import a_dataset, a_finetunejob, a_profile
from tests.unit.resources.finetunejob.harness import JobHarness, started, succeeded, training

DIGEST = "registry/mine@sha256:" + "a" * 64
ROWS = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(4)]
INLINE = {"inline": {"task": "text-classification", "source": {"inline": ROWS}}}


def plant_a_second_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """One to which the profile matters too, and which writes all down in another way."""
    rules = []
    for table in (FINETUNEJOB, DATASET):
        rules.append(Table({**table.deciding, "profile": ALWAYS}, table.other - {"profile"}))
    rule = hashes.Rule(job=rules[0], dataset=rules[1], write=lambda value: f"second: {value!r}")
    monkeypatch.setitem(hashes.RULES, 2, rule)


@pytest.mark.parametrize("make", [started, training, succeeded])
def test_an_existing_run_stays_under_its_rule_and_a_new_one_takes_the_newest(
    make: Callable[[], JobHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = make()
    before, job = harness.run, harness.job()["metadata"]["uid"]
    assert before["hashVersion"] == 1
    plant_a_second_rule(monkeypatch)
    harness.settle()
    assert (harness.run, harness.job()["metadata"]["uid"]) == (before, job)
    harness.edit(attempt=2)
    harness.settle()
    assert harness.run["hashVersion"] == 2 and harness.run["id"] != before["id"]


def test_an_inline_dataset_is_not_renamed_by_a_newer_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = JobHarness(a_finetunejob(dataset=INLINE), a_profile())
    harness.settle()
    before = harness.named("Dataset")
    plant_a_second_rule(monkeypatch)
    harness.settle()
    assert len(before) == 1 and harness.named("Dataset") == before


def test_a_run_of_a_newer_rule_stands() -> None:
    harness = training()
    made = {**harness.run, "hashVersion": 99, "specHash": "made otherwise"}
    harness.obj["status"] = {**harness.status, "run": made}
    before = harness.run["id"]
    harness.settle()
    assert (harness.run["id"], harness.run["hashVersion"]) == (before, 99)


def mine(image: str = DIGEST, **trainer: Any) -> Any:
    return a_profile(trainer={"image": image, "command": ["train"], "args": ["--fast"], **trainer})


def made_with(profile: Any, uid: str = "uid-1") -> JobHarness:
    job = a_finetunejob()
    job["metadata"]["uid"] = uid
    harness = JobHarness(job, profile, a_dataset().prepared())
    harness.settle()
    return harness


def test_a_foreign_trainer_enters_the_id() -> None:
    ids = [
        made_with(profile).run["id"]
        for profile in (
            a_profile(),
            mine(),
            mine("registry/mine@sha256:" + "b" * 64),
            mine(command=["other"]),
            mine(args=["--slow"]),
        )
    ]
    assert len(set(ids)) == len(ids)


def test_our_own_trainers_image_does_not() -> None:
    other = a_profile(trainer={"image": "modelyard/trainer:2"})
    assert made_with(other).run["id"] == made_with(a_profile()).run["id"]


def test_only_a_digest_lets_another_object_adopt_the_result() -> None:
    assert made_with(mine(), "uid-1").run["id"] == made_with(mine(), "uid-2").run["id"]
    tagged = mine("registry/mine:1")
    assert made_with(tagged, "uid-1").run["id"] != made_with(tagged, "uid-2").run["id"]


def test_an_edited_profile_starts_nothing_once_a_pod_ran() -> None:
    harness = JobHarness(a_finetunejob(), mine(), a_dataset().prepared())
    harness.settle()
    harness.pod(lambda pod: pod.running())
    harness.settle()
    before, job = harness.run, harness.job()["metadata"]["uid"]
    harness.put(mine(args=["--slow"]))
    harness.settle()
    assert (harness.run, harness.job()["metadata"]["uid"]) == (before, job)


def test_until_a_pod_ran_the_run_follows_the_trainer_with_its_id() -> None:
    harness = made_with(mine())
    before = harness.run["id"]
    harness.put(mine(args=["--slow"]))
    harness.settle()
    assert harness.run["id"] == made_with(mine(args=["--slow"])).run["id"] != before
    assert (harness.reason, len(harness.named("Job"))) == (names.WAITING_FOR_POD, 1)


def test_until_a_pod_ran_an_edit_that_decides_nothing_renames_no_run_of_a_tag() -> None:
    harness = made_with(mine("registry/mine:1"))
    before = harness.run["id"]
    harness.edit(checkpoint={"every": "1m"})
    harness.settle()
    assert harness.run["id"] == before
