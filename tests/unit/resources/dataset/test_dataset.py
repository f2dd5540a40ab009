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
from tests.unit.resources.lab import Lab

CLASSES = {"negative": {"train": 32, "validation": 4, "test": 4}, "positive": {"train": 48, "validation": 6, "test": 6}}
S3 = {"s3": {"uri": "s3://data/reviews/"}}


def lab(obj: Dataset | None = None, *, profile: bool = True) -> Lab:
    return Lab(RECONCILER, obj or a_dataset(), *([a_profile()] if profile else []))


def started() -> Lab:
    yard = lab()
    yard.settle()
    return yard


def config(yard: Lab) -> PrepareConfig:
    (name,) = yard.named("ConfigMap")
    return PrepareConfig.model_validate(json.loads(yard.children["ConfigMap", name]["data"]["run.json"]))


def test_from_spec_to_prepared_rows() -> None:
    yard = started()
    assert (yard.reason, yard.status["phase"]) == (names.WAITING_FOR_POD, "Pending")
    yard.pod(Pod.running)
    yard.settle()
    assert (yard.reason, yard.status["phase"]) == (names.PREPARING, "Preparing")
    yard.pod(lambda pod: pod.exited(0))
    yard.job(Job.succeeded)
    yard.facts["manifest"] = published_rows()
    yard.settle()
    assert (yard.reason, yard.status["phase"], yard.ready["status"]) == (names.PREPARED, "Prepared", "True")
    assert yard.status["rows"] == {"train": 80, "validation": 10, "test": 10}
    assert yard.status["classes"] == CLASSES
    assert yard.status["removed"] == {"duplicate": 3}
    assert yard.status["digest"] == "sha256:" + "d" * 64
    assert yard.status["prefix"] == config(yard).prefix
    assert yard.status["observedGeneration"] == 1
    assert yard.named("Job")
    assert yard.writes == 4


def test_prepared_stays_prepared_and_asks_nothing() -> None:
    yard = lab()
    yard.facts["manifest"] = published_rows()
    yard.settle()
    yard.facts["manifest"] = None
    yard.remove("TrainingProfile", names.DEFAULT_PROFILE)
    yard.asked.clear()
    writes = yard.writes
    yard.go(3)
    assert (yard.reason, yard.asked, yard.writes) == (names.PREPARED, [], writes)


def test_rows_that_the_store_holds_are_adopted_without_a_job() -> None:
    yard = lab(profile=False)
    yard.facts["manifest"] = published_rows()
    yard.settle()
    assert (yard.reason, yard.named("Job"), yard.writes) == (names.PREPARED, [], 2)


BAD_MANIFESTS = [
    {**published_rows(), "manifest": {"kind": "dataset"}},
    {**published_rows(), "manifest": {**published_rows()["manifest"], "kind": "model"}},
    {**published_rows(), "manifest": {**published_rows()["manifest"], "info": {}}},
]


@pytest.mark.parametrize("stored", BAD_MANIFESTS)
def test_what_cannot_be_these_rows_is_refused(stored: dict[str, Any]) -> None:
    yard = lab()
    yard.facts["manifest"] = stored
    yard.settle()
    yard.wait(LASTING)
    assert (yard.reason, yard.stalled, yard.named("Job")) == (names.CORRUPT, True, [])
    assert "spec.revision: 2" in yard.message


CHANGES: list[tuple[dict[str, Any], bool]] = [
    ({"revision": 2}, True),
    ({"source": {"s3": {"uri": "s3://data/others/"}}}, True),
    ({"prepare": [{"split": {"test": 0.3}}]}, True),
    ({"resources": {"cpu": 4, "memory": "8Gi"}}, False),
    ({"profile": "big"}, False),
]


@pytest.mark.parametrize(("change", "again"), CHANGES)
def test_only_what_decides_the_content_prepares_again(change: dict[str, Any], again: bool) -> None:
    yard = lab()
    yard.facts["manifest"] = published_rows()
    yard.settle()
    yard.facts["manifest"] = None
    yard.edit(**change)
    yard.settle()
    assert (yard.reason != names.PREPARED) is again
    assert ("digest" not in yard.status) is again


def test_a_changed_spec_replaces_the_job_of_the_old_one() -> None:
    yard = started()
    before = yard.named("Job")
    yard.pod(Pod.running)
    yard.edit(revision=2)
    yard.settle()
    assert yard.named("Job") != before
    assert len(yard.named("Job")) == len(yard.named("ConfigMap")) == 1


def test_a_failure_tells_the_pods_words_and_stays_until_the_spec_changes() -> None:
    yard = started()
    yard.pod(lambda pod: pod.told(11, names.BAD_DATA, "column stars is missing: set source.columns.label"))
    yard.job(lambda job: job.failed("PodFailurePolicy"))
    yard.settle()
    assert (yard.reason, yard.stalled, yard.status["phase"]) == (names.BAD_DATA, True, "Failed")
    assert "set source.columns.label" in yard.message
    assert "spec.revision: 2" in yard.message
    yard.remove("Job", yard.named("Job")[0])
    yard.settle()
    assert (yard.reason, yard.named("Job")) == (names.BAD_DATA, [])
    yard.edit(revision=2)
    yard.settle()
    assert (yard.reason, yard.stalled, len(yard.named("Job"))) == (names.WAITING_FOR_POD, False, 1)


