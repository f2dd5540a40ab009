"""How a run ends, for good: a version and its gate, adoption, or a failure with cause, field and remedy."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.api.run import FileEntry, format_digest
from modelyard.decision import Answer
from modelyard.resources.recheck import LASTING
from tests.builders import SHA, Built, Job, Pod, a_dataset, a_finetunejob, a_job, a_profile, a_published_model
from tests.unit.resources.finetunejob.yard import Yard, started, succeeded, training

STRICT = {"gate": {"require": [{"metric": "macro_f1", "min": 0.9}]}}
MILD = {"gate": {"require": [{"metric": "macro_f1", "min": 0.5}]}}
DOWN = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")


def version(yard: Yard) -> Built:
    return yard.others["ModelVersion", "reviews-7"]


# Success.


def test_a_verified_result_becomes_a_version() -> None:
    yard = succeeded()
    assert (yard.reason, yard.status["phase"], yard.ready["status"]) == (names.SUCCEEDED, "Succeeded", "True")
    assert (yard.status["version"], yard.status["gate"]) == ("reviews-7", "passed")
    assert yard.status["metric"] == "macro_f1 0.742"
    assert (yard.run["state"], yard.run["adopted"]) == ("Succeeded", False)
    assert yard.run["finishedAt"] > yard.run["startedAt"]
    spec = version(yard)["spec"]
    assert (spec["model"], spec["number"], spec["digest"], spec["size"]) == ("reviews", 7, SHA, 10)
    assert spec["uri"] == f"s3://modelyard/ns/team-a/models/reviews/runs/{yard.run['id']}/version/"
    pinned = yard.run["pinned"]
    assert spec["lineage"] == {
        "trained": {
            "run": yard.run["id"],
            "job": "reviews",
            "datasets": [{"name": pinned["dataset"]["name"], "digest": "sha256:" + "d" * 64}],
            "base": "sha256:" + "b" * 64,
            "parents": [],
            "image": "modelyard/trainer:1",
            "recipe": pinned["recipe"],
        }
    }
    assert [(found["set"], found["primary"]) for found in spec["metrics"]] == [("test", "macro_f1")]
    assert version(yard)["metadata"]["labels"][names.LABEL_MODEL] == "reviews"
    assert "ownerReferences" not in version(yard)["metadata"]
    assert len(yard.named("Job")) == 1


def test_each_format_of_a_version_has_the_digest_of_its_files() -> None:
    yard = training()
    stored = a_published_model(yard.run["id"], yard.run["model"])
    files = [{"path": path, "size": 10, "sha256": path[-1] * 64} for path in ("model.onnx", "model.safetensors")]
    stored["manifest"]["files"] += files
    yard.facts |= {"manifest": stored, "verified": stored}
    yard.pod(lambda pod: pod.exited(0))
    yard.job(Job.succeeded)
    yard.settle()
    found = {artifact["format"]: artifact for artifact in version(yard)["spec"]["artifacts"]}
    entries = [FileEntry.model_validate(entry) for entry in stored["manifest"]["files"]]
    assert {name: artifact["digest"] for name, artifact in found.items()} == {
        name: format_digest(entries, name) for name in ("safetensors", "onnx")
    }
    assert found["safetensors"]["digest"] != found["onnx"]["digest"]
    assert (found["onnx"]["difference"], "difference" in found["safetensors"]) == (0.00001, False)


def test_what_the_run_noticed_is_a_condition_of_that_name() -> None:
    yard = training()
    yard.publish()
    noticed = {"reason": names.NOTHING_LEARNED, "message": "one class for all rows"}
    for fact in ("manifest", "verified"):
        yard.facts[fact]["manifest"]["info"]["warnings"] = [noticed]
    yard.pod(lambda pod: pod.exited(0))
    yard.job(Job.succeeded)
    yard.settle()
    assert version(yard)["spec"]["warnings"] == [noticed]
    held = {condition["type"]: condition for condition in yard.status["conditions"]}
    assert held[names.NOTHING_LEARNED]["status"] == "True"
    assert held[names.NOTHING_LEARNED]["message"] == "one class for all rows"
    assert (yard.reason, yard.ready["status"]) == (names.SUCCEEDED, "True")


def test_the_run_has_succeeded_only_once_the_version_stands() -> None:
    yard = training()
    yard.publish()
    yard.job(Job.succeeded)
    yard.go()
    assert (yard.reason, yard.status["phase"], yard.run["state"]) == (names.PUBLISHING, "Publishing", "Running")
    child = yard.wanted("ModelVersion")
    assert child is not None and (child.policy, child.owned) == ("create", False)
    yard.go()
    assert yard.run["state"] == "Succeeded"
    assert yard.wanted("ModelVersion") is None


def test_an_end_is_final_whatever_becomes_of_children_and_store() -> None:
    yard = succeeded()
    before, births = yard.status, yard.births
    yard.facts = {}
    yard.asked.clear()
    yard.remove("Job", yard.named("Job")[0])
    yard.pods.clear()
    yard.settle()
    assert (yard.status, yard.births, yard.asked) == (before, births, [])


def test_a_deleted_version_is_not_made_again_by_the_job_that_made_it() -> None:
    yard = succeeded()
    yard.remove("ModelVersion", "reviews-7")
    yard.settle()
    assert ("ModelVersion", "reviews-7") not in yard.others
    assert (yard.ready["status"], yard.status["version"], yard.status["gate"]) == ("True", "reviews-7", "passed")
    assert "reviews-7 was deleted" in yard.message


def test_a_job_that_is_applied_again_adopts_the_result_and_makes_the_version_again() -> None:
    yard = succeeded()
    again = Yard(a_finetunejob(), a_profile(), a_dataset().prepared())
    again.facts = yard.facts
    again.settle()
    assert (again.reason, again.run["id"], again.run["adopted"]) == (names.ADOPTED, yard.run["id"], True)
    assert (again.named("Job"), again.status["version"]) == ([], "reviews-7")
    assert version(again)["spec"] == version(yard)["spec"]
    assert again.writes <= 4


def test_a_result_that_appears_for_a_deleted_job_is_not_called_adopted() -> None:
    yard = training()
    yard.publish()
    yard.remove("Job", yard.named("Job")[0])
    yard.pods.clear()
    yard.settle()
    assert (yard.reason, yard.run["adopted"]) == (names.SUCCEEDED, False)


def test_a_published_result_counts_whatever_the_job_says() -> None:
    yard = training()
    yard.publish()
    yard.pod(lambda pod: pod.exited(137))
    yard.job(Job.failed)
    yard.settle()
    assert yard.reason == names.SUCCEEDED


@pytest.mark.parametrize("theirs", [{"digest": "sha256:" + "0" * 64}, {"lineage": {"trained": {"run": "another"}}}])
def test_a_version_of_that_name_is_accepted_only_if_it_is_ours(theirs: dict[str, Any]) -> None:
    other = version(succeeded())
    yard = training()
    yard.put(Built({**other, "spec": {**other["spec"], **theirs}}))
    yard.finish()
    assert (yard.reason, yard.stalled, yard.run["state"]) == (names.NOT_CLAIMED, True, "Running")
    yard.remove("ModelVersion", "reviews-7")
    yard.settle()
    assert yard.reason == names.SUCCEEDED


def test_a_refused_version_is_told() -> None:
    yard = training()
    yard.refused = {("ModelVersion", "reviews-7"): "quota"}
    yard.finish()
    assert (yard.reason, yard.stalled, yard.run["state"]) == (names.QUOTA, True, "Running")
    yard.refused = {}
    yard.settle()
    assert yard.reason == names.SUCCEEDED


# The gate.


def test_a_gate_that_is_not_reached_keeps_the_version_and_asks_for_a_human() -> None:
    yard = succeeded(evaluate=STRICT)
    assert (yard.reason, yard.stalled, yard.ready["status"]) == (names.GATE_FAILED, True, "False")
    assert (yard.status["phase"], yard.run["state"], yard.status["gate"]) == ("GateFailed", "Succeeded", "failed")
    assert yard.status["version"] == "reviews-7"
    assert "0.742" in yard.message and "0.9" in yard.message
    yard.remove("ModelVersion", "reviews-7")
    message = yard.message
    yard.settle()
    assert (yard.reason, yard.message) == (names.GATE_FAILED, message)


def test_another_gate_judges_the_same_version_again() -> None:
    yard = succeeded(evaluate=STRICT)
    run = yard.run
    yard.edit(evaluate=MILD)
    yard.settle()
    assert (yard.reason, yard.status["gate"], yard.run) == (names.SUCCEEDED, "passed", run)
    yard.edit(evaluate=STRICT)
    yard.settle()
    assert (yard.reason, yard.status["gate"], yard.run) == (names.GATE_FAILED, "failed", run)


# The store at the end.


@pytest.mark.parametrize("fact", ["manifest", "verified", "number"])
@pytest.mark.parametrize("outage", [DOWN, Answer(reason=names.STORE_DENIED, message="no")])
def test_a_store_that_does_not_answer_is_waited_for(fact: str, outage: Answer) -> None:
    yard = training()
    yard.publish()
    right = yard.facts[fact]
    yard.facts[fact] = outage
    yard.job(Job.succeeded)
    yard.settle()
    assert (yard.reason, yard.run["state"]) == (outage.reason, "Running")
    assert yard.stalled is (outage is not DOWN)
    assert yard.last.wake_after is not None and yard.last.wake_after <= 30
    yard.facts[fact] = right
    yard.settle()
    assert yard.reason == names.SUCCEEDED


def test_a_number_is_asked_anew_each_time_since_it_may_be_spent() -> None:
    assert {fact.max_age for fact in succeeded().asked if fact.name == "number"} == {0}


def test_a_number_is_claimed_only_for_what_is_verified() -> None:
    yard = training()
    yard.publish()
    yard.facts["verified"] = Answer(reason=names.CORRUPT, message="model.onnx has 9 bytes, 10 are listed")
    yard.job(Job.succeeded)
    yard.settle()
    yard.wait(LASTING)
    assert (yard.reason, yard.run["state"]) == (names.CORRUPT, "Failed")
    assert "model.onnx has 9 bytes" in yard.message and "spec.attempt: 2" in yard.message
    assert [fact for fact in yard.asked if fact.name == "number"] == []


FOREIGN: list[Any] = [
    a_published_model("another-run"),
    {**a_published_model("x"), "manifest": {"kind": "model"}},
    {**a_published_model("x"), "manifest": {**a_published_model("x")["manifest"], "kind": "dataset"}},
    {**a_published_model("x"), "digest": "md5:1"},
]


@pytest.mark.parametrize("stored", FOREIGN)
def test_a_manifest_that_is_not_this_runs_is_refused(stored: dict[str, Any]) -> None:
    yard = training()
    yard.facts |= {"manifest": stored, "verified": stored}
    yard.job(Job.succeeded)
    yard.settle()
    yard.wait(LASTING)
    assert (yard.reason, yard.run["state"]) == (names.CORRUPT, "Failed")


def test_success_without_a_manifest_is_a_failure() -> None:
    yard = training()
    yard.job(Job.succeeded)
    yard.settle()
    assert (yard.reason, yard.stalled, yard.run["state"]) == (names.PUBLISHING, False, "Running")
    yard.wait(LASTING)
    assert (yard.reason, yard.stalled, yard.run["state"]) == (names.TRAINER_FAILED, True, "Failed")
    assert "nothing is published under ns/team-a/models/reviews/runs/" in yard.message


def test_a_result_that_the_store_did_not_know_once_is_taken() -> None:
    yard = training()
    yard.job(Job.succeeded)
    yard.settle()
    assert yard.run["suspectSince"]
    yard.publish()
    yard.wait(LASTING)
    assert (yard.reason, yard.run["state"]) == (names.SUCCEEDED, "Succeeded")
    assert "suspectSince" not in yard.run


# Failures.

FAILURES: list[tuple[Any, str, list[str]]] = [
    (lambda pod: pod.told(13, names.NOT_A_NUMBER, "lower train.learningRate"), names.NOT_A_NUMBER, ["lower train"]),
    (lambda pod: pod.exited(11), names.BAD_DATA, ["exit code 11"]),
    (lambda pod: pod.exited(1, "RuntimeError: boom"), names.TRAINER_FAILED, ["boom", "; tried 4 times"]),
    (lambda pod: pod.exited(143), names.DISRUPTED, ["exit code 143"]),
]  # fmt: skip


@pytest.mark.parametrize(("end", "reason", "words"), FAILURES)
def test_a_failed_run_tells_the_pods_words_and_the_remedy(end: Any, reason: str, words: list[str]) -> None:
    yard = training()
    yard.pod(end)
    yard.job(Job.failed)
    yard.settle()
    assert (yard.reason, yard.stalled, yard.status["phase"]) == (reason, True, "Failed")
    assert (yard.run["state"], yard.run["failure"]["reason"]) == ("Failed", reason)
    assert [word for word in [*words, "set spec.attempt: 2"] if word not in yard.message] == []


def test_a_pod_that_is_gone_leaves_its_reason_in_the_job() -> None:
    yard = training()
    yard.pods.clear()
    text = "Container trainer for pod team-a/x failed with exit code 11 matching FailJob rule at index 0"
    yard.job(lambda job: job.failed("PodFailurePolicy", text))
    yard.settle()
    assert (yard.reason, text in yard.message) == (names.BAD_DATA, True)


def test_failed_stays_failed_until_another_attempt() -> None:
    yard = training()
    yard.pod(lambda pod: pod.exited(11))
    yard.job(Job.failed)
    yard.settle()
    before = yard.status
    yard.remove("Job", yard.named("Job")[0])
    yard.pods.clear()
    yard.settle()
    assert (yard.status, yard.named("Job")) == (before, [])
    yard.edit(resources={"cpu": 4, "memory": "16Gi"})
    yard.settle()
    assert (yard.run["state"], yard.message) == ("Failed", before["run"]["failure"]["message"])
    yard.edit(attempt=2)
    yard.settle()
    assert (yard.reason, yard.run["state"], yard.stalled) == (names.WAITING_FOR_POD, "Running", False)
    assert yard.run["resources"]["memory"] == "16Gi"


def test_memory_ends_the_run_at_once_and_the_job_is_held_for_its_logs() -> None:
    yard = training()
    yard.pod(Pod.oom)
    yard.settle()
    assert (yard.reason, yard.stalled, yard.run["state"]) == (names.OUT_OF_MEMORY, True, "Failed")
    assert "raise spec.resources.memory (now 4Gi) and set spec.attempt: 2" in yard.message
    assert yard.job()["spec"]["suspend"] is True
    yard.pod(lambda pod: pod, 2)
    yard.settle()
    assert yard.reason == names.OUT_OF_MEMORY


def test_memory_counts_while_the_next_pod_runs_already() -> None:
    yard = training()
    yard.pod(Pod.oom)
    yard.pod(Pod.running, 2)
    yard.settle()
    assert yard.reason == names.OUT_OF_MEMORY


def test_its_own_disk_limit_ends_the_run_even_when_the_pod_saved_before_it_went() -> None:
    yard = training()
    over = "Pod ephemeral local storage usage exceeds the total limit of containers 20Mi."
    yard.pod(lambda pod: pod.exited(143).status(reason="Evicted", message=over))
    yard.settle()
    assert (yard.reason, yard.stalled, yard.run["state"]) == (names.DISK_FULL, True, "Failed")
    assert "20Mi" in yard.message and "spec.attempt: 2" in yard.message


def test_a_pod_that_fails_is_told_while_the_next_one_goes_on() -> None:
    yard = training()
    yard.pod(lambda pod: pod.exited(1, "boom"))
    yard.settle()
    assert (yard.reason, yard.stalled, yard.run["state"]) == (names.TRAINING, False, "Running")
    assert "a new pod starts over" in yard.message and "boom" in yard.message
    yard.pod(Pod.running, 2)
    yard.facts["progress"] = {"run": yard.run["id"], "pod": "p", "stage": "train", "step": 10, "steps": 20}
    yard.settle()
    yard.pod(lambda pod: pod.exited(1, "bang"), 2)
    yard.settle()
    assert "goes on from the newest checkpoint, or from the start if none was saved" in yard.message


@pytest.mark.parametrize("stay", [True, False])
def test_disruptions_are_survived_up_to_the_profiles_number(stay: bool) -> None:
    profile = a_profile(disruptions=3)
    yard = Yard(None, profile, a_dataset().prepared())
    yard.settle()
    for number in range(1, 5):
        assert yard.run["state"] == "Running"
        yard.pod(Pod.running, number)
        yard.settle()
        yard.pod(Pod.evicted, number)
        yard.settle()
        if not stay:
            yard.pods.clear()
    assert (yard.reason, yard.run["state"], yard.run["disruptions"]) == (names.DISRUPTED, "Failed", 4)
    assert "disruptions: 3" in yard.message and "spec.attempt: 2" in yard.message
    assert yard.job()["spec"]["suspend"] is True


def test_a_story_of_many_evictions_stays_short() -> None:
    yard = training()
    for number in range(1, 20):
        yard.pod(Pod.evicted, number)
        yard.settle()
        yard.pod(Pod.running, number + 1)
        yard.settle()
    assert yard.status["resumes"] == 19
    yard.finish()
    assert len(yard.events) <= 12


# Runs that two objects ask for.


def shared() -> tuple[Yard, Built, str]:
    mine = started()
    other = a_finetunejob("first", model={"name": "reviews"})
    name = mine.named("Job")[0]
    return Yard(), Job(a_job(name)).owned_by(other), name


def test_an_equal_run_of_another_object_is_waited_for_and_adopted() -> None:
    yard, job, _ = shared()
    yard.put(job)
    yard.settle()
    assert (yard.reason, yard.stalled, yard.children) == (names.PENDING, False, {})
    assert "FineTuneJob first is already running" in yard.message
    yard.put(Job(job).succeeded())
    yard.publish()
    yard.settle()
    assert (yard.reason, yard.run["adopted"], yard.children) == (names.ADOPTED, True, {})


@pytest.mark.parametrize("ended", [True, False])
def test_an_equal_run_that_failed_elsewhere_fails_here_for_the_same_reason(ended: bool) -> None:
    yard, job, _ = shared()
    yard.put(Job(job).failed() if ended else job)
    yard.settle()
    assert (yard.reason, yard.run["state"]) == (names.PENDING, "Running")
    remedy = "raise spec.resources.memory (now 4Gi) and set spec.attempt: 2"
    run = {**yard.run, "state": "Failed", "failure": {"reason": names.OUT_OF_MEMORY, "message": remedy}}
    yard.put(a_finetunejob("first").status(run={**run, "id": "another"}))
    yard.settle()
    assert yard.reason == names.PENDING
    yard.put(a_finetunejob("first").status(run=run))
    yard.settle()
    assert (yard.reason, yard.run["state"]) == (names.OUT_OF_MEMORY, "Failed")
    assert "FineTuneJob first made the same run" in yard.message
    assert yard.message.count("spec.attempt: 2") == 1


def test_a_failed_job_of_that_name_without_an_owner_is_a_failure() -> None:
    yard, job, _ = shared()
    yard.put(Job(job).but("metadata.ownerReferences", None))
    yard.settle()
    assert (yard.reason, "something else" in yard.message) == (names.PENDING, True)
    yard.put(Job(job).but("metadata.ownerReferences", None).failed())
    yard.settle()
    assert (yard.reason, yard.run["state"]) == (names.TRAINER_FAILED, "Failed")


def test_an_equal_run_whose_object_was_deleted_is_made_here() -> None:
    yard, job, name = shared()
    yard.put(job)
    yard.settle()
    yard.remove("Job", name)
    yard.settle()
    assert (yard.reason, yard.named("Job")) == (names.WAITING_FOR_POD, [name])


def test_what_waits_for_room_is_told_how_much_is_free() -> None:
    yard = started()
    yard.facts["capacity"] = {"cpu": {"most": 2.0, "free": 0.35}}
    asks = [{"name": "trainer", "resources": {"requests": {"cpu": "1"}}}]
    full = "0/1 nodes are available: 1 Insufficient cpu."
    yard.pod(lambda pod: pod.unschedulable(full).but("spec.containers", asks))
    yard.settle()
    assert (yard.reason, yard.stalled) == (names.UNSCHEDULABLE, False)
    assert "1 CPU asked, at most 0.3 free on 1 node" in yard.message
    assert yard.last.wake_after == 60, "it is told anew"
