from __future__ import annotations

import json
from typing import Any

import pytest

from modelyard import names
from modelyard.api.run import PrepareConfig
from modelyard.decision import Answer
from modelyard.resources import hashes
from modelyard.resources.dataset import RECONCILER
from modelyard.resources.recheck import LASTING
from modelyard.resources.run_job import MOST_CONFIG
from tests.builders import Dataset, Job, Pod, a_dataset, a_profile, published_rows
from tests.unit.resources.harness import Harness

CLASSES = {"negative": {"train": 32, "validation": 4, "test": 4}, "positive": {"train": 48, "validation": 6, "test": 6}}
S3 = {"s3": {"uri": "s3://data/reviews/"}}


def a_harness(obj: Dataset | None = None, *, profile: bool = True) -> Harness:
    return Harness(RECONCILER, obj or a_dataset(), *([a_profile()] if profile else []))


def started() -> Harness:
    harness = a_harness()
    harness.settle()
    return harness


def config(harness: Harness) -> PrepareConfig:
    (name,) = harness.named("ConfigMap")
    return PrepareConfig.model_validate(json.loads(harness.children["ConfigMap", name]["data"]["run.json"]))


def test_from_spec_to_prepared_rows() -> None:
    harness = started()
    assert (harness.reason, harness.status["phase"]) == (names.WAITING_FOR_POD, "Pending")
    harness.pod(Pod.running)
    harness.settle()
    assert (harness.reason, harness.status["phase"]) == (names.PREPARING, "Preparing")
    harness.pod(lambda pod: pod.exited(0))
    harness.job(Job.succeeded)
    harness.facts["manifest"] = published_rows()
    harness.settle()
    assert (harness.reason, harness.status["phase"], harness.ready["status"]) == (names.PREPARED, "Prepared", "True")
    assert harness.status["rows"] == {"train": 80, "validation": 10, "test": 10}
    assert harness.status["classes"] == CLASSES
    assert harness.status["removed"] == {"duplicate": 3}
    assert harness.status["digest"] == "sha256:" + "d" * 64
    assert harness.status["prefix"] == config(harness).prefix
    assert harness.status["observedGeneration"] == 1
    assert harness.named("Job")
    assert harness.writes == 4


def test_prepared_stays_prepared_and_asks_nothing() -> None:
    harness = a_harness()
    harness.facts["manifest"] = published_rows()
    harness.settle()
    harness.facts["manifest"] = None
    harness.remove("TrainingProfile", names.DEFAULT_PROFILE)
    harness.asked.clear()
    writes = harness.writes
    harness.go(3)
    assert (harness.reason, harness.asked, harness.writes) == (names.PREPARED, [], writes)


def test_rows_that_the_store_holds_are_adopted_without_a_job() -> None:
    harness = a_harness(profile=False)
    harness.facts["manifest"] = published_rows()
    harness.settle()
    assert (harness.reason, harness.named("Job"), harness.writes) == (names.PREPARED, [], 2)


BAD_MANIFESTS = [
    {**published_rows(), "manifest": {"kind": "dataset"}},
    {**published_rows(), "manifest": {**published_rows()["manifest"], "kind": "model"}},
    {**published_rows(), "manifest": {**published_rows()["manifest"], "info": {}}},
]


@pytest.mark.parametrize("stored", BAD_MANIFESTS)
def test_what_cannot_be_these_rows_is_refused(stored: dict[str, Any]) -> None:
    harness = a_harness()
    harness.facts["manifest"] = stored
    harness.settle()
    harness.wait(LASTING)
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.CORRUPT, True, [])
    assert "spec.revision: 2" in harness.message


CHANGES: list[tuple[dict[str, Any], bool]] = [
    ({"revision": 2}, True),
    ({"source": {"s3": {"uri": "s3://data/others/"}}}, True),
    ({"prepare": [{"split": {"test": 0.3}}]}, True),
    ({"resources": {"cpu": 4, "memory": "8Gi"}}, False),
    ({"profile": "big"}, False),
]


@pytest.mark.parametrize(("change", "again"), CHANGES)
def test_only_what_decides_the_content_prepares_again(change: dict[str, Any], again: bool) -> None:
    harness = a_harness()
    harness.facts["manifest"] = published_rows()
    harness.settle()
    harness.facts["manifest"] = None
    harness.edit(**change)
    harness.settle()
    assert (harness.reason != names.PREPARED) is again
    assert ("digest" not in harness.status) is again


def test_a_changed_spec_replaces_the_job_of_the_old_one() -> None:
    harness = started()
    before = harness.named("Job")
    harness.pod(Pod.running)
    harness.edit(revision=2)
    harness.settle()
    assert harness.named("Job") != before
    assert len(harness.named("Job")) == len(harness.named("ConfigMap")) == 1


