"""What the stand-in makes of an InferenceService; the same was seen of KServe v0.20.0 (docs/kserve.md)."""

from __future__ import annotations

from typing import Any

import pytest

from dev.localcluster.kserve_standin import controller, predictor, status
from dev.localcluster.kserve_standin.api import Manifest
from modelyard.resources.modeldeployment import offered
from tests.unit.resources.modeldeployment.test_kserve import WITH_KSERVE, live

RUNTIME, FETCH = offered(WITH_KSERVE)
RUNTIMES, FETCHERS = ({o["metadata"]["name"]: o} for o in (RUNTIME, FETCH))


@pytest.fixture
def service() -> Manifest:
    made = live().isvc(7)
    del made["status"]
    return made


def test_labels_and_annotations_reach_the_pods(service: Manifest) -> None:
    made = predictor.deployment(service, RUNTIME, FETCH)
    for meta in (made["metadata"], made["spec"]["template"]["metadata"]):
        assert service["metadata"]["labels"].items() <= meta["labels"].items()
        assert service["metadata"]["annotations"].items() <= meta["annotations"].items()
        assert meta["labels"]["app"] == "isvc.reviews-v7-predictor"
    assert made["metadata"]["name"] == "reviews-v7-predictor"
    assert made["spec"]["replicas"] == 1
    assert made["metadata"]["ownerReferences"][0]["uid"] == service["metadata"]["uid"]


def test_the_pod_is_the_runtime_with_the_model_on_top(service: Manifest) -> None:
    pod = predictor.pod(service, RUNTIME, FETCH)
    (server,), (init,) = pod["containers"], pod["initContainers"]
    assert server["resources"] == service["spec"]["predictor"]["model"]["resources"]
    assert {e["name"] for e in server["env"]} == {"MODELYARD_MODEL", "MODELYARD_VERSION"}
    assert server["image"] == "server:1" and server["ports"] == RUNTIME["spec"]["containers"][0]["ports"]
    assert init["name"] == "storage-initializer"
    assert init["args"] == [service["spec"]["predictor"]["model"]["storageUri"], "/mnt/models"]
    assert init["command"] == FETCH["spec"]["container"]["command"]
    assert {m["mountPath"]: m.get("readOnly", False) for m in server["volumeMounts"]} == {
        "/tmp": False,
        "/mnt/models": True,
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert "storageContainerName" not in pod and "model" not in pod


def test_ports_of_the_service(service: Manifest) -> None:
    ports = predictor.service_of(service, RUNTIME)["spec"]["ports"]
    found = [(port["name"], port["port"], port["targetPort"], port.get("appProtocol")) for port in ports]
    assert found == [("http1", 80, 8080, None), ("grpc", 8081, 8081, "kubernetes.io/h2c")]


class FakeApi:
    """Remembers what is applied and what is reported."""

    def __init__(self, service: Manifest, runtimes: dict[str, Manifest], fetchers: dict[str, Manifest]) -> None:
        self.lists = {"inferenceservices": [service], "clusterservingruntimes": list(runtimes.values())}
        self.lists |= {"clusterstoragecontainers": list(fetchers.values()), "deployments": []}
        self.applied: list[str] = []
        self.reports: list[Manifest] = []

    def list(self, path: str) -> list[Manifest]:
        return self.lists[path.split("?")[0].rpartition("/")[2]]

    def apply(self, path: str, manifest: Manifest) -> Manifest:
        self.applied.append(path.rpartition("/")[2])
        if manifest["kind"] == "Deployment":
            self.lists["deployments"] = [manifest]
        return manifest

    def merge(self, path: str, change: Manifest) -> None:
        self.reports.append(change["status"])
        self.lists["inferenceservices"][0]["status"] = change["status"]


def test_it_is_level_based(service: Manifest) -> None:
    api, done = FakeApi(service, RUNTIMES, FETCHERS), dict[str, Any]()
    for _ in range(3):
        controller.look(api, done)  # type: ignore[arg-type]
    assert api.applied == ["reviews-v7-predictor"] * 2
    api.lists["deployments"] = []
    controller.look(api, done)  # type: ignore[arg-type]
    assert api.applied == ["reviews-v7-predictor"] * 3


@pytest.mark.parametrize("missing", ["runtime", "fetch"])
def test_what_is_missing_is_told(service: Manifest, missing: str) -> None:
    api = FakeApi(service, {} if missing == "runtime" else RUNTIMES, {} if missing == "fetch" else FETCHERS)
    controller.look(api, {})  # type: ignore[arg-type]
    assert api.reports[0]["modelStatus"]["lastFailureInfo"]["message"]
    assert not api.applied


def test_ready_comes_as_early_as_kserves(service: Manifest) -> None:
    told = {"conditions": [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}
    for deployment, word in (({"status": told}, "True"), ({"status": {}}, "False"), (None, "False")):
        found = status.of_deployment(service, deployment)["conditions"]
        assert {c["type"]: c["status"] for c in found}["Ready"] == word
