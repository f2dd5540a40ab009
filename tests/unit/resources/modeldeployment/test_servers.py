from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.apply import covers
from modelyard.resources.modeldeployment.serving_runtime import offered
from modelyard.resources.quantity import cpu, memory
from tests.builders_serving import (
    a_modeldeployment,
    a_ready_version,
    a_server_pod,
    a_stalled_version,
    crashed_container,
    digest_of,
    prefix_of,
)
from tests.unit.resources.modeldeployment.harness import ServingHarness

PEM = "-----BEGIN CERTIFICATE-----"

SELECTOR = {names.LABEL_DEPLOYMENT: "reviews", names.LABEL_VERSION: "7", names.LABEL_SERVER: "v7"}


def live(**more: Any) -> ServingHarness:
    w = ServingHarness(**more)
    w.go_live(7)
    return w


def template(w: ServingHarness) -> Manifest:
    return dict(w.deployment(7)["spec"]["template"])


def test_deployment() -> None:
    spec = live(obj=a_modeldeployment(replicas={"min": 2})).deployment(7)["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert spec["selector"]["matchLabels"] == {
        names.LABEL_DEPLOYMENT: "reviews",
        names.LABEL_VERSION: "7",
        names.LABEL_SERVER: "v7",
    }
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_an_autoscaler_reads_the_pods_of_the_serving_version_and_a_candidate_gets_as_many() -> None:
    w = live(obj=a_modeldeployment(replicas={"min": 3}))
    w.turn()
    assert w.status["replicas"] == 3
    assert w.status["selector"] == "modelyard.dev/deployment=reviews,modelyard.dev/server=v7,modelyard.dev/version=7"
    w.edit(a_modeldeployment(replicas={"min": 5}))
    w.put(a_ready_version(8))
    w.turn()
    assert w.deployment(8)["spec"]["replicas"] == w.deployment(7)["spec"]["replicas"] == 5
    assert w.status["selector"].endswith("version=7")