def test_a_failure_tells_the_pods_words_and_stays_until_the_spec_changes() -> None:
    harness = started()
    harness.pod(lambda pod: pod.told(11, names.BAD_DATA, "column stars is missing: set source.columns.label"))
    harness.job(lambda job: job.failed("PodFailurePolicy"))
    harness.settle()
    assert (harness.reason, harness.stalled, harness.status["phase"]) == (names.BAD_DATA, True, "Failed")
    assert "set source.columns.label" in harness.message
    assert "spec.revision: 2" in harness.message
    harness.remove("Job", harness.named("Job")[0])
    harness.settle()
    assert (harness.reason, harness.named("Job")) == (names.BAD_DATA, [])
    harness.edit(revision=2)
    harness.settle()
    assert (harness.reason, harness.stalled, len(harness.named("Job"))) == (names.WAITING_FOR_POD, False, 1)


def test_memory_ends_it_at_once_and_the_job_is_held_for_its_logs() -> None:
    harness = started()
    harness.pod(Pod.oom)
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.OUT_OF_MEMORY, True)
    assert "raise spec.resources.memory (now 1Gi) and set spec.revision: 2" in harness.message
    assert harness.job()["spec"]["suspend"] is True


def test_a_failed_try_is_told_while_the_next_one_goes_on() -> None:
    harness = started()
    harness.pod(lambda pod: pod.exited(1, "boom"))
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.PREPARING, False)
    assert "exit code 1: boom" in harness.message


def test_the_same_failure_twice_in_a_row_ends_the_preparation() -> None:
    harness = started()
    for number in (1, 2):
        harness.pod(lambda pod: pod.told(1, names.TRAINER_FAILED, "KeyError: 'label'"), number)
        harness.settle()
    assert (harness.reason, harness.stalled) == (names.TRAINER_FAILED, True)
    assert "KeyError" in harness.message and "the same failure twice in a row" in harness.message
    assert harness.job()["spec"]["suspend"] is True


def test_success_without_rows_is_a_failure() -> None:
    harness = started()
    harness.job(Job.succeeded)
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.PUBLISHING, False)
    harness.wait(LASTING)
    assert (harness.reason, harness.stalled) == (names.TRAINER_FAILED, True)
    assert "nothing is published" in harness.message


def test_rows_that_the_store_did_not_know_once_are_taken() -> None:
    harness = started()
    harness.job(Job.succeeded)
    harness.settle()
    harness.facts["manifest"] = published_rows()
    harness.wait(LASTING)
    assert harness.reason == names.PREPARED
    assert "suspectSince" not in harness.obj["status"]


OUTAGES = [
    (Answer(reason=names.STORE_UNAVAILABLE, message="no answer"), names.STORE_UNAVAILABLE, False),
    (Answer(reason=names.STORE_DENIED, message="the key may not"), names.STORE_DENIED, True),
]


@pytest.mark.parametrize(("answer", "reason", "stalled"), OUTAGES)
def test_a_store_that_does_not_answer_is_not_an_empty_store(answer: Answer, reason: str, stalled: bool) -> None:
    harness = started()
    harness.job(Job.succeeded)
    harness.facts["manifest"] = answer
    harness.settle()
    assert (harness.reason, harness.stalled) == (reason, stalled)
    assert harness.last.wake_after is not None
    assert 2 <= harness.last.wake_after <= 30
    harness.facts["manifest"] = published_rows()
    harness.settle()
    assert harness.reason == names.PREPARED


WAITS = [
    (lambda pod: pod.waiting("ErrImagePull", "not found"), names.IMAGE_PULL, True),
    (lambda pod: pod.waiting("CreateContainerConfigError", 'secret "s" not found'), names.SECRET_MISSING, True),
    (lambda pod: pod.unschedulable(), names.UNSCHEDULABLE, False),
]


@pytest.mark.parametrize(("state", "reason", "stalled"), WAITS)
def test_a_pod_that_cannot_start_is_named_and_recovers(state: Any, reason: str, stalled: bool) -> None:
    harness = started()
    harness.pod(state)
    harness.settle()
    assert (harness.reason, harness.stalled) == (reason, stalled)
    harness.pod(Pod.running)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.births) == (names.PREPARING, False, 2)


def test_what_waits_for_room_is_told_how_much_there_is() -> None:
    harness = started()
    harness.facts["capacity"] = {"memory": {"most": 1024.0, "free": 0.0}}
    asks = [{"name": "trainer", "resources": {"requests": {"memory": "1Gi"}}}]
    harness.pod(lambda pod: pod.unschedulable().but("spec.containers", asks))
    harness.settle()
    assert "1Gi memory asked, no node has any" in harness.message and "wait until" not in harness.message


def test_a_missing_profile_is_waited_for() -> None:
    harness = a_harness(profile=False)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.PROFILE_NOT_FOUND, True, [])
    harness.put(a_profile())
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.WAITING_FOR_POD, False)


def test_a_profile_that_goes_away_does_not_touch_the_job() -> None:
    harness = started()
    harness.pod(Pod.running)
    harness.remove("TrainingProfile", names.DEFAULT_PROFILE)
    harness.settle()
    assert (harness.reason, harness.deaths) == (names.PREPARING, 0)


def test_a_deleted_job_is_made_again_once_its_pods_are_gone() -> None:
    harness = started()
    pod = harness.pod(Pod.running)
    harness.remove("Job", harness.named("Job")[0])
    harness.settle()
    assert harness.named("Job") == []
    harness.pods.remove(pod)
    harness.settle()
    assert len(harness.named("Job")) == 1


