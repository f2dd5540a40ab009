from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelyard import names
from modelyard.api.modeldeployment import version_in
from modelyard.decision import Answer
from modelyard.resources.modeldeployment import RECONCILER
from tests.builders_serving import (
    PLATFORM,
    a_modeldeployment,
    a_ready_version,
    crashed_container,
    deleting,
    waiting_container,
)
from tests.unit.resources.modeldeployment.harness import ServingHarness


def fresh(**more: Any) -> ServingHarness:
    return ServingHarness(**more)


def live(version: int = 7, **more: Any) -> ServingHarness:
    """A harness in which `version` serves and 8 has just appeared."""
    w = ServingHarness(versions=[version], **more)
    w.go_live(version)
    w.put(a_ready_version(8))
    return w


def keys(w: ServingHarness) -> set[tuple[str, str]]:
    return set(w.children)


V7 = {("Deployment", "reviews-v7"), ("Service", "reviews-v7")}
V8 = {("Deployment", "reviews-v8"), ("Service", "reviews-v8")}
STABLE = {("Service", "reviews")}


def test_the_first_version_goes_live() -> None:
    w = fresh()
    w.turn()
    assert keys(w) == V7
    assert (w.candidate, w.serving) == (7, None)
    assert w.word(names.READY) == ("False", names.ROLLING_OUT)
    assert w.word(names.RECONCILING) is not None
    assert w.status["url"] == "http://reviews.shop.svc.cluster.local"
    assert w.status["backend"] == "deployment"

    w.up(7)
    w.turn(5)
    assert w.traffic is None, "available is not enough"

    w.answers(7)
    w.turn(5)
    assert keys(w) == V7 | STABLE
    assert w.traffic == "7"
    assert (w.serving, w.candidate) == (7, None)
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.RECONCILING) is None
    assert w.word(names.STALLED) is None
    assert w.events == [names.ROLLING_OUT, names.SERVING]


def test_addresses_end_in_the_domain_of_the_cluster() -> None:
    w = fresh(platform=replace(PLATFORM, cluster_domain="example.internal"))
    w.go_live(7)
    assert w.status["url"] == "http://reviews.shop.svc.example.internal"


def test_a_new_version_takes_over_and_the_old_one_drains() -> None:
    w = live()
    w.turn()
    assert keys(w) == V7 | V8 | STABLE
    assert w.traffic == "7"
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.RECONCILING) == ("True", names.ROLLING_OUT)
    assert w.status["phase"] == names.ROLLING_OUT

    w.up(8)
    w.answers(8)
    decision = w.turn(5)
    assert w.traffic == "8"
    assert (w.serving, w.draining) == (8, 7)
    assert keys(w) == V7 | V8 | STABLE
    assert decision.wake_after == 30

    w.turn(29)
    assert keys(w) == V7 | V8 | STABLE
    w.turn(1)
    assert keys(w) == V8 | STABLE
    assert w.draining is None
    assert w.turn().wake_after is None


def test_every_state_is_stable() -> None:
    w = live()
    for step in range(4):
        if step == 1:
            w.up(8)
        if step == 2:
            w.answers(8)
        w.turn()
        before, writes, events = w.status, w.writes, len(w.events)
        w.turn()
        assert (w.status, w.writes, len(w.events)) == (before, writes, events)


@pytest.mark.parametrize(
    "change",
    [
        {"observedGeneration": 0},
        {"updatedReplicas": 0},
        {"availableReplicas": 0},
        {"replicas": 2},
    ],
)
def test_an_unfinished_deployment_is_not_even_asked(change: dict[str, int]) -> None:
    w = live()
    w.turn()
    w.up(8)
    w.answers(8)
    w.deployment(8)["status"].update(change)
    w.turn(5)
    assert w.asked == []
    assert w.traffic == "7"


def test_all_replicas_must_be_available() -> None:
    w = fresh(obj=a_modeldeployment(replicas={"min": 3}))
    w.turn()
    w.up(7)
    w.answers(7)
    w.deployment(7)["status"].update(availableReplicas=2)
    w.turn(5)
    assert w.traffic is None
    w.deployment(7)["status"].update(availableReplicas=3)
    w.turn(5)
    assert w.traffic == "7"


def test_nothing_passes_before_its_answer_is_known() -> None:
    w = live()
    w.turn()
    w.up(8)
    w.answers(8)
    seen = w.observe()
    facts = {fact: answer for fact, answer in seen.facts.items() if fact.name != "prediction"}
    assert len(facts) == len(seen.facts) - 1
    status = RECONCILER.decide(w.obj, replace(seen, facts=facts), w.now).status or {}
    assert "is asked for a prediction" in version_in(status, "candidate")["message"]