def test_memory_ends_it_at_once_and_the_job_is_held_for_its_logs() -> None:
    yard = started()
    yard.pod(Pod.oom)
    yard.settle()
    assert (yard.reason, yard.stalled) == (names.OUT_OF_MEMORY, True)
    assert "raise spec.resources.memory (now 1Gi) and set spec.revision: 2" in yard.message
    assert yard.job()["spec"]["suspend"] is True


def test_a_failed_try_is_told_while_the_next_one_goes_on() -> None:
    yard = started()
    yard.pod(lambda pod: pod.exited(1, "boom"))
    yard.settle()
    assert (yard.reason, yard.stalled) == (names.PREPARING, False)
    assert "exit code 1: boom" in yard.message


def test_the_same_failure_twice_in_a_row_ends_the_preparation() -> None:
    yard = started()
    for number in (1, 2):
        yard.pod(lambda pod: pod.told(1, names.TRAINER_FAILED, "KeyError: 'label'"), number)
        yard.settle()
    assert (yard.reason, yard.stalled) == (names.TRAINER_FAILED, True)
    assert "KeyError" in yard.message and "the same failure twice in a row" in yard.message
    assert yard.job()["spec"]["suspend"] is True


def test_success_without_rows_is_a_failure() -> None:
    yard = started()
    yard.job(Job.succeeded)
    yard.settle()
    assert (yard.reason, yard.stalled) == (names.PUBLISHING, False)
    yard.wait(LASTING)
    assert (yard.reason, yard.stalled) == (names.TRAINER_FAILED, True)
    assert "nothing is published" in yard.message


def test_rows_that_the_store_did_not_know_once_are_taken() -> None:
    yard = started()
    yard.job(Job.succeeded)
    yard.settle()
    yard.facts["manifest"] = published_rows()
    yard.wait(LASTING)
    assert yard.reason == names.PREPARED
    assert "suspectSince" not in yard.obj["status"]


OUTAGES = [
    (Answer(reason=names.STORE_UNAVAILABLE, message="no answer"), names.STORE_UNAVAILABLE, False),
    (Answer(reason=names.STORE_DENIED, message="the key may not"), names.STORE_DENIED, True),
]


@pytest.mark.parametrize(("answer", "reason", "stalled"), OUTAGES)
def test_a_store_that_does_not_answer_is_not_an_empty_store(answer: Answer, reason: str, stalled: bool) -> None:
    yard = started()
    yard.job(Job.succeeded)
    yard.facts["manifest"] = answer
    yard.settle()
    assert (yard.reason, yard.stalled) == (reason, stalled)
    assert yard.last.wake_after is not None
    assert 2 <= yard.last.wake_after <= 30
    yard.facts["manifest"] = published_rows()
    yard.settle()
    assert yard.reason == names.PREPARED


WAITS = [
    (lambda pod: pod.waiting("ErrImagePull", "not found"), names.IMAGE_PULL, True),
    (lambda pod: pod.waiting("CreateContainerConfigError", 'secret "s" not found'), names.SECRET_MISSING, True),
    (lambda pod: pod.unschedulable(), names.UNSCHEDULABLE, False),
]


@pytest.mark.parametrize(("state", "reason", "stalled"), WAITS)
def test_a_pod_that_cannot_start_is_named_and_recovers(state: Any, reason: str, stalled: bool) -> None:
    yard = started()
    yard.pod(state)
    yard.settle()
    assert (yard.reason, yard.stalled) == (reason, stalled)
    yard.pod(Pod.running)
    yard.settle()
    assert (yard.reason, yard.stalled, yard.births) == (names.PREPARING, False, 2)


def test_what_waits_for_room_is_told_how_much_there_is() -> None:
    yard = started()
    yard.facts["capacity"] = {"memory": {"most": 1024.0, "free": 0.0}}
    asks = [{"name": "trainer", "resources": {"requests": {"memory": "1Gi"}}}]
    yard.pod(lambda pod: pod.unschedulable().but("spec.containers", asks))
    yard.settle()
    assert "1Gi memory asked, no node has any" in yard.message and "wait until" not in yard.message


def test_a_missing_profile_is_waited_for() -> None:
    yard = lab(profile=False)
    yard.settle()
    assert (yard.reason, yard.stalled, yard.named("Job")) == (names.PROFILE_NOT_FOUND, True, [])
    yard.put(a_profile())
    yard.settle()
    assert (yard.reason, yard.stalled) == (names.WAITING_FOR_POD, False)


def test_a_profile_that_goes_away_does_not_touch_the_job() -> None:
    yard = started()
    yard.pod(Pod.running)
    yard.remove("TrainingProfile", names.DEFAULT_PROFILE)
    yard.settle()
    assert (yard.reason, yard.deaths) == (names.PREPARING, 0)


