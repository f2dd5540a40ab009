"""A ServingProfile in the pods of servers, with both backends; what it cannot do, and when it counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Manifest
from tests.builders import an_object
from tests.builders_serving import PLATFORM, a_modeldeployment
from tests.cluster.manifests import FULL_POD
from tests.unit.resources.modeldeployment.harness import ServingHarness

GOLD = {"matchLabels": {"tier": "gold"}}


def a_servingprofile(name: str = names.DEFAULT_PROFILE, **spec: Any) -> Manifest:
    return an_object(names.API_VERSION, "ServingProfile", name, spec, namespace="")


def harness(*profiles: Manifest, labels: dict[str, str] | None = None, **serve: Any) -> ServingHarness:
    obj = a_modeldeployment(**serve)
    obj["metadata"]["labels"] = labels or {}
    return ServingHarness(*profiles, obj=obj)


def live(*profiles: Manifest, **more: Any) -> ServingHarness:
    w = harness(*profiles, **more)
    w.go_live(7)
    return w


def template(w: ServingHarness) -> Manifest:
    return dict(w.deployment(7)["spec"]["template"])


def reason(w: ServingHarness) -> str:
    return str(w.obj["status"]["conditions"][0]["reason"])


def test_without_a_profile_all_is_as_it_was() -> None:
    plain = template(live())
    assert plain == template(live(a_servingprofile()))
    assert "serviceAccountName" not in plain["spec"] and "tolerations" not in plain["spec"]


def test_every_field_reaches_the_pod() -> None:
    made = template(live(a_servingprofile("gpu", pod=FULL_POD), profile="gpu", labels={"team": "a", "x": "y"}))
    spec = made["spec"]
    for field in ("imagePullSecrets", "serviceAccountName", "priorityClassName", "runtimeClassName", "nodeSelector",
                  "tolerations", "affinity", "topologySpreadConstraints"):  # fmt: skip
        assert spec[field] == FULL_POD[field], field
    assert made["metadata"]["annotations"].items() >= FULL_POD["annotations"].items()
    marks = made["metadata"]["labels"]
    assert (marks["cost-centre"], marks["team"], marks.get("x")) == ("42", "a", None)
    for container in (*spec["initContainers"], *spec["containers"]):
        assert {"HF_HUB_OFFLINE", "NODE", "KEY"} <= {entry["name"] for entry in container["env"]}
        assert container["envFrom"] == FULL_POD["envFrom"]
        assert {"/cache", "/etc/ca", "/data", "/dev/shm"} <= {m["mountPath"] for m in container["volumeMounts"]}
        assert container["resources"]["limits"]["ephemeral-storage"] == "20Gi"


def test_our_labels_win() -> None:
    pod = {"labels": {names.LABEL_VERSION: "1", names.MANAGED_BY: "me"}, "copyLabels": [names.LABEL_DEPLOYMENT]}
    w = live(a_servingprofile(pod=pod), labels={names.LABEL_DEPLOYMENT: "other"})
    deployment = w.deployment(7)["spec"]
    assert deployment["selector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()
    assert deployment["template"]["metadata"]["labels"][names.MANAGED_BY] == names.MANAGED_BY_VALUE


def test_the_same_under_kserve() -> None:
    w = harness(a_servingprofile(pod=FULL_POD), labels={"team": "a"}, backend="kserve")
    w.platform = replace(PLATFORM, kserve=True)
    made = next(child.manifest for child in w.look().children if child.key[0] == "InferenceService")
    predictor = made["spec"]["predictor"]
    assert predictor["tolerations"] == FULL_POD["tolerations"] and predictor["serviceAccountName"] == "trainer"
    assert {volume["name"] for volume in predictor["volumes"]} == {"cache", "ca", "data", "shm"}
    assert {"HF_HUB_OFFLINE"} <= {entry["name"] for entry in predictor["model"]["env"]}
    assert made["metadata"]["labels"].items() >= {"team": "a", "cost-centre": "42"}.items()
    assert made["metadata"]["annotations"].items() >= FULL_POD["annotations"].items()


def test_an_edited_profile_leaves_what_serves_alone() -> None:
    w = live(a_servingprofile(pod={"nodeSelector": {"pool": "a"}}))
    before = template(w)
    w.put(a_servingprofile(pod={"nodeSelector": {"pool": "b"}}))
    w.turn()
    assert template(w) == before


def test_another_profile_named_by_the_user_counts_at_once() -> None:
    w = live(a_servingprofile("b", pod={"nodeSelector": {"pool": "b"}}))
    w.edit(a_modeldeployment(profile="b"))
    w.turn()
    assert template(w)["spec"]["nodeSelector"] == {"pool": "b"}


def test_a_profile_that_is_not_there_starts_nothing() -> None:
    w = harness(profile="gone")
    w.turn()
    assert not w.has(7) and reason(w) == names.PROFILE_NOT_FOUND
    assert "spec.serve.profile" in w.obj["status"]["conditions"][0]["message"]


@pytest.mark.parametrize("labels", [{}, {"tier": "silver"}])
def test_a_profile_of_others_starts_nothing(labels: dict[str, str]) -> None:
    w = harness(a_servingprofile("gold", namespaces=GOLD, pod=FULL_POD), profile="gold")
    w.facts["namespace_labels"] = labels
    w.turn()
    assert not w.has(7) and reason(w) == names.NOT_ALLOWED
    w.facts["namespace_labels"] = {"tier": "gold"}
    w.turn()
    assert template(w)["spec"]["serviceAccountName"] == "trainer"


def test_what_serves_goes_on_when_its_profile_is_taken_back_and_takes_nothing_more_from_it() -> None:
    w = harness(a_servingprofile("gold", namespaces=GOLD, pod={"nodeSelector": {"pool": "a"}}), profile="gold")
    w.facts["namespace_labels"] = {"tier": "gold"}
    w.go_live(7)
    before = template(w)
    w.facts["namespace_labels"] = {}
    w.edit(a_modeldeployment(profile="gold", resources={"memory": "3Gi"}))
    w.turn()
    assert template(w) == before
    stalled = [c for c in w.obj["status"]["conditions"] if c["type"] == names.STALLED]
    assert stalled and stalled[0]["reason"] == names.NOT_ALLOWED