@pytest.mark.parametrize("answered", ["7", "", "80"])
def test_another_versions_answer_never_switches(answered: str) -> None:
    w = live()
    w.turn()
    w.up(8)
    w.answers(8, answered)
    w.turn(5)
    assert w.traffic == "7"
    assert w.candidate == 8
    w.turn(61)
    assert w.traffic == "7"
    assert w.failed == 8
    assert w.entry("failed")["reason"] == names.PROBE_FAILED
    assert not w.has(8)
    assert "answered as version" in w.message_of(names.STALLED)


def test_a_slow_first_answer_is_forgiven() -> None:
    w = live()
    w.turn()
    w.up(8)
    assert w.turn(5).wake_after == 5
    w.turn(50)
    assert w.candidate == 8
    w.answers(8)
    w.turn(5)
    assert w.traffic == "8"


def test_probe_time_counts_from_the_first_wrong_answer() -> None:
    w = live()
    w.turn()
    w.up(8)
    w.turn(900)  # nobody looked for a quarter of an hour: the operator was away
    assert w.candidate == 8 and w.entry("candidate")["suspectSince"]
    w.turn(60)
    assert w.candidate == 8
    w.turn(1)
    assert (w.failed, w.entry("failed").get("suspectSince")) == (8, None)


def restarted(w: ServingHarness) -> None:
    w.children[("Deployment", "reviews-v8")]["status"] = {}


def of_another_spec(w: ServingHarness) -> None:
    w.obj["metadata"]["generation"] += 1


def without_store(w: ServingHarness) -> None:
    w.facts["manifest"] = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")


@pytest.mark.parametrize("end", [restarted, of_another_spec, without_store])
def test_a_doubt_ends_when_nobody_asks_or_another_trial_begins(end: Callable[[ServingHarness], None]) -> None:
    w = live()
    w.turn()
    w.up(8)
    w.turn(5)
    first, before = w.entry("candidate")["suspectSince"], w.facts["manifest"]
    end(w)
    w.turn(50)
    w.facts["manifest"] = before
    w.up(8)
    w.turn(50)
    assert w.candidate == 8 and w.entry("candidate")["suspectSince"] > first


def test_a_busy_candidate_is_asked_again_and_never_barred() -> None:
    w = live()
    w.turn()
    w.up(8)
    w.predictions["8"] = Answer(reason=names.SERVER_BUSY, message="100 requests are waiting already")
    for _ in range(10):
        w.turn(60)
    assert (w.candidate, w.traffic, w.failed) == (8, "7", None)
    assert w.word(names.RECONCILING) == ("True", names.SERVER_BUSY)
    assert "doubtedAt" not in w.status
    w.answers(8)
    w.turn(5)
    assert w.traffic == "8"


KEPT_OUT = Answer(reason=names.SERVER_UNREACHABLE, message="http://reviews-v8.shop gave no answer")


def test_a_candidate_out_of_reach_is_named_asked_again_and_never_barred() -> None:
    w = live()
    w.turn()
    w.up(8)
    w.predictions["8"] = KEPT_OUT
    w.turn(5)
    assert w.word(names.RECONCILING) == ("True", names.ROLLING_OUT), "a Service needs a moment"
    for _ in range(10):
        w.turn(600)
    assert (w.candidate, w.traffic, w.failed) == (8, "7", None)
    assert w.word(names.STALLED) == ("True", names.SERVER_UNREACHABLE)
    for part in ("port 8080", "modelyard.dev/deployment=reviews", "namespace shop", "of namespace modelyard"):
        assert part in w.message_of(names.STALLED)
    w.answers(8)
    w.turn(5)
    assert w.traffic == "8"


def test_what_answers_after_it_was_out_of_reach_has_its_minute() -> None:
    w = live()
    w.turn()
    w.up(8)
    w.predictions["8"] = KEPT_OUT
    w.turn(3600)
    w.predictions.pop("8")
    w.turn(5)
    w.turn(50)
    assert w.candidate == 8
    w.turn(20)
    assert w.entry("failed")["reason"] == names.PROBE_FAILED


def test_without_a_sample_nothing_moves() -> None:
    w = live(manifest=Answer({"manifest": {"info": {"sample": {"text": "a fine film"}}}}))
    w.turn()
    w.up(8)
    w.answers(8)
    w.facts["manifest"] = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")
    w.turn(600)
    assert w.candidate == 8
    assert w.word(names.RECONCILING) == ("True", names.STORE_UNAVAILABLE)


