"""What carries traffic goes only after what replaces it was seen; unknown is never failure."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Answer, Manifest
from tests.builders_serving import PLATFORM, a_modeldeployment, a_ready_version, deleting, make_available, stamp
from tests.unit.resources.modeldeployment.harness import ServingHarness
from tests.unit.resources.modeldeployment.test_kserve import ISVC, WITH_KSERVE, KServeHarness

STABLE = ("Service", "reviews")
SILENT = Answer(reason=names.SERVER_UNREACHABLE, message="http://reviews.shop gave no answer")


def live() -> ServingHarness:
    """7 serves, 8 is up and would answer."""
    w = ServingHarness()
    w.go_live(7)
    w.put(a_ready_version(8))
    w.turn()
    w.up(8)
    w.answers(8)
    return w


def switched() -> ServingHarness:
    """8 has just taken over, 7 drains."""
    w = live()
    w.turn(5)
    assert (w.serving, w.draining, w.traffic) == (8, 7, "8")
    return w


def states(w: ServingHarness) -> dict[int, tuple[str, int]]:
    return {v["number"]: (v["state"], v["weight"]) for v in w.status["versions"]}


def test_the_switch_counts_when_it_is_seen() -> None:
    w = live()
    decision = w.step(5)
    assert w.traffic == "8"
    assert states(w) == {7: ("serving", 100), 8: ("candidate", 0)}, "written before the Service was"
    assert decision.wake_after == 1
    w.step()
    assert states(w) == {8: ("serving", 100), 7: ("draining", 0)}


def test_nothing_goes_while_the_service_cannot_be_moved() -> None:
    w = live()
    w.lost = {STABLE}
    for _ in range(20):
        w.turn(60)
        assert w.has(7) and w.has(8) and w.traffic == "7"
        assert (w.serving, w.candidate) == (7, 8)
    w.lost = set()
    w.turn(60)
    assert (w.serving, w.draining) == (8, 7)
    w.turn(29)
    assert w.has(7), "the drain begins when the switch is seen, however long ago it was decided"
    w.turn(1)
    assert not w.has(7)


def test_the_operators_absence_during_the_switch_costs_no_drain() -> None:
    w = live()
    w.step(5)
    w.step(3600)
    assert w.has(7) and w.draining == 7


def test_a_version_drains_until_its_successor_is_up() -> None:
    w = switched()
    for number in (7, 8):
        w.deployment(number)["status"]["availableReplicas"] = 0
    w.turn(100)
    assert w.has(7) and w.traffic == "8", "nobody is better"
    w.deployment(7)["status"]["availableReplicas"] = 1
    w.turn(1)
    assert w.traffic == "7"


def gone(w: ServingHarness) -> None:
    w.remove("Deployment", "reviews-v8")


def without_pods(w: ServingHarness) -> None:
    w.deployment(8)["status"]["availableReplicas"] = 0


def on_its_way_out(w: ServingHarness) -> None:
    w.put(deleting(w.deployment(8), "foregroundDeletion"))


@pytest.mark.parametrize("end", [gone, without_pods, on_its_way_out])
def test_a_server_that_is_down_hands_back_at_once_and_is_tried_again(end: Any) -> None:
    w = switched()
    end(w)
    w.step(2)
    assert w.traffic == "7"
    w.step()
    assert (w.serving, w.candidate) == (7, 8)
    if end is on_its_way_out:
        w.turn(5)
        assert w.traffic == "7", "what is going is no candidate yet"
        gone(w)
        w.turn()
    w.put(make_available(w.deployment(8), w.now))
    w.turn(5)
    assert (w.serving, w.traffic, w.draining) == (8, "8", 7)


def test_a_version_that_nobody_sees_is_not_left() -> None:
    """KServe's Deployment is unknown for a moment: the InferenceService is there."""
    w = KServeHarness(platform=WITH_KSERVE)
    w.go_live(7)
    w.put(a_ready_version(8))
    w.turn()
    w.up(8)
    w.answers(8)
    w.turn(5)
    before = w.made["reviews-v8-predictor"]
    w.remove("Deployment", "reviews-v8-predictor")
    w.turn(1)
    assert w.traffic == "8"
    w.turn(100)
    assert w.traffic == "8" and (ISVC, "reviews-v7") in w.children, "and who drains stays meanwhile"
    w.put(before)
    w.remove(ISVC, "reviews-v8")
    w.step()
    assert w.traffic == "7"


def test_a_new_address_serves_when_it_has_answered() -> None:
    w = ServingHarness(address=SILENT)
    w.turn()
    w.up(7)
    w.answers(7)
    decision = w.turn(5)
    assert w.traffic == "7" and states(w) == {7: ("candidate", 100)}
    assert w.word(names.READY) == ("False", names.ROLLING_OUT) and decision.wake_after == 1
    assert "has not answered yet" in w.message_of(names.READY)
    assert names.SERVING not in w.events
    w.turn(61)
    assert "let pods of namespace modelyard reach it" in w.message_of(names.READY) and w.candidate == 7
    w.facts["address"] = Answer(value=True)
    w.turn(2)
    assert states(w) == {7: ("serving", 100)} and w.word(names.READY) == ("True", names.SERVING)
    w.turn(5)
    assert w.asked == [], "it has answered"
    w.facts["address"] = SILENT
    w.put(a_ready_version(8))
    w.turn()
    w.up(8)
    w.answers(8)
    w.turn(5)
    assert w.serving == 8 and w.word(names.READY) == ("True", names.SERVING), "the address is the old one"


