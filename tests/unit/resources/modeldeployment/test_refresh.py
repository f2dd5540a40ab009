"""What the installation changes reaches a server by a trial, on request, and never takes away what answers."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Platform
from tests.builders_serving import PLATFORM, a_modeldeployment, a_ready_version, a_stalled_version
from tests.unit.resources.modeldeployment.harness import ServingHarness
from tests.unit.resources.modeldeployment.test_kserve import ISVC, WITH_KSERVE, KServeHarness
from tests.unit.resources.modeldeployment.test_profile import a_servingprofile

NEW = {
    "image": replace(PLATFORM, server_image="server:2"),
    "endpoint": replace(PLATFORM, store_endpoint="https://elsewhere:9000"),
    "authorities": replace(PLATFORM, store_ca_bundle="-----BEGIN CERTIFICATE-----\nx"),
}


def live(platform: Platform = PLATFORM, **serve: Any) -> ServingHarness:
    """7 serves and is as new."""
    w = ServingHarness(platform=platform, obj=a_modeldeployment(**serve))
    w.go_live(7)
    assert w.word(names.OUT_OF_DATE) is None and "behind" not in w.entry("serving")
    return w


def ask(w: ServingHarness, value: str = "a") -> None:
    w.obj = {**w.obj, "metadata": {**w.obj["metadata"], "annotations": {names.ANNOTATION_REFRESH: value}}}


def servers(w: ServingHarness) -> dict[str, str]:
    return {v["server"]: v["state"] for v in w.status["versions"]}


def stable(w: ServingHarness) -> str:
    return str(w.children["Service", "reviews"]["spec"]["selector"][names.LABEL_SERVER])


def image(w: ServingHarness, server: str) -> str:
    return str(w.deployment(server)["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize("changed", NEW)
def test_another_installation_moves_nothing_and_the_status_says_who_is_behind(changed: str) -> None:
    w = live()
    before = copy.deepcopy(w.children)
    w.platform = NEW[changed]
    w.turn()
    assert w.children == before
    assert w.entry("serving")["behind"] == ["image" if changed == "image" else "store"]
    assert w.word(names.OUT_OF_DATE) == ("True", names.SERVER_CHANGED)
    assert "kubectl annotate modeldeployment reviews modelyard.dev/refresh=VALUE" in w.message_of(names.OUT_OF_DATE)
    assert w.word(names.READY) == ("True", names.SERVING) and w.status["phase"] == "Serving"
    w.turn(3600)
    assert w.children == before


def test_asked_for_it_is_moved_by_a_trial() -> None:
    w = live()
    w.platform = NEW["image"]
    ask(w)
    w.turn()
    assert servers(w) == {"v7": "serving", "v7-2": "candidate"} and w.status["phase"] == "RollingOut"
    assert (stable(w), image(w, "7"), image(w, "7-2")) == ("v7", "server:1", "server:2")
    assert "refreshed" not in w.status and "it is being moved" in w.message_of(names.OUT_OF_DATE)
    w.up("7-2")
    w.turn(5)
    assert stable(w) == "v7", "available is not enough"
    w.answers("7-2")
    w.step(5)
    assert stable(w) == "v7-2" and servers(w)["v7"] == "serving", "the switch counts when it is seen"
    w.step()
    assert servers(w) == {"v7-2": "serving", "v7": "draining"}
    assert w.status["refreshed"] == "a" and w.word(names.OUT_OF_DATE) is None
    assert w.has("7")
    w.turn(31)
    assert servers(w) == {"v7-2": "serving"} and not w.has("7")
    assert ("Service", "reviews-v7") not in w.children
    before = w.births, w.deaths, w.changes
    w.turn(3600)
    assert (w.births, w.deaths, w.changes) == before


def test_pods_of_the_candidate_get_no_traffic_before_the_switch() -> None:
    w = live()
    w.platform = NEW["image"]
    ask(w)
    w.turn()
    selector = w.children["Service", "reviews"]["spec"]["selector"].items()
    labels = w.deployment("7-2")["spec"]["template"]["metadata"]["labels"].items()
    assert not selector <= labels
    assert w.children["Service", "reviews-v7-2"]["spec"]["selector"].items() <= labels


def test_each_value_is_acted_on_once() -> None:
    w = live()
    ask(w, "first")
    w.turn()
    assert w.status["refreshed"] == "first" and servers(w) == {"v7": "serving"}, "there was nothing to do"
    w.platform = NEW["image"]
    w.turn()
    assert servers(w) == {"v7": "serving"}, "what came later was not asked for"
    ask(w, "second")
    w.turn()
    assert servers(w) == {"v7": "serving", "v7-2": "candidate"}


def test_one_that_fails_leaves_what_serves_and_is_tried_again_for_a_new_value() -> None:
    w = live()
    w.platform = NEW["endpoint"]
    ask(w)
    w.turn()
    w.up("7-2")
    w.answers("7-2", "nothing")
    w.turn(5)
    w.turn(61)
    assert servers(w) == {"v7": "serving", "v7-2": "failed"} and not w.has("7-2") and stable(w) == "v7"
    assert w.status["refreshed"] == "a" and w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.STALLED) == ("True", names.PROBE_FAILED)
    assert "modelyard.dev/refresh has a new value" in w.message_of(names.STALLED)
    w.turn(3600)
    assert servers(w) == {"v7": "serving", "v7-2": "failed"}
    ask(w, "b")
    w.turn()
    assert servers(w) == {"v7": "serving", "v7-2": "candidate"}
    w.up("7-2")
    w.answers("7-2")
    w.turn(5)
    assert servers(w)["v7-2"] == "serving" and w.status["refreshed"] == "b" and w.word(names.STALLED) is None


def test_who_takes_the_request_back_ends_the_trial() -> None:
    w = live()
    w.platform = NEW["image"]
    ask(w)
    w.turn()
    w.obj = {**w.obj, "metadata": {k: v for k, v in w.obj["metadata"].items() if k != "annotations"}}
    w.turn()
    assert servers(w) == {"v7": "serving"} and not w.has("7-2")


@pytest.mark.parametrize("changed", NEW)
def test_an_installation_that_says_so_is_followed_without_being_asked(changed: str) -> None:
    w = live()
    w.platform = replace(NEW[changed], refresh=True)
    w.turn()
    assert servers(w) == {"v7": "serving", "v7-2": "candidate"}
    w.up("7-2")
    w.answers("7-2")
    w.turn(5)
    assert servers(w) == {"v7-2": "serving", "v7": "draining"}


def test_an_edited_profile_is_followed_only_when_asked() -> None:
    w = live(replace(PLATFORM, refresh=True))
    w.put(a_servingprofile(pod={"priorityClassName": "high"}))
    w.turn()
    assert servers(w) == {"v7": "serving"} and w.entry("serving")["behind"] == ["template"]
    assert w.word(names.OUT_OF_DATE) == ("True", names.TEMPLATE_CHANGED)
    ask(w)
    w.turn()
    assert servers(w) == {"v7": "serving", "v7-2": "candidate"}


def test_a_failed_one_is_not_tried_in_a_circle() -> None:
    w = live()
    w.platform = replace(NEW["image"], refresh=True)
    w.turn()
    w.up("7-2")
    w.answers("7-2", "nothing")
    w.turn(5)
    w.turn(61)
    starts = w.events.count(names.ROLLING_OUT)
    for _ in range(10):
        w.turn(600)
    assert servers(w) == {"v7": "serving", "v7-2": "failed"} and w.events.count(names.ROLLING_OUT) == starts
    w.platform = replace(w.platform, server_image="server:3")
    w.turn()
    assert servers(w) == {"v7": "serving", "v7-2": "candidate"}, "another image is another try"


def test_a_new_version_comes_before_a_refresh_and_brings_it_along() -> None:
    w = live()
    w.platform = NEW["image"]
    ask(w)
    w.turn()
    w.put(a_ready_version(8))
    w.turn()
    assert servers(w) == {"v7": "serving", "v8": "candidate"} and not w.has("7-2")
    w.up(8)
    w.answers(8)
    w.turn(5)
    assert servers(w) == {"v8": "serving", "v7": "draining"} and w.status["refreshed"] == "a"


def refreshed() -> ServingHarness:
    """7 has been refreshed."""
    w = live()
    w.platform = NEW["image"]
    ask(w)
    w.turn()
    w.up("7-2")
    w.answers("7-2")
    w.turn(5)
    w.turn(31)
    assert servers(w) == {"v7-2": "serving"}
    return w


def test_a_second_refresh_goes_on_counting() -> None:
    w = refreshed()
    w.platform = replace(w.platform, server_image="server:3")
    ask(w, "b")
    w.turn()
    assert servers(w) == {"v7-2": "serving", "v7-3": "candidate"}


def test_a_lost_status_is_found_again() -> None:
    w = refreshed()
    before = copy.deepcopy(w.children)
    w.obj = {k: v for k, v in w.obj.items() if k != "status"}
    w.turn()
    assert servers(w) == {"v7-2": "serving"} and w.children == before
    assert w.status["refreshed"] == "a"


def test_back_to_a_refreshed_version_takes_the_server_that_is_there() -> None:
    w = refreshed()
    w.put(a_ready_version(8))
    w.turn()
    w.up(8)
    w.answers(8)
    w.turn(5)
    w.edit(a_modeldeployment(7))
    w.turn(5)
    assert servers(w) == {"v7-2": "serving", "v8": "draining"}, "it was up and answered"


def test_one_that_goes_down_hands_back_to_who_still_drains() -> None:
    w = live()
    w.platform = NEW["image"]
    ask(w)
    w.turn()
    w.up("7-2")
    w.answers("7-2")
    w.turn(5)
    w.deployment("7-2")["status"]["availableReplicas"] = 0
    w.turn(5)
    assert stable(w) == "v7" and w.has("7")


def test_a_version_that_is_not_ready_waits_with_the_request() -> None:
    w = live()
    w.platform = NEW["image"]
    w.put(a_stalled_version(7))
    ask(w)
    w.turn()
    assert servers(w) == {"v7": "serving"} and "refreshed" not in w.status
    w.put(a_ready_version(7))
    w.turn()
    assert servers(w) == {"v7": "serving", "v7-2": "candidate"}


def test_a_profile_that_is_gone_keeps_the_candidate() -> None:
    w = live()
    w.put(a_servingprofile("mine"))
    w.edit(a_modeldeployment(profile="mine"))
    w.turn()
    w.up(7)
    w.turn()
    w.platform = NEW["image"]
    ask(w)
    w.turn()
    w.remove("ServingProfile", "mine")
    w.turn()
    assert w.has("7") and w.has("7-2") and "refreshed" not in w.status


def test_a_name_that_would_be_too_long_is_told() -> None:
    number = 123_456_789  # 36 + 11 + 4 characters fit, -2 does not
    w = ServingHarness(versions=(number,), obj=a_modeldeployment(name="r" * 36))
    w.go_live(number)
    w.platform = NEW["image"]
    ask(w)
    w.turn()
    assert servers(w) == {f"v{number}": "serving"} and w.word(names.STALLED) == ("True", names.NAME_TOO_LONG)
    assert w.word(names.READY) == ("True", names.SERVING)


def test_under_kserve_runtime_and_storage_container_are_named_anew() -> None:
    w = KServeHarness(platform=WITH_KSERVE)
    w.go_live(7)
    w.platform = replace(WITH_KSERVE, store_endpoint="https://elsewhere:9000")
    w.turn()
    assert w.entry("serving")["behind"] == ["store"]
    w.platform = replace(WITH_KSERVE, server_image="server:2")
    w.turn()
    assert w.entry("serving")["behind"] == ["image", "store"], "the image fetches, too"
    ask(w)
    w.turn()
    assert (ISVC, "reviews-v7-2") in w.children and (ISVC, "reviews-v7") in w.children
    assert stable(w) == "v7"