@pytest.mark.parametrize("gone", [Answer(None), Answer(reason=names.CORRUPT, message="has another digest")])
def test_a_lost_manifest_fails_the_candidate_when_it_stays_lost(gone: Answer) -> None:
    w = live()
    w.turn()
    w.up(8)
    w.facts["manifest"] = gone
    w.turn(600)
    assert (w.candidate, w.word(names.RECONCILING)) == (8, ("True", names.CORRUPT))
    w.turn(61)
    assert (w.failed, w.entry("failed")["reason"]) == (8, names.CORRUPT)


CORRUPT = '{"outcome": "failed", "reason": "ArtifactsCorrupt", "message": "model.onnx does not match"}'


@pytest.mark.parametrize(
    ("status", "reason", "text"),
    [
        ({"initContainerStatuses": [crashed_container("fetch", 16, CORRUPT)]}, names.CORRUPT, "does not match"),
        (
            {"containerStatuses": [crashed_container("server", 137, why="OOMKilled")]},
            names.OUT_OF_MEMORY,
            "spec.serve.resources.memory",
        ),
        (
            {"containerStatuses": [crashed_container("server", 1, "ValueError: opset 99", restarts=3)]},
            names.LOAD_FAILED,
            "opset 99",
        ),
    ],
)
def test_a_candidate_that_cannot_work_fails_at_once(status: dict[str, Any], reason: str, text: str) -> None:
    w = live()
    w.turn()
    w.server_pod(8, phase="Running", **status)
    w.turn(5)
    assert keys(w) == V7 | STABLE
    assert w.traffic == "7"
    assert (w.failed, w.entry("failed")["reason"]) == (8, reason)
    assert w.candidate is None
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.STALLED) == ("True", reason)
    assert text in w.message_of(names.STALLED)
    assert "version 7 serves on" in w.message_of(names.STALLED)
    assert w.events[-1] == reason


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (crashed_container("server", 1, "ValueError", restarts=1), names.LOAD_FAILED),
        (None, names.LOAD_FAILED),
    ],
)
def test_what_may_pass_has_five_minutes(container: dict[str, Any] | None, reason: str) -> None:
    w = live()
    w.turn()
    w.server_pod(8, phase="Pending", containerStatuses=[container] if container else [])
    w.turn(299)
    assert w.candidate == 8
    w.turn(2)
    assert (w.failed, w.entry("failed")["reason"]) == (8, reason)
    assert w.traffic == "7"


def test_a_registry_that_is_away_bars_no_version() -> None:
    w = live()
    w.turn()
    w.server_pod(8, phase="Pending", containerStatuses=[waiting_container("server", "ImagePullBackOff", "not found")])
    w.turn(5)
    assert w.word(names.RECONCILING) == ("True", names.IMAGE_PULL)
    w.turn(7200)
    assert (w.candidate, w.failed, w.word(names.STALLED)) == (8, None, ("True", names.IMAGE_PULL))
    w.up(8)
    w.answers(8)
    w.turn(5)
    assert w.serving == 8


def running(name: str, w: ServingHarness) -> dict[str, Any]:
    started = w.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"name": name, "ready": False, "restartCount": 0, "state": {"running": {"startedAt": started}}}


@pytest.mark.parametrize("name", ["fetch", "storage-initializer"])
def test_a_slow_download_has_all_the_time_it_takes(name: str) -> None:
    w = live()
    w.turn()
    server = waiting_container("server", "PodInitializing")
    w.server_pod(8, phase="Pending", initContainerStatuses=[running(name, w)], containerStatuses=[server])
    for _ in range(12):
        w.turn(600)
    assert (w.candidate, w.word(names.RECONCILING)) == (8, ("True", names.ROLLING_OUT))
    assert "files are being downloaded since" in w.message_of(names.RECONCILING)
    done = {"name": name, "ready": True, "state": {"terminated": {"exitCode": 0}}}
    w.pods[0]["status"] = {"phase": "Running", "initContainerStatuses": [done], "containerStatuses": []}
    w.pods[0]["status"]["containerStatuses"] = [running("server", w)]
    w.turn(299)
    assert w.candidate == 8
    w.turn(2)
    assert w.entry("failed")["reason"] == names.LOAD_FAILED


def test_a_slow_image_is_no_fault_of_the_version() -> None:
    w = live()
    w.turn()
    fetch, server = waiting_container("fetch", "PodInitializing"), waiting_container("server", "ContainerCreating")
    w.server_pod(8, phase="Pending", initContainerStatuses=[fetch], containerStatuses=[server])
    w.turn(3600)
    assert w.candidate == 8
    assert "the node pulls its image" in w.message_of(names.RECONCILING)