def test_an_address_that_is_made_again_is_asked_again() -> None:
    w = ServingHarness()
    w.go_live(7)
    w.remove(*STABLE)
    w.facts["address"] = SILENT
    w.step()
    assert states(w)[7] == ("serving", 0) and w.word(names.READY) == ("False", names.ROLLING_OUT)
    w.step(1)
    assert states(w)[7] == ("candidate", 100) and w.word(names.READY) == ("False", names.ROLLING_OUT)
    w.facts["address"] = Answer(value=True)
    w.step(1)
    assert w.serving == 7 and w.word(names.READY) == ("True", names.SERVING)


def test_a_hand_that_points_traffic_nowhere_is_corrected() -> None:
    w = ServingHarness()
    w.go_live(7)
    w.children[STABLE]["spec"]["selector"][names.LABEL_VERSION] = "6"
    w.step()
    assert w.traffic == "7" and states(w) == {7: ("serving", 0)}
    w.step()
    assert states(w) == {7: ("serving", 100)}


def test_a_state_of_another_release_keeps_its_server_and_its_words() -> None:
    w = live()
    six = copy.deepcopy(w.deployment(8))
    six["metadata"]["name"] = "reviews-v6"
    w.put(six)
    shadow = {"server": "v6", "number": 6, "state": "shadow", "since": stamp(w.now), "mirrored": 10}
    w.obj["status"]["versions"].append(shadow)
    w.turn(5)
    w.turn(100)
    assert w.serving == 8 and w.has(6) and shadow in w.status["versions"]


def kserve_candidate() -> KServeHarness:
    w = KServeHarness(platform=WITH_KSERVE)
    w.go_live(7)
    w.put(a_ready_version(8))
    w.turn()
    return w


def test_kserve_that_seems_gone_removes_nothing_and_ends_no_trial() -> None:
    w = kserve_candidate()
    before = set(w.children)
    w.platform = replace(PLATFORM, kserve=False)
    w.turn(1)
    assert set(w.children) == before and w.candidate == 8 and w.traffic == "7"
    assert w.word(names.STALLED) == ("True", names.KSERVE_MISSING)
    w.platform = WITH_KSERVE
    w.up(8)
    w.answers(8)
    w.turn(5)
    assert w.serving == 8


def test_a_profile_that_is_gone_for_a_moment_ends_no_trial() -> None:
    w = live()
    w.edit(a_modeldeployment(profile="gpus"))
    w.turn(1)
    assert w.has(8) and w.candidate == 8 and w.word(names.STALLED) is not None


WEBHOOK = (
    'Internal error occurred: failed calling webhook "inferenceservice.kserve-webhook-server.defaulter": failed to '
    'call webhook: Post "https://kserve-webhook-server-service.kserve.svc:443/mutate": dial tcp: connection refused'
)


def never_made(w: KServeHarness) -> None:
    w.remove(ISVC, "reviews-v8")
    w.lost = {(ISVC, "reviews-v8")}


def refused(w: KServeHarness) -> None:
    never_made(w)
    w.refused = {(ISVC, "reviews-v8"): WEBHOOK}


def not_looked_at(w: KServeHarness) -> None:
    w.isvc(8)["status"] = {}


def begun_only(w: KServeHarness) -> None:
    w.isvc(8)["status"] = {"conditions": [{"type": "Ready", "status": "Unknown"}]}


def of_the_last_template(w: KServeHarness) -> None:
    w.up(8)
    made: Manifest = w.made["reviews-v8-predictor"]
    made["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_TEMPLATE] = "another"


@pytest.mark.parametrize("way", [never_made, refused, not_looked_at, begun_only, of_the_last_template])
def test_kserve_that_is_away_is_named_and_bars_no_version(way: Any) -> None:
    w = kserve_candidate()
    way(w)
    for _ in range(20):
        w.turn(600)
        assert (w.candidate, w.failed, w.traffic) == (8, None, "7")
    assert w.word(names.STALLED) == ("True", names.KSERVE_SILENT) and w.word(names.READY) == ("True", names.SERVING)
    for word in ("InferenceService reviews-v8", "kserve-controller-manager", "spec.serve.backend", "goes on by itself"):
        assert word in w.message_of(names.STALLED)
    w.lost, w.refused = set(), {}
    w.turn(5)
    w.up(8)
    w.answers(8)
    w.turn(5)
    assert w.serving == 8 and w.word(names.STALLED) is None


def test_kserve_without_a_runtime_bars_no_version() -> None:
    """Its webhook was away when the operator wanted to offer one."""
    w = kserve_candidate()
    told = {"message": "No runtime found to support specified framework/version"}
    w.isvc(8)["status"] = {"modelStatus": {"lastFailureInfo": told}}
    w.turn(7200)
    assert (w.candidate, w.failed, w.word(names.STALLED)) == (8, None, ("True", names.KSERVE_FAILED))


def test_a_version_of_which_no_pod_was_made_has_not_failed() -> None:
    w = ServingHarness()
    w.turn()
    w.turn(7200)
    assert (w.candidate, w.failed) == (7, None)
    w.up(7)
    w.answers(7)
    w.turn(5)
    assert w.serving == 7
