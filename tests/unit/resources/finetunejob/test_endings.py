"""How a run ends, for good: a version and its gate, adoption, or a failure with cause, field and remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelyard import names
from modelyard.api.run import FileEntry, format_digest
from modelyard.decision import Answer
from modelyard.resources.recheck import LASTING
from tests.builders import SHA, Built, Job, Pod, a_dataset, a_finetunejob, a_job, a_profile, a_published_model
from tests.unit.resources.finetunejob.harness import JobHarness, started, succeeded, training

STRICT = {"gate": {"require": [{"metric": "macro_f1", "min": 0.9}]}}
MILD = {"gate": {"require": [{"metric": "macro_f1", "min": 0.5}]}}
DOWN = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")


def version(harness: JobHarness) -> Built:
    return Built(harness.others["ModelVersion", "reviews-7"])


# Success.


def test_a_verified_result_becomes_a_version() -> None:
    harness = succeeded()
    assert (harness.reason, harness.status["phase"], harness.ready["status"]) == (names.SUCCEEDED, "Succeeded", "True")
    assert (harness.status["version"], harness.status["gate"]) == ("reviews-7", "passed")
    assert harness.status["metric"] == "macro_f1 0.742"
    assert (harness.run["state"], harness.run["adopted"]) == ("Succeeded", False)
    assert harness.run["finishedAt"] > harness.run["startedAt"]
    spec = version(harness)["spec"]
    assert (spec["model"], spec["number"], spec["digest"], spec["size"]) == ("reviews", 7, SHA, 10)
    assert spec["uri"] == f"s3://modelyard/ns/team-a/models/reviews/runs/{harness.run['id']}/version/"
    pinned = harness.run["pinned"]
    assert spec["lineage"] == {
        "trained": {
            "run": harness.run["id"],
            "job": "reviews",
            "datasets": [{"name": pinned["dataset"]["name"], "digest": "sha256:" + "d" * 64}],
            "base": "sha256:" + "b" * 64,
            "parents": [],
            "image": "modelyard/trainer:1",
            "recipe": pinned["recipe"],
        }
    }
    assert [(found["set"], found["primary"]) for found in spec["metrics"]] == [("test", "macro_f1")]
    assert version(harness)["metadata"]["labels"][names.LABEL_MODEL] == "reviews"
    assert "ownerReferences" not in version(harness)["metadata"]
    assert len(harness.named("Job")) == 1


def test_each_format_of_a_version_has_the_digest_of_its_files() -> None:
    harness = training()
    stored = a_published_model(harness.run["id"], harness.run["model"])
    files = [{"path": path, "size": 10, "sha256": path[-1] * 64} for path in ("model.onnx", "model.safetensors")]
    stored["manifest"]["files"] += files
    harness.facts |= {"manifest": stored, "verified": stored}
    harness.pod(lambda pod: pod.exited(0))
    harness.job(Job.succeeded)
    harness.settle()
    found = {artifact["format"]: artifact for artifact in version(harness)["spec"]["artifacts"]}
    entries = [FileEntry.model_validate(entry) for entry in stored["manifest"]["files"]]
    assert {name: artifact["digest"] for name, artifact in found.items()} == {
        name: format_digest(entries, name) for name in ("safetensors", "onnx")
    }
    assert found["safetensors"]["digest"] != found["onnx"]["digest"]
    assert (found["onnx"]["difference"], "difference" in found["safetensors"]) == (0.00001, False)


def test_what_the_run_noticed_is_a_condition_of_that_name() -> None:
    harness = training()
    harness.publish()
    noticed = {"reason": names.NOTHING_LEARNED, "message": "one class for all rows"}
    for fact in ("manifest", "verified"):
        harness.facts[fact]["manifest"]["info"]["warnings"] = [noticed]
    harness.pod(lambda pod: pod.exited(0))
    harness.job(Job.succeeded)
    harness.settle()
    assert version(harness)["spec"]["warnings"] == [noticed]
    held = {condition["type"]: condition for condition in harness.status["conditions"]}
    assert held[names.NOTHING_LEARNED]["status"] == "True"
    assert held[names.NOTHING_LEARNED]["message"] == "one class for all rows"
    assert (harness.reason, harness.ready["status"]) == (names.SUCCEEDED, "True")


def test_the_run_has_succeeded_only_once_the_version_stands() -> None:
    harness = training()
    harness.publish()
    harness.job(Job.succeeded)
    harness.go()
    assert (harness.reason, harness.status["phase"], harness.run["state"]) == (
        names.PUBLISHING,
        "Publishing",
        "Running",
    )
    child = harness.wanted("ModelVersion")
    assert child is not None and (child.policy, child.owned) == ("create", False)
    harness.go()
    assert harness.run["state"] == "Succeeded"
    assert harness.wanted("ModelVersion") is None


def test_an_end_is_final_whatever_becomes_of_children_and_store() -> None:
    harness = succeeded()
    before, births = harness.status, harness.births
    harness.facts = {}
    harness.asked.clear()
    harness.remove("Job", harness.named("Job")[0])
    harness.pods.clear()
    harness.settle()
    assert (harness.status, harness.births, harness.asked) == (before, births, [])


def test_a_deleted_version_is_not_made_again_by_the_job_that_made_it() -> None:
    harness = succeeded()
    harness.remove("ModelVersion", "reviews-7")
    harness.settle()
    assert ("ModelVersion", "reviews-7") not in harness.others
    assert (harness.ready["status"], harness.status["version"], harness.status["gate"]) == (
        "True",
        "reviews-7",
        "passed",
    )
    assert "reviews-7 was deleted" in harness.message


def test_a_job_that_is_applied_again_adopts_the_result_and_makes_the_version_again() -> None:
    harness = succeeded()
    again = JobHarness(a_finetunejob(), a_profile(), a_dataset().prepared())
    again.facts = harness.facts
    again.settle()
    assert (again.reason, again.run["id"], again.run["adopted"]) == (names.ADOPTED, harness.run["id"], True)
    assert (again.named("Job"), again.status["version"]) == ([], "reviews-7")
    assert version(again)["spec"] == version(harness)["spec"]
    assert again.writes <= 4


def test_a_result_that_appears_for_a_deleted_job_is_not_called_adopted() -> None:
    harness = training()
    harness.publish()
    harness.remove("Job", harness.named("Job")[0])
    harness.pods.clear()
    harness.settle()
    assert (harness.reason, harness.run["adopted"]) == (names.SUCCEEDED, False)


def test_a_published_result_counts_whatever_the_job_says() -> None:
    harness = training()
    harness.publish()
    harness.pod(lambda pod: pod.exited(137))
    harness.job(Job.failed)
    harness.settle()
    assert harness.reason == names.SUCCEEDED


@pytest.mark.parametrize("theirs", [{"digest": "sha256:" + "0" * 64}, {"lineage": {"trained": {"run": "another"}}}])
def test_a_version_of_that_name_is_accepted_only_if_it_is_ours(theirs: dict[str, Any]) -> None:
    other = version(succeeded())
    harness = training()
    harness.put(Built({**other, "spec": {**other["spec"], **theirs}}))
    harness.finish()
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.NOT_CLAIMED, True, "Running")
    harness.remove("ModelVersion", "reviews-7")
    harness.settle()
    assert harness.reason == names.SUCCEEDED


def test_a_refused_version_is_told() -> None:
    harness = training()
    harness.refused = {("ModelVersion", "reviews-7"): "quota"}
    harness.finish()
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.QUOTA, True, "Running")
    harness.refused = {}
    harness.settle()
    assert harness.reason == names.SUCCEEDED


# The gate.


def test_a_gate_that_is_not_reached_keeps_the_version_and_asks_for_a_human() -> None:
    harness = succeeded(evaluate=STRICT)
    assert (harness.reason, harness.stalled, harness.ready["status"]) == (names.GATE_FAILED, True, "False")
    assert (harness.status["phase"], harness.run["state"], harness.status["gate"]) == (
        "GateFailed",
        "Succeeded",
        "failed",
    )
    assert harness.status["version"] == "reviews-7"
    assert "0.742" in harness.message and "0.9" in harness.message
    harness.remove("ModelVersion", "reviews-7")
    message = harness.message
    harness.settle()
    assert (harness.reason, harness.message) == (names.GATE_FAILED, message)


def test_another_gate_judges_the_same_version_again() -> None:
    harness = succeeded(evaluate=STRICT)
    run = harness.run
    harness.edit(evaluate=MILD)
    harness.settle()
    assert (harness.reason, harness.status["gate"], harness.run) == (names.SUCCEEDED, "passed", run)
    harness.edit(evaluate=STRICT)
    harness.settle()
    assert (harness.reason, harness.status["gate"], harness.run) == (names.GATE_FAILED, "failed", run)


# The store at the end.


@pytest.mark.parametrize("fact", ["manifest", "verified", "number"])
@pytest.mark.parametrize("outage", [DOWN, Answer(reason=names.STORE_DENIED, message="no")])
def test_a_store_that_does_not_answer_is_waited_for(fact: str, outage: Answer) -> None:
    harness = training()
    harness.publish()
    right = harness.facts[fact]
    harness.facts[fact] = outage
    harness.job(Job.succeeded)
    harness.settle()
    assert (harness.reason, harness.run["state"]) == (outage.reason, "Running")
    assert harness.stalled is (outage is not DOWN)
    assert harness.last.wake_after is not None and harness.last.wake_after <= 30
    harness.facts[fact] = right
    harness.settle()
    assert harness.reason == names.SUCCEEDED


def test_a_number_is_asked_anew_each_time_since_it_may_be_spent() -> None:
    assert {fact.max_age for fact in succeeded().asked if fact.name == "number"} == {0}


def test_a_number_is_claimed_only_for_what_is_verified() -> None:
    harness = training()
    harness.publish()
    harness.facts["verified"] = Answer(reason=names.CORRUPT, message="model.onnx has 9 bytes, 10 are listed")
    harness.job(Job.succeeded)
    harness.settle()
    harness.wait(LASTING)
    assert (harness.reason, harness.run["state"]) == (names.CORRUPT, "Failed")
    assert "model.onnx has 9 bytes" in harness.message and "spec.attempt: 2" in harness.message
    assert [fact for fact in harness.asked if fact.name == "number"] == []


FOREIGN: list[Any] = [
    a_published_model("another-run"),
    {**a_published_model("x"), "manifest": {"kind": "model"}},
    {**a_published_model("x"), "manifest": {**a_published_model("x")["manifest"], "kind": "dataset"}},
    {**a_published_model("x"), "digest": "md5:1"},
]


@pytest.mark.parametrize("stored", FOREIGN)
def test_a_manifest_that_is_not_this_runs_is_refused(stored: dict[str, Any]) -> None:
    harness = training()
    harness.facts |= {"manifest": stored, "verified": stored}
    harness.job(Job.succeeded)
    harness.settle()
    harness.wait(LASTING)
    assert (harness.reason, harness.run["state"]) == (names.CORRUPT, "Failed")


def test_success_without_a_manifest_is_a_failure() -> None:
    harness = training()
    harness.job(Job.succeeded)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.PUBLISHING, False, "Running")
    harness.wait(LASTING)
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.TRAINER_FAILED, True, "Failed")
    assert "nothing is published under ns/team-a/models/reviews/runs/" in harness.message


def test_a_result_that_the_store_did_not_know_once_is_taken() -> None:
    harness = training()
    harness.job(Job.succeeded)
    harness.settle()
    assert harness.run["suspectSince"]
    harness.publish()
    harness.wait(LASTING)
    assert (harness.reason, harness.run["state"]) == (names.SUCCEEDED, "Succeeded")
    assert "suspectSince" not in harness.run


# Failures.

FAILURES: list[tuple[Any, str, list[str]]] = [
    (lambda pod: pod.told(13, names.NOT_A_NUMBER, "lower train.learningRate"), names.NOT_A_NUMBER, ["lower train"]),
    (lambda pod: pod.exited(11), names.BAD_DATA, ["exit code 11"]),
    (lambda pod: pod.exited(1, "RuntimeError: boom"), names.TRAINER_FAILED, ["boom", "; tried 4 times"]),
    (lambda pod: pod.exited(143), names.DISRUPTED, ["exit code 143"]),
]  # fmt: skip


@pytest.mark.parametrize(("end", "reason", "words"), FAILURES)
def test_a_failed_run_tells_the_pods_words_and_the_remedy(end: Any, reason: str, words: list[str]) -> None:
    harness = training()
    harness.pod(end)
    harness.job(Job.failed)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.status["phase"]) == (reason, True, "Failed")
    assert (harness.run["state"], harness.run["failure"]["reason"]) == ("Failed", reason)
    assert [word for word in [*words, "set spec.attempt: 2"] if word not in harness.message] == []


def test_a_pod_that_is_gone_leaves_its_reason_in_the_job() -> None:
    harness = training()
    harness.pods.clear()
    text = "Container trainer for pod team-a/x failed with exit code 11 matching FailJob rule at index 0"
    harness.job(lambda job: job.failed("PodFailurePolicy", text))
    harness.settle()
    assert (harness.reason, text in harness.message) == (names.BAD_DATA, True)


def test_failed_stays_failed_until_another_attempt() -> None:
    harness = training()
    harness.pod(lambda pod: pod.exited(11))
    harness.job(Job.failed)
    harness.settle()
    before = harness.status
    harness.remove("Job", harness.named("Job")[0])
    harness.pods.clear()
    harness.settle()
    assert (harness.status, harness.named("Job")) == (before, [])
    harness.edit(resources={"cpu": 4, "memory": "16Gi"})
    harness.settle()
    assert (harness.run["state"], harness.message) == ("Failed", before["run"]["failure"]["message"])
    harness.edit(attempt=2)
    harness.settle()
    assert (harness.reason, harness.run["state"], harness.stalled) == (names.WAITING_FOR_POD, "Running", False)
    assert harness.run["resources"]["memory"] == "16Gi"


def test_memory_ends_the_run_at_once_and_the_job_is_held_for_its_logs() -> None:
    harness = training()
    harness.pod(Pod.oom)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.OUT_OF_MEMORY, True, "Failed")
    assert "raise spec.resources.memory (now 4Gi) and set spec.attempt: 2" in harness.message
    assert harness.job()["spec"]["suspend"] is True
    harness.pod(lambda pod: pod, 2)
    harness.settle()
    assert harness.reason == names.OUT_OF_MEMORY


def test_memory_counts_while_the_next_pod_runs_already() -> None:
    harness = training()
    harness.pod(Pod.oom)
    harness.pod(Pod.running, 2)
    harness.settle()
    assert harness.reason == names.OUT_OF_MEMORY


def test_its_own_disk_limit_ends_the_run_even_when_the_pod_saved_before_it_went() -> None:
    harness = training()
    over = "Pod ephemeral local storage usage exceeds the total limit of containers 20Mi."
    harness.pod(lambda pod: pod.exited(143).status(reason="Evicted", message=over))
    harness.settle()
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.DISK_FULL, True, "Failed")
    assert "20Mi" in harness.message and "spec.attempt: 2" in harness.message


def test_a_pod_that_fails_is_told_while_the_next_one_goes_on() -> None:
    harness = training()
    harness.pod(lambda pod: pod.exited(1, "boom"))
    harness.settle()
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.TRAINING, False, "Running")
    assert "a new pod starts over" in harness.message and "boom" in harness.message
    harness.pod(Pod.running, 2)
    harness.facts["progress"] = {"run": harness.run["id"], "pod": "p", "stage": "train", "step": 10, "steps": 20}
    harness.settle()
    harness.pod(lambda pod: pod.exited(1, "bang"), 2)
    harness.settle()
    assert "goes on from the newest checkpoint, or from the start if none was saved" in harness.message


@pytest.mark.parametrize("stay", [True, False])
def test_disruptions_are_survived_up_to_the_profiles_number(stay: bool) -> None:
    profile = a_profile(disruptions=3)
    harness = JobHarness(None, profile, a_dataset().prepared())
    harness.settle()
    for number in range(1, 5):
        assert harness.run["state"] == "Running"
        harness.pod(Pod.running, number)
        harness.settle()
        harness.pod(Pod.evicted, number)
        harness.settle()
        if not stay:
            harness.pods.clear()
    assert (harness.reason, harness.run["state"], harness.run["disruptions"]) == (names.DISRUPTED, "Failed", 4)
    assert "disruptions: 3" in harness.message and "spec.attempt: 2" in harness.message
    assert harness.job()["spec"]["suspend"] is True


def test_a_story_of_many_evictions_stays_short() -> None:
    harness = training()
    for number in range(1, 20):
        harness.pod(Pod.evicted, number)
        harness.settle()
        harness.pod(Pod.running, number + 1)
        harness.settle()
    assert harness.status["resumes"] == 19
    harness.finish()
    assert len(harness.events) <= 12


# Runs that two objects ask for.


def shared() -> tuple[JobHarness, Built, str]:
    mine = started()
    other = a_finetunejob("first", model={"name": "reviews"})
    name = mine.named("Job")[0]
    return JobHarness(), Job(a_job(name)).owned_by(other), name


def test_an_equal_run_of_another_object_is_waited_for_and_adopted() -> None:
    harness, job, _ = shared()
    harness.put(job)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.children) == (names.PENDING, False, {})
    assert "FineTuneJob first is already running" in harness.message
    harness.put(Job(job).succeeded())
    harness.publish()
    harness.settle()
    assert (harness.reason, harness.run["adopted"], harness.children) == (names.ADOPTED, True, {})


@pytest.mark.parametrize("ended", [True, False])
def test_an_equal_run_that_failed_elsewhere_fails_here_for_the_same_reason(ended: bool) -> None:
    harness, job, _ = shared()
    harness.put(Job(job).failed() if ended else job)
    harness.settle()
    assert (harness.reason, harness.run["state"]) == (names.PENDING, "Running")
    remedy = "raise spec.resources.memory (now 4Gi) and set spec.attempt: 2"
    run = {**harness.run, "state": "Failed", "failure": {"reason": names.OUT_OF_MEMORY, "message": remedy}}
    harness.put(a_finetunejob("first").status(run={**run, "id": "another"}))
    harness.settle()
    assert harness.reason == names.PENDING
    harness.put(a_finetunejob("first").status(run=run))
    harness.settle()
    assert (harness.reason, harness.run["state"]) == (names.OUT_OF_MEMORY, "Failed")
    assert "FineTuneJob first made the same run" in harness.message
    assert harness.message.count("spec.attempt: 2") == 1


def test_a_job_of_that_name_without_an_owner_is_in_the_way() -> None:
    harness, job, _ = shared()
    harness.put(Job(job).but("metadata.ownerReferences", None))
    harness.settle()
    assert (harness.reason, harness.run["state"]) == (names.QUOTA, "Running")
    assert "belongs to something else: delete or rename it" in harness.message


def test_an_equal_run_whose_object_was_deleted_is_made_here() -> None:
    harness, job, name = shared()
    harness.put(job)
    harness.settle()
    harness.remove("Job", name)
    harness.settle()
    assert (harness.reason, harness.named("Job")) == (names.WAITING_FOR_POD, [name])


def test_what_waits_for_room_is_told_how_much_is_free() -> None:
    harness = started()
    harness.facts["capacity"] = {"cpu": {"most": 2.0, "free": 0.35}}
    asks = [{"name": "trainer", "resources": {"requests": {"cpu": "1"}}}]
    full = "0/1 nodes are available: 1 Insufficient cpu."
    harness.pod(lambda pod: pod.unschedulable(full).but("spec.containers", asks))
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.UNSCHEDULABLE, False)
    assert "1 CPU asked, at most 0.3 free on 1 node" in harness.message
    assert harness.last.wake_after == 60, "it is told anew"


def test_a_number_is_claimed_once_and_only_after_the_status_says_so() -> None:
    harness = training()
    harness.facts["number"] = None
    told = list[str]()

    def claim(args: dict[str, str]) -> int:
        told.append(harness.reason)
        harness.facts["number"] = 7
        return 7

    harness.deeds["claim_number"] = claim
    harness.finish()
    assert (told, harness.status["version"]) == ([names.PUBLISHING], "reviews-7")


def test_a_number_that_cannot_be_claimed_is_told_and_tried_again() -> None:
    harness = training()
    harness.facts["number"] = None
    harness.deeds["claim_number"] = Answer(reason=names.STORE_UNAVAILABLE, message="away")
    harness.finish()
    assert (harness.reason, "claiming a version number: away" in harness.message) == (names.STORE_UNAVAILABLE, True)
    assert harness.last.wake_after is not None and harness.run["state"] == "Running"


def test_nothing_ends_before_the_store_is_asked() -> None:
    harness = training()
    harness.job(Job.failed)
    seen = harness.observe()
    facts = {fact: answer for fact, answer in seen.facts.items() if fact.name != "manifest"}
    assert len(facts) == len(seen.facts) - 1
    decision = harness.reconciler.decide(harness.obj, replace(seen, facts=facts), harness.now)
    assert (decision.status or {})["run"]["state"] == "Running"
    assert (decision.status or {})["phase"] == "Publishing"