def test_a_deleted_job_is_made_again_once_its_pods_are_gone() -> None:
    yard = started()
    pod = yard.pod(Pod.running)
    yard.remove("Job", yard.named("Job")[0])
    yard.settle()
    assert yard.named("Job") == []
    yard.pods.remove(pod)
    yard.settle()
    assert len(yard.named("Job")) == 1


@pytest.mark.parametrize("ran", [False, True])
def test_changed_resources_replace_a_job_only_before_its_pod_ran(ran: bool) -> None:
    yard = started()
    yard.pod(Pod.running if ran else lambda pod: pod.waiting("ErrImagePull"))
    yard.edit(resources={"cpu": 1, "memory": "2Gi"})
    yard.settle()
    container = yard.job()["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["memory"] == ("1Gi" if ran else "2Gi")


def test_a_refused_child_is_told() -> None:
    yard = lab()
    yard.go()
    name = yard.named("Job")[0]
    yard.remove("Job", name)
    yard.refused = {("Job", name): "exceeded quota: jobs"}
    yard.settle()
    assert (yard.reason, yard.stalled) == (names.QUOTA, True)
    assert "exceeded quota: jobs" in yard.message
    yard.refused = {}
    yard.settle()
    assert yard.reason == names.WAITING_FOR_POD


def test_an_invalid_spec_is_told_and_nothing_is_touched() -> None:
    yard = started()
    yard.edit(task="juggling")
    yard.settle()
    assert (yard.reason, yard.stalled, yard.deaths) == (names.INVALID_SPEC, True, 0)
    assert "spec.task" in yard.message


def test_the_pod_gets_its_config_and_the_keys_of_store_and_source() -> None:
    yard = lab(a_dataset(source={"s3": {"uri": "s3://data/r/", "secret": "their-key"}}))
    yard.put(a_profile(store={"secret": "team-key"}))
    yard.settle()
    assert config(yard).source.s3 is not None
    assert config(yard).steps[0].dump() == {"clean": {"minChars": 1, "normalize": "nfkc"}}
    env = {e["name"]: e for e in yard.job()["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "team-key"
    assert env["SOURCE_AWS_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]["name"] == "their-key"


SECRETS = [({"s3": {"uri": "s3://data/r/"}}, "team-key"), ({"inline": [{"text": "a", "label": "b"}]}, None)]


@pytest.mark.parametrize(("source", "secret"), SECRETS)
def test_without_a_secret_of_its_own_the_source_is_read_with_the_stores(source: Any, secret: str | None) -> None:
    yard = lab(a_dataset(source=source))
    yard.put(a_profile(store={"secret": "team-key"}))
    yard.settle()
    env = {e["name"]: e for e in yard.job()["spec"]["template"]["spec"]["containers"][0]["env"]}
    found = env.get("SOURCE_AWS_ACCESS_KEY_ID")
    assert (found and found["valueFrom"]["secretKeyRef"]["name"]) == secret


@pytest.mark.parametrize("name", ["a", "x" * 253, "with.dots." + "y" * 200])
def test_any_name_fits(name: str) -> None:
    yard = lab(a_dataset(name))
    yard.settle()
    assert len(yard.named("Job")[0]) <= 52
    assert "." not in yard.named("Job")[0]


def test_the_same_spec_always_lies_under_the_same_prefix() -> None:
    """A golden value: another one would prepare everything again at the next upgrade of the operator."""
    yard = started()
    assert yard.status["prepareId"] == "5242bc614a"


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
    yard = lab(a_dataset(source=inline(sign, length)))
    yard.settle()
    assert bool(yard.named("Job")) is bool(yard.named("ConfigMap")) is fits
    if fits:
        (name,) = yard.named("ConfigMap")
        data = yard.children["ConfigMap", name]["data"]
        assert sum(len(text.encode()) for text in data.values()) <= MOST_CONFIG
        assert config(yard).source.inline[7].text.endswith(sign)  # type: ignore[index]
        return
    assert (yard.reason, yard.stalled) == (names.INVALID_SPEC, True)
    assert "spec.source.inline: 200 rows take" in yard.message
    assert "at most 1024 KiB" in yard.message
    assert "spec.source.s3" in yard.message
    yard.edit(source=inline(sign, 100))
    yard.settle()
    assert (yard.stalled, len(yard.named("Job"))) == (False, 1)


def test_a_preparation_stays_under_its_rule_and_the_next_takes_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    yard = started()
    before, jobs = yard.status["prepareId"], yard.named("Job")
    assert yard.status["hashVersion"] == 1
    monkeypatch.setitem(hashes.RULES, 2, hashes.Rule(write=lambda value: f"second: {value!r}"))
    yard.settle()
    assert (yard.status["prepareId"], yard.status["hashVersion"], yard.named("Job")) == (before, 1, jobs)
    yard.edit(revision=2)
    yard.settle()
    assert yard.status["hashVersion"] == 2 and yard.status["prepareId"] != before