SECRET = waiting_container("fetch", "CreateContainerConfigError", 'secret "modelyard-store-read" not found')
STORE_DOWN = crashed_container(
    "fetch", 30, '{"outcome":"failed","reason":"StoreUnavailable","message":"x"}', restarts=9
)
DENIED = crashed_container("fetch", 17, '{"outcome":"failed","reason":"StoreAccessDenied","message":"x"}', restarts=9)


@pytest.mark.parametrize(
    ("container", "reason", "stalled"),
    [
        (SECRET, names.SECRET_MISSING, True),
        (STORE_DOWN, names.STORE_UNAVAILABLE, False),
        (DENIED, names.STORE_DENIED, True),
    ],
)
def test_what_is_not_the_versions_fault_is_waited_for(container: dict[str, Any], reason: str, stalled: bool) -> None:
    w = live()
    w.turn()
    w.server_pod(8, phase="Pending", initContainerStatuses=[container])
    w.turn(7200)
    assert w.candidate == 8
    assert w.word(names.STALLED if stalled else names.RECONCILING) == ("True", reason)
    assert w.word(names.READY) == ("True", names.SERVING)

    started = w.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    w.pods[0]["status"] = {
        "phase": "Pending",
        "initContainerStatuses": [{"name": "fetch", "ready": False, "state": {"running": {"startedAt": started}}}],
    }
    w.turn(10)
    assert w.candidate == 8, "once repaired it has its five minutes"
    w.up(8)
    w.answers(8)
    w.turn(5)
    assert w.traffic == "8"


def test_missing_secret_names_the_kubectl_line() -> None:
    w = fresh()
    w.turn()
    w.server_pod(7, phase="Pending", initContainerStatuses=[SECRET])
    w.turn(5)
    assert w.word(names.READY) == ("False", names.SECRET_MISSING)
    assert "kubectl -n shop create secret generic modelyard-store-read" in w.message_of(names.STALLED)


def test_refused_pods_and_children_are_named_and_waited_for() -> None:
    w = fresh()
    w.turn()
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: team"}
    w.deployment(7)["status"] = {"conditions": [failure]}
    w.turn(1000)
    assert w.word(names.STALLED) == ("True", names.QUOTA)
    assert "exceeded quota" in w.message_of(names.STALLED)

    other = fresh()
    other.refused = {("Deployment", "reviews-v7"): "admission webhook says no"}
    other.turn()
    other.turn(1000)
    assert other.word(names.STALLED) == ("True", names.QUOTA)
    assert "says no" in other.message_of(names.STALLED)
    assert "spec.pod of the ServingProfile" in other.message_of(names.STALLED), "what to try is said, too"
    assert other.candidate == 7


def test_a_failed_first_version_is_stalled_without_a_server() -> None:
    w = fresh()
    w.turn()
    w.hangs(7)
    w.turn(301)
    assert w.word(names.READY) == ("False", names.LOAD_FAILED)
    assert w.word(names.STALLED) == ("True", names.LOAD_FAILED)
    assert not w.children


def failed() -> ServingHarness:
    w = live()
    w.turn()
    w.hangs(8)
    w.turn(301)
    assert w.failed == 8
    return w


def test_a_failed_version_is_not_tried_again_as_it_is() -> None:
    w = failed()
    for _ in range(5):
        w.turn(3600)
    assert not w.has(8)
    assert w.word(names.STALLED) is not None
    assert w.events.count(names.LOAD_FAILED) == 1


def test_a_changed_spec_tries_again() -> None:
    w = failed()
    w.edit(a_modeldeployment(resources={"memory": "2Gi"}))
    w.turn(60)
    assert w.candidate == 8
    assert w.word(names.STALLED) is None
    w.turn(299)
    assert w.candidate == 8, "with time of its own"


def test_a_new_server_image_tries_again() -> None:
    w = failed()
    w.platform = replace(w.platform, server_image="server:2")
    w.turn(60)
    assert w.candidate == 8


def test_a_newer_version_is_tried_and_clears_the_failure() -> None:
    w = failed()
    w.put(a_ready_version(9))
    w.turn()
    assert w.candidate == 9
    w.up(9)
    w.answers(9)
    w.turn(5)
    assert w.traffic == "9"
    assert w.failed is None
    assert w.word(names.STALLED) is None


def test_pods_of_an_earlier_attempt_do_not_count() -> None:
    w = live()
    w.turn()
    w.server_pod(8, phase="Running", containerStatuses=[crashed_container("server", 137, why="OOMKilled")])
    w.edit(a_modeldeployment(resources={"memory": "4Gi"}))
    w.turn()
    assert w.candidate == 8
    assert w.failed is None