@pytest.mark.parametrize("ran", [False, True])
def test_changed_resources_replace_a_job_only_before_its_pod_ran(ran: bool) -> None:
    harness = started()
    harness.pod(Pod.running if ran else lambda pod: pod.waiting("ErrImagePull"))
    harness.edit(resources={"cpu": 1, "memory": "2Gi"})
    harness.settle()
    container = harness.job()["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["memory"] == ("1Gi" if ran else "2Gi")


def test_a_refused_child_is_told() -> None:
    harness = a_harness()
    harness.go()
    name = harness.named("Job")[0]
    harness.remove("Job", name)
    harness.refused = {("Job", name): "exceeded quota: jobs"}
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.QUOTA, True)
    assert "exceeded quota: jobs" in harness.message
    harness.refused = {}
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD


def test_an_invalid_spec_is_told_and_nothing_is_touched() -> None:
    harness = started()
    harness.edit(task="juggling")
    harness.settle()
    assert (harness.reason, harness.stalled, harness.deaths) == (names.INVALID_SPEC, True, 0)
    assert "spec.task" in harness.message


def test_the_pod_gets_its_config_and_the_keys_of_store_and_source() -> None:
    harness = a_harness(a_dataset(source={"s3": {"uri": "s3://data/r/", "secret": "their-key"}}))
    harness.put(a_profile(store={"secret": "team-key"}))
    harness.settle()
    assert config(harness).source.s3 is not None
    assert config(harness).steps[0].dump() == {"clean": {"minChars": 1, "normalize": "nfkc"}}
    env = {e["name"]: e for e in harness.job()["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "team-key"
    assert env["SOURCE_AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "their-key"


SECRETS = [({"s3": {"uri": "s3://data/r/"}}, "team-key"), ({"inline": [{"text": "a", "label": "b"}]}, None)]


@pytest.mark.parametrize(("source", "secret"), SECRETS)
def test_without_a_secret_of_its_own_the_source_is_read_with_the_stores(source: Any, secret: str | None) -> None:
    harness = a_harness(a_dataset(source=source))
    harness.put(a_profile(store={"secret": "team-key"}))
    harness.settle()
    env = {e["name"]: e for e in harness.job()["spec"]["template"]["spec"]["containers"][0]["env"]}
    found = env.get("SOURCE_AWS_ACCESS_KEY_ID")
    assert (found and found["valueFrom"]["secretKeyRef"]["name"]) == secret


@pytest.mark.parametrize("name", ["a", "x" * 253, "with.dots." + "y" * 200])
def test_any_name_fits(name: str) -> None:
    harness = a_harness(a_dataset(name))
    harness.settle()
    assert len(harness.named("Job")[0]) <= 52
    assert "." not in harness.named("Job")[0]


def test_the_same_spec_always_lies_under_the_same_prefix() -> None:
    """A golden value: another one would prepare everything again at the next upgrade of the operator."""
    harness = started()
    assert harness.status["prepareId"] == "5242bc614a"


def inline(sign: str, length: int, rows: int = 200) -> dict[str, Any]:
    label = ("good", "bad")
    return {"inline": [{"text": f"{row} {sign * length}", "label": label[row % 2]} for row in range(rows)]}


@pytest.mark.parametrize(
    ("sign", "length", "fits"),
    [
        ("x", 4000, True),
        ("\u0436", 2500, True),
        ("\u8a33", 1700, True),
        ("\u8a33", 1800, False),
        ("\u0436", 4000, False),
    ],
)
def test_rows_in_the_object_count_as_they_are_stored(sign: str, length: int, fits: bool) -> None:
    harness = a_harness(a_dataset(source=inline(sign, length)))
    harness.settle()
    assert bool(harness.named("Job")) is bool(harness.named("ConfigMap")) is fits
    if fits:
        (name,) = harness.named("ConfigMap")
        data = harness.children["ConfigMap", name]["data"]
        assert sum(len(text.encode()) for text in data.values()) <= MOST_CONFIG
        assert config(harness).source.inline[7].text.endswith(sign)  # type: ignore[index, union-attr]
        return
    assert (harness.reason, harness.stalled) == (names.INVALID_SPEC, True)
    assert "spec.source.inline: 200 rows take" in harness.message
    assert "at most 1024 KiB" in harness.message
    assert "spec.source.s3" in harness.message
    harness.edit(source=inline(sign, 100))
    harness.settle()
    assert (harness.stalled, len(harness.named("Job"))) == (False, 1)


def test_a_preparation_stays_under_its_rule_and_the_next_takes_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = started()
    before, jobs = harness.status["prepareId"], harness.named("Job")
    assert harness.status["hashVersion"] == 1
    monkeypatch.setitem(hashes.RULES, 2, hashes.Rule(write=lambda value: f"second: {value!r}"))
    harness.settle()
    assert (harness.status["prepareId"], harness.status["hashVersion"], harness.named("Job")) == (before, 1, jobs)
    harness.edit(revision=2)
    harness.settle()
    assert harness.status["hashVersion"] == 2 and harness.status["prepareId"] != before
