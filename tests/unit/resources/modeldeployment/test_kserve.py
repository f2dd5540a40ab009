"""The same rules where KServe runs the servers: an InferenceService per version, judged by what KServe makes of it."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Manifest
from modelyard.resources.modeldeployment import offered, used
from tests.builders_serving import (
    PLATFORM,
    a_modeldeployment,
    a_ready_version,
    a_server_pod,
    digest_of,
    make_available,
    prefix_of,
    stamp,
    waiting_container,
)
from tests.unit.resources.modeldeployment.harness import ServingHarness

WITH_KSERVE = replace(PLATFORM, kserve=True)
ISVC = "InferenceService"


class KServeHarness(ServingHarness):
    """KServe's controller is played by hand: it makes Deployments of InferenceServices."""

    @property
    def made(self) -> dict[str, Manifest]:
        return {name: obj for (kind, name), obj in self.others.items() if kind == "Deployment"}

    def isvc(self, number: int | str) -> Manifest:
        return self.children[ISVC, f"reviews-v{number}"]

    def up(self, *numbers: int | str) -> None:
        for number in numbers:
            self.put(make_available(kserve_deployment(self.isvc(number)), self.now))
            self.isvc(number)["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}


def owner(uid: str) -> Manifest:
    return {"apiVersion": "serving.kserve.io/v1beta1", "kind": ISVC, "uid": uid, "controller": True}


def kserve_deployment(isvc: Manifest) -> Manifest:
    """What KServe makes: labels and annotations of the InferenceService on the Deployment and its pods."""
    meta = isvc["metadata"]
    marks = {"labels": dict(meta["labels"]), "annotations": dict(meta["annotations"])}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{meta['name']}-predictor",
            "namespace": "shop",
            "generation": 1,
            "ownerReferences": [owner(meta["uid"])],
            **copy.deepcopy(marks),
        },
        "spec": {
            "replicas": isvc["spec"]["predictor"]["minReplicas"],
            "template": {"metadata": copy.deepcopy(marks), "spec": {}},
        },
    }


def harness(**more: Any) -> KServeHarness:
    return KServeHarness(platform=WITH_KSERVE, **more)


def live(**more: Any) -> KServeHarness:
    w = harness(**more)
    w.go_live(7)
    return w