def test_pod_is_restricted() -> None:
    pod = template(live())["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["image"] == "server:1"
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
        assert container["resources"]["requests"] == container["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}


def test_fetch_reads_the_pinned_artifacts_with_the_read_only_secret() -> None:
    (fetch,) = template(live())["spec"]["initContainers"]
    assert fetch["name"] == "fetch"
    assert fetch["args"] == ["fetch", f"modelyard://modelyard/{prefix_of(7)}@{digest_of(7)}", "/mnt/models"]
    env = {e["name"]: e.get("value") or e["valueFrom"]["secretKeyRef"] for e in fetch["env"]}
    assert env["MODELYARD_STORE_ENDPOINT"] == "http://store:9000"
    assert env["MODELYARD_STORE_REGION"] == "us-east-1"
    assert env["MODELYARD_NAMESPACE"] == "shop"
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert env[key] == {"name": "modelyard-store-read", "key": key}


def test_fetch_reaches_the_store_as_the_installation_does() -> None:
    w = ServingHarness()
    proxy = "http://proxy:3128"
    w.platform = replace(w.platform, store_ca_bundle=PEM, store_proxy=proxy, store_addressing="virtualHost")
    w.turn()
    (fetch,) = template(w)["spec"]["initContainers"]
    env = {entry["name"]: entry.get("value") for entry in fetch["env"]}
    assert env["MODELYARD_STORE_CA"] == PEM
    assert env["MODELYARD_STORE_PROXY"] == "http://proxy:3128"
    assert env["MODELYARD_STORE_ADDRESSING"] == "virtualHost"
    container = offered(w.platform)[1]["spec"]["container"]
    assert [entry for entry in container["env"] if entry["name"].startswith("MODELYARD_STORE_")] == [
        entry for entry in fetch["env"] if entry["name"].startswith("MODELYARD_STORE_")
    ]


def test_server_has_no_key_and_its_probes() -> None:
    (server,) = template(live())["spec"]["containers"]
    assert server["args"] == ["serve", "--model-dir", "/mnt/models"]
    assert server["env"] == [
        {"name": "MODELYARD_MODEL", "value": "reviews"},
        {"name": "MODELYARD_VERSION", "value": "7"},
    ]
    assert [(port["name"], port["containerPort"]) for port in server["ports"]] == [("http1", 8080), ("grpc", 8081)]
    assert server["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert server["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] >= 300


def test_services_select_deployment_and_version() -> None:
    w = live()
    for name in ("reviews", "reviews-v7"):
        spec = w.children["Service", name]["spec"]
        assert spec["selector"] == {
            names.LABEL_DEPLOYMENT: "reviews",
            names.LABEL_VERSION: "7",
            names.LABEL_SERVER: "v7",
        }
        ports = [(port["name"], port["port"], port["targetPort"], port.get("appProtocol")) for port in spec["ports"]]
        assert ports == [("http1", 80, 8080, None), ("grpc", 8081, 8081, "kubernetes.io/h2c")]


def test_a_new_release_restarts_no_server() -> None:
    w = live()
    before = json.dumps(w.deployment(7))
    w.platform = replace(w.platform, server_image="server:2", store_region="eu-1")
    w.turn()
    assert json.dumps(w.deployment(7)) == before
    assert w.word(names.READY) == ("True", names.SERVING)


def test_replicas_follow_the_spec_without_touching_the_pods() -> None:
    w = live()
    w.platform = replace(w.platform, server_image="server:2")
    before = template(w)
    w.edit(a_modeldeployment(replicas={"min": 3}))
    w.turn()
    assert w.deployment(7)["spec"]["replicas"] == 3
    assert template(w) == before
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.RECONCILING) == ("True", names.ROLLING_OUT)
    w.up(7)
    w.turn()
    assert w.word(names.RECONCILING) is None


def test_changed_resources_roll_the_same_deployment() -> None:
    w = live()
    w.edit(a_modeldeployment(resources={"memory": "2048Mi", "cpu": 0.5}))
    w.turn()
    (server,) = template(w)["spec"]["containers"]
    assert server["resources"]["limits"] == {"cpu": "500m", "memory": "2Gi"}
    assert w.candidate is None
    assert w.traffic == "7"
    changes = w.births + w.changes
    w.turn()
    assert w.births + w.changes == changes


def test_changed_resources_wait_while_a_candidate_is_on_trial_and_reach_the_old_one_if_it_fails() -> None:
    w = live()
    w.put(a_ready_version(8))
    w.edit(a_modeldeployment(resources={"memory": "2Gi"}, replicas={"min": 2}))
    before = template(w)
    w.turn()
    assert template(w) == before
    assert w.deployment(7)["spec"]["replicas"] == 2
    w.hangs(8)
    w.turn(301)
    assert w.failed == 8
    assert template(w)["spec"]["containers"][0]["resources"]["limits"]["memory"] == "2Gi"


def test_nothing_is_rolled_out_from_a_corrupt_version() -> None:
    w = live()
    w.put(a_stalled_version(7))
    w.edit(a_modeldeployment(version=7, resources={"memory": "2Gi"}))
    before = template(w)
    w.turn()
    assert template(w) == before


@pytest.mark.parametrize("version_is_there", [True, False])
def test_edits_by_hand_are_repaired(version_is_there: bool) -> None:
    w = live()
    before = template(w)
    if not version_is_there:
        w.remove("ModelVersion")
    w.platform = replace(w.platform, server_image="server:2")
    w.deployment(7)["spec"]["replicas"] = 0
    w.deployment(7)["spec"]["template"] = {
        **before,
        "spec": {**before["spec"], "containers": [{**before["spec"]["containers"][0], "image": "evil:1"}]},
    }
    w.children["Service", "reviews"]["spec"]["selector"] = {"app": "other"}
    w.turn()
    assert w.deployment(7)["spec"]["replicas"] == 1
    assert template(w) == before
    assert w.traffic == "7"


@pytest.mark.parametrize("pin", ["", "{}", "[]", "not json", '{"metadata": {"labels": {}}}'])
def test_a_lost_pin_is_made_anew(pin: str) -> None:
    w = live()
    w.deployment(7)["metadata"]["annotations"][names.ANNOTATION_PINNED] = pin
    w.turn()
    assert covers(template(w), json.loads(w.deployment(7)["metadata"]["annotations"][names.ANNOTATION_PINNED]))


def test_a_lost_pin_of_a_version_without_object_is_left_alone() -> None:
    w = live()
    w.remove("ModelVersion")
    w.deployment(7)["metadata"]["annotations"][names.ANNOTATION_PINNED] = ""
    before = json.dumps(w.deployment(7))
    w.turn()
    assert json.dumps(w.deployment(7)) == before


def test_deleted_by_hand_is_made_again() -> None:
    w = live()
    for kind, name in w.children:
        w.remove(kind, name)
    w.turn()
    assert w.has(7)
    assert w.traffic == "7"
    w.turn()
    assert w.word(names.READY) == ("False", names.WAITING_FOR_POD)
    w.up(7)
    w.turn()
    assert w.word(names.READY) == ("True", names.SERVING)


def test_a_serving_version_without_pods_says_why() -> None:
    w = live()
    w.deployment(7)["status"]["availableReplicas"] = 0
    crashed = crashed_container("server", 137, why="OOMKilled", restarts=4)
    w.pods = [a_server_pod(w.deployment(7), phase="Running", containerStatuses=[crashed])]
    w.turn()
    assert w.word(names.READY) == ("False", names.OUT_OF_MEMORY)
    assert "spec.serve.resources.memory" in w.message_of(names.STALLED)
    assert w.traffic == "7"


def test_a_stuck_rolling_update_serves_on_and_says_why() -> None:
    w = live()
    w.edit(a_modeldeployment(resources={"memory": "900Gi"}))
    w.turn()
    w.deployment(7)["status"].update(updatedReplicas=0)
    told = "0/1 nodes are available: 1 Insufficient memory."
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": told}
    w.pods = [a_server_pod(w.deployment(7), phase="Pending", conditions=[waits])]
    w.facts["capacity"] = {"memory": {"most": 24.0 * (1 << 30), "free": 0.0}}
    w.turn()
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.RECONCILING) == ("True", names.UNSCHEDULABLE)
    assert "no node has more than 24Gi; lower spec.serve.resources.memory" in w.message_of(names.RECONCILING)


@pytest.mark.parametrize(
    ("cores", "text"), [(1, "1"), (0.5, "500m"), (1.5, "1500m"), (0.1, "100m"), (0.0001, "1m"), (64.0, "64")]
)
def test_cpu(cores: float, text: str) -> None:
    assert cpu(cores) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("1Gi", "1Gi"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1048576Ki", "1Gi"),
        ("1500M", "1500M"),
        ("2000M", "2G"),
        ("4Ti", "4Ti"),
        ("4096Ti", "4096Ti"),
        ("1000k", "1M"),
    ],
)
def test_memory(given: str, text: str) -> None:
    assert memory(given) == text


def test_a_refuted_version_that_cannot_start_again_needs_a_human() -> None:
    w = live()
    w.put(a_stalled_version(7))
    w.deployment(7)["status"]["availableReplicas"] = 0
    w.server_pod(7, phase="Running", containerStatuses=[crashed_container("server", 1, "cannot load")])
    w.turn()
    assert w.word(names.STALLED) == ("True", names.LOAD_FAILED)
    assert w.word(names.RECONCILING) is None
    assert "model.onnx differs" in w.message_of(names.STALLED)