def test_pods_on_their_way_out_do_not_count() -> None:
    w = live()
    w.turn()
    w.server_pod(8, phase="Running", containerStatuses=[crashed_container("server", 137, why="OOMKilled")])
    w.pods = [deleting(w.pods[0])]
    w.turn()
    assert w.candidate == 8


def test_a_better_version_overtakes_the_candidate() -> None:
    w = live()
    w.turn()
    w.put(a_ready_version(9))
    w.turn(5)
    assert w.candidate == 9
    assert not w.has(8)
    assert w.traffic == "7"


def test_a_candidate_whose_gate_is_taken_back_goes() -> None:
    w = live()
    w.turn()
    w.put(a_ready_version(8, "failed"))
    w.turn(5)
    assert keys(w) == V7 | STABLE
    assert w.candidate is None
    assert w.word(names.RECONCILING) is None


def test_pinning_back_is_the_rollback_also_while_the_old_one_drains() -> None:
    w = live()
    w.turn()
    w.up(8)
    w.answers(8)
    w.turn(5)
    w.edit(a_modeldeployment(version=7))
    w.turn(3)
    assert (w.traffic, w.serving, w.draining) == ("7", 7, 8)
    w.turn(31)
    assert keys(w) == V7 | STABLE


def test_a_draining_server_is_never_changed() -> None:
    w = live()
    w.turn()
    w.up(8)
    w.answers(8)
    w.turn(5)
    old = w.deployment(7)
    w.edit(a_modeldeployment(resources={"cpu": 2}))
    w.turn(5)
    assert w.deployment(7) is old


def test_restarts_of_the_operator_are_harmless_at_every_point() -> None:
    """The status write of any pass may be lost: the next pass makes up for it."""
    for lost in range(8):
        w = live()
        for step in range(8):
            before = w.obj
            if step == 2:
                w.up(8)
            w.answers(8)
            w.turn(5)
            assert w.traffic in ("7", "8")
            assert w.has(int(w.traffic)), "the selected version has a server"
            if step == lost:
                w.obj = before
        w.turn(40)
        w.turn(40)
        assert w.traffic == "8"
        assert keys(w) == V8 | STABLE


def test_a_lost_status_takes_no_traffic_away() -> None:
    w = live()
    w.obj.pop("status")
    w.turn()
    assert w.traffic == "7"
    assert (w.serving, w.candidate) == (7, 8)


def test_deleting_leaves_the_children_to_the_garbage_collector() -> None:
    w = live()
    before = dict(w.children)
    w.obj = deleting(w.obj, "foregroundDeletion")
    decision = w.turn()
    assert w.children == before
    assert decision.status is None


def test_invalid_spec_leaves_everything_as_it_is() -> None:
    w = live()
    before = dict(w.children)
    w.obj = {**w.obj, "spec": {**w.obj["spec"], "serve": {"backend": "shadow"}}}
    w.turn()
    assert w.children == before
    assert w.word(names.STALLED) == ("True", names.INVALID_SPEC)
    assert "spec.serve.backend" in w.message_of(names.STALLED)
    assert w.serving == 7


def test_needs_names_the_versions_only_until_a_candidate_stands() -> None:
    w = live()
    w.turn()
    assert w.asked == []
    w.up(8)
    w.look()
    assert [fact.name for fact in w.asked] == ["manifest", "prediction"]
    assert dict(w.asked[1].args)["version"] == "8"
    assert RECONCILER.children == ("Deployment", "InferenceService", "Service")


def test_going_back_with_other_resources_waits_for_the_new_pods() -> None:
    w = live()
    w.turn()
    w.up(8)
    w.answers(8)
    w.turn(5)
    w.edit(a_modeldeployment(version=7, resources={"memory": "2Gi"}))
    w.turn(3)
    assert (w.traffic, w.candidate) == ("8", 7)
    assert w.asked == [], "the draining server still has the old resources"
    w.turn(3)
    assert w.traffic == "8"
    w.turn(40)
    assert w.has(7), "a candidate does not drain away"
    w.up(7)
    w.turn(5)
    assert w.traffic == "7"


def test_a_spec_changed_on_the_way_gives_new_time() -> None:
    w = live()
    w.turn()
    w.turn(250)
    w.edit(a_modeldeployment(resources={"memory": "2Gi"}))
    w.turn(5)
    w.hangs(8)
    w.turn(250)
    assert w.candidate == 8
    w.turn(60)
    assert w.failed == 8