def test_an_inference_service_per_version() -> None:
    w = live(obj=a_modeldeployment(replicas={"min": 2}))
    assert sorted(w.children) == [(ISVC, "reviews-v7"), ("Service", "reviews"), ("Service", "reviews-v7")]
    assert w.status["backend"] == "kserve"
    isvc = w.isvc(7)
    predictor = isvc["spec"]["predictor"]
    assert isvc["apiVersion"] == "serving.kserve.io/v1beta1"
    assert predictor["minReplicas"] == 2
    assert predictor["model"]["modelFormat"] == {"name": "modelyard"}
    assert predictor["model"]["storageUri"] == f"modelyard://modelyard/{prefix_of(7)}@{digest_of(7)}"
    assert predictor["model"]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert {e["name"]: e["value"] for e in predictor["model"]["env"]} == {
        "MODELYARD_MODEL": "reviews",
        "MODELYARD_VERSION": "7",
    }
    assert predictor["automountServiceAccountToken"] is False
    assert predictor["securityContext"]["runAsNonRoot"] is True
    annotations = isvc["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
    assert annotations["serving.kserve.io/autoscalerClass"] == "none"
    assert isvc["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"


def test_the_stable_service_selects_what_kserve_copies_to_the_pods() -> None:
    w = live()
    selector = w.children["Service", "reviews"]["spec"]["selector"]
    assert selector == {names.LABEL_DEPLOYMENT: "reviews", names.LABEL_VERSION: "7", names.LABEL_SERVER: "v7"}
    assert selector.items() <= w.isvc(7)["metadata"]["labels"].items()


def test_it_refers_to_what_is_offered() -> None:
    runtime, fetch = offered(WITH_KSERVE)
    predictor = live().isvc(7)["spec"]["predictor"]
    assert predictor["model"]["runtime"] == runtime["metadata"]["name"]
    assert predictor["storageContainerName"] == fetch["metadata"]["name"]
    assert runtime["spec"]["supportedModelFormats"][0]["name"] == predictor["model"]["modelFormat"]["name"]
    assert predictor["model"]["storageUri"].startswith(fetch["spec"]["supportedUriFormats"][0]["prefix"])


def test_what_is_offered_is_restricted() -> None:
    runtime, fetch = offered(WITH_KSERVE)
    for container in (runtime["spec"]["containers"][0], fetch["spec"]["container"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        assert container["image"] == "server:1"
    ports = {port["name"]: port["containerPort"] for port in runtime["spec"]["containers"][0]["ports"]}
    assert ports == {"http1": 8080, "grpc": 8081}
    assert fetch["spec"]["container"]["command"][-1] == "fetch"
    assert fetch["spec"]["container"]["envFrom"] == [{"secretRef": {"name": "modelyard-store-read"}}]
    assert fetch["spec"]["workloadType"] == "initContainer"


def test_another_release_offers_others_beside_them() -> None:
    before = [o["metadata"]["name"] for o in offered(WITH_KSERVE)]
    for changed in (replace(WITH_KSERVE, server_image="server:2"), replace(WITH_KSERVE, namespace="other")):
        assert not set(before) & {o["metadata"]["name"] for o in offered(changed)}


def test_used_names_what_inference_services_refer_to() -> None:
    runtime, fetch = offered(WITH_KSERVE)
    wanted = {(o["kind"], o["metadata"]["name"]) for o in (runtime, fetch)}
    assert used([live().isvc(7)]) == wanted
    assert used([{"spec": {"predictor": {}}}, {}]) & wanted == set()


def test_a_new_release_restarts_no_server() -> None:
    w = live()
    before = json.dumps(w.isvc(7))
    w.platform = replace(w.platform, server_image="server:2", store_region="eu-1")
    w.turn()
    assert json.dumps(w.isvc(7)) == before
    assert w.word(names.READY) == ("True", names.SERVING)


def test_what_kserve_copies_to_pods_changes_with_the_template_only() -> None:
    w = live()
    before = w.isvc(7)["metadata"]
    w.edit(a_modeldeployment(replicas={"min": 3}))
    w.turn()
    assert w.isvc(7)["spec"]["predictor"]["minReplicas"] == 3
    assert [w.isvc(7)["metadata"][field] for field in ("labels", "annotations")] == [
        before[field] for field in ("labels", "annotations")
    ]
    assert w.word(names.RECONCILING) == ("True", names.ROLLING_OUT)
    w.up(7)
    w.turn()
    assert w.word(names.RECONCILING) is None


def test_ready_of_kserve_alone_moves_no_traffic() -> None:
    w = live()
    w.put(a_ready_version(8))
    w.turn()
    w.isvc(8)["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    w.answers(8)
    w.turn(5)
    assert w.traffic == "7" and w.candidate == 8
    assert w.asked == []


@pytest.mark.parametrize(
    "behind",
    [
        {"observedGeneration": 0},
        {"updatedReplicas": 0},
        {"availableReplicas": 0},
        {"replicas": 2},
    ],
)
def test_a_deployment_that_is_not_complete_moves_no_traffic(behind: dict[str, int]) -> None:
    w = live()
    w.put(a_ready_version(8))
    w.turn()
    w.up(8)
    w.answers(8)
    w.made["reviews-v8-predictor"]["status"].update(behind)
    w.turn(5)
    assert w.traffic == "7" and w.candidate == 8
    w.up(8)
    w.turn(5)
    assert w.traffic == "8"


def test_a_deployment_of_an_older_template_or_owner_moves_no_traffic() -> None:
    w = live()
    w.put(a_ready_version(8))
    w.turn()
    w.up(8)
    w.answers(8)
    stale = w.made["reviews-v8-predictor"]
    stale["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_TEMPLATE] = "another"
    w.turn(5)
    assert w.traffic == "7"
    w.up(8)
    w.made["reviews-v8-predictor"]["metadata"]["ownerReferences"] = [owner("gone")]
    w.turn(5)
    assert w.traffic == "7"


def test_a_wrong_answer_moves_no_traffic() -> None:
    w = live()
    w.put(a_ready_version(8))
    w.turn()
    w.up(8)
    w.answers(8, 7)
    w.turn(5)
    assert w.traffic == "7"
    w.turn(61)
    assert w.failed == 8 and "answered as version 7" in w.message_of(names.STALLED)
    assert (ISVC, "reviews-v8") not in w.children


def test_the_next_version_takes_over_and_the_old_one_drains() -> None:
    w = live()
    w.put(a_ready_version(8))
    w.turn()
    w.up(8)
    w.answers(8)
    w.turn(5)
    assert w.traffic == "8" and (ISVC, "reviews-v7") in w.children
    w.turn(31)
    assert (ISVC, "reviews-v7") not in w.children


def test_kserves_own_words_are_told() -> None:
    w = harness()
    w.turn()
    info = {"reason": "NoSupportingRuntime", "message": "No runtime found to support specified framework/version"}
    w.isvc(7)["status"] = {"modelStatus": {"lastFailureInfo": info}}
    w.turn(5)
    assert w.word(names.READY) == ("False", names.KSERVE_FAILED)
    assert "No runtime found" in w.message_of(names.READY) and "reviews-v7" in w.message_of(names.READY)


def test_a_silent_controller_is_named_and_waited_for() -> None:
    w = harness()
    w.turn()
    w.isvc(7)["metadata"]["creationTimestamp"] = stamp(w.now)
    w.turn(10)
    assert w.word(names.STALLED) is None
    w.turn(1000)
    assert w.word(names.STALLED) == ("True", names.KSERVE_SILENT)
    assert "kserve-controller-manager" in w.message_of(names.READY) and "spec.serve.backend" in w.message_of(
        names.READY
    )
    w.up(7)
    w.answers(7)
    w.turn(5)
    assert w.traffic == "7"


def test_pods_of_kserve_are_diagnosed() -> None:
    w = harness()
    w.turn()
    w.up(7)
    made = w.made["reviews-v7-predictor"]
    made["status"] = {"observedGeneration": 1, "replicas": 1}
    text = 'secret "modelyard-store-read" not found'
    w.pods = [
        a_server_pod(
            made,
            phase="Pending",
            initContainerStatuses=[waiting_container("storage-initializer", "CreateContainerConfigError", text)],
        )
    ]
    w.turn(5)
    assert w.word(names.STALLED) == ("True", names.SECRET_MISSING)


def test_kserve_that_comes_later_changes_no_backend() -> None:
    w = KServeHarness()
    w.turn()
    w.put(make_available(w.children["Deployment", "reviews-v7"], w.now))
    w.answers(7)
    w.turn(5)
    assert w.status["backend"] == "deployment"
    w.platform = WITH_KSERVE
    w.put(a_ready_version(8))
    w.turn()
    assert ("Deployment", "reviews-v8") in w.children and (ISVC, "reviews-v8") not in w.children


def test_a_lost_status_is_told_by_what_runs() -> None:
    w = live()
    w.obj = {key: value for key, value in w.obj.items() if key != "status"}
    w.turn()
    assert w.status["backend"] == "kserve" and w.serving == 7


def test_the_spec_moves_the_backend_and_the_old_server_stays_until_the_new_one_stands() -> None:
    w = live()
    moved = a_modeldeployment(backend="deployment")
    w.edit(moved)
    w.turn()
    assert (ISVC, "reviews-v7") in w.children and ("Deployment", "reviews-v7") in w.children
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.RECONCILING) == ("True", names.ROLLING_OUT)
    w.put(make_available(w.children["Deployment", "reviews-v7"], w.now))
    w.turn()
    assert (ISVC, "reviews-v7") not in w.children
    assert w.status["backend"] == "deployment" and w.traffic == "7"
    assert w.word(names.RECONCILING) is None


def test_without_kserve_a_wish_for_it_is_stuck_and_says_so() -> None:
    w = KServeHarness(obj=a_modeldeployment(backend="kserve"))
    w.turn()
    assert w.word(names.STALLED) == ("True", names.KSERVE_MISSING)
    assert "spec.serve.backend" in w.message_of(names.READY) and "install KServe" in w.message_of(names.READY)
    assert not w.children
    w.platform = WITH_KSERVE
    w.go_live(7)
    assert w.word(names.READY) == ("True", names.SERVING)


def test_kserve_that_goes_away_is_named_and_healed_by_the_spec() -> None:
    w = live()
    w.platform = PLATFORM
    w.remove("Deployment")
    w.remove(ISVC, "reviews-v7")
    w.turn()
    assert w.word(names.STALLED) == ("True", names.KSERVE_MISSING)
    assert "status.backend is kserve" in w.message_of(names.READY)
    assert w.traffic == "7" and (ISVC, "reviews-v7") not in w.children
    w.edit(a_modeldeployment(backend="deployment"))
    w.turn()
    w.put(make_available(w.children["Deployment", "reviews-v7"], w.now))
    w.turn()
    assert w.word(names.READY) == ("True", names.SERVING)


def test_deleted_by_hand_it_is_made_again() -> None:
    w = live()
    for kind, name in w.children:
        w.remove(kind, name)
    w.remove("Deployment")
    w.now += timedelta(seconds=1)
    w.turn()
    assert (ISVC, "reviews-v7") in w.children and w.traffic == "7"


def test_edits_by_hand_are_repaired() -> None:
    w = live()
    before = json.dumps(w.isvc(7)["spec"], sort_keys=True)
    w.isvc(7)["spec"]["predictor"]["model"]["storageUri"] = "s3://elsewhere/"
    w.turn()
    assert json.dumps(w.isvc(7)["spec"], sort_keys=True) == before
