"""Versions served through KServe: its API appears while the operator runs, and each server is an InferenceService.

Runs beside our stand-in for KServe. MODELYARD_TEST_KSERVE names another command, called with `start` (KServe's API is
served and its controller runs) and `stop` (neither): so the same tests run against the real controller.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator

import pytest

from examples.demo import install
from examples.demo.cluster import Cluster
from examples.demo.follow import is_current, ready_condition
from examples.demo.shell import run
from modelyard import names
from tests.e2e.harness import ClusterHarness, Manifest, dataset
from tests.e2e.harness import deployment as a_deployment
from tests.e2e.runs import wait_for
from tests.e2e.tampering import flipped_byte, never_serves
from tests.served import number_in
from tests.stubtrainer.behaviour import Behaviour

STAND_IN = f"{sys.executable} -m dev.localcluster kserve-standin"
COMMAND = shlex.split(os.environ.get("MODELYARD_TEST_KSERVE", STAND_IN))
TEXTS = ["thing1 superb lovely the day", "the awful broken place thing2", "usual thing3 common it was"]
IN_ORDER = True
LABELS = ["good", "bad", "plain"]
GRPC = """
import sys, grpc
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
asked = InferRequest("tiny", [InferInput("text", [1], "BYTES", [sys.argv[2].encode()])]).to_grpc()
with grpc.insecure_channel(sys.argv[1]) as channel:
    answer = GRPCInferenceServiceStub(channel).ModelInfer(asked, timeout=20)
print(answer.model_version, InferResponse.from_grpc(answer).outputs[0].as_numpy()[0].decode())
"""


@pytest.fixture(scope="module")
def kserve(cluster: Cluster) -> Iterator[Callable[[str], None]]:
    """Starts and stops KServe, or what stands in for it; off before and after."""

    def say(word: str) -> None:
        run([*COMMAND, word], echo=True)

    say("stop")
    yield say
    say("stop")


@pytest.fixture(scope="module", autouse=True)
def version(harness: ClusterHarness, kserve: Callable[[str], None]) -> None:
    """A first version, in a namespace that takes only restricted pods."""
    harness.kube("label", "namespace", harness.namespace, "pod-security.kubernetes.io/enforce=restricted")
    harness.apply(dataset("rows"), harness.stub("tiny"))
    harness.wait_ready("finetunejob", "tiny")


def test_without_kserve_a_deployment_serves(harness: ClusterHarness) -> None:
    harness.apply(deployment("plain", "tiny", version=1))
    assert serving(harness, "plain", 1)["status"]["backend"] == "deployment"


def test_it_appears_while_the_operator_runs(harness: ClusterHarness, kserve: Callable[[str], None]) -> None:
    before = operator_pod(harness)
    kserve("start")
    for kind in ("clusterservingruntime", "clusterstoragecontainer"):
        wait_for(lambda kind=kind: offered(harness, kind), 40)  # type: ignore[misc]
    assert operator_pod(harness) == before
    assert (harness.get("modeldeployment", "plain") or {})["status"]["backend"] == "deployment"


def test_a_version_is_served_by_an_inference_service(harness: ClusterHarness) -> None:
    harness.apply(deployment("tiny", "tiny"))
    assert serving(harness, "tiny", 1)["status"]["backend"] == "kserve"
    assert harness.get("inferenceservice", "tiny-v1") is not None
    assert harness.get("deployment", "tiny-v1") is None and harness.get("deployment", "tiny-v1-predictor") is not None
    answer = harness.predict("tiny", "tiny", TEXTS)
    assert [found["label"] for found in answer["predictions"]] == LABELS
    assert str(answer["version"]) == "1"


def test_grpc_through_the_stable_service(harness: ClusterHarness) -> None:
    address = f"tiny.{harness.namespace}.svc.cluster.local:8081"
    inside = ("exec", "deployment/tiny-v1-predictor", "-c", "kserve-container", "--", "python", "-c", GRPC)
    assert harness.kube(*inside, address, TEXTS[1]).split() == ["1", "bad"]


def test_the_next_version_takes_over(harness: ClusterHarness) -> None:
    harness.apply(harness.stub("tiny", behaviour=Behaviour(steps=21)))
    story = serving(harness, "tiny", 2)
    assert number_in(story, "draining") == 1
    assert str(harness.predict("tiny", "tiny", TEXTS)["version"]) == "2"
    harness.kube("delete", "inferenceservice", "tiny-v2", "--wait=false")
    wait_for(lambda: selected(harness, "tiny") == "1", 5)
    assert str(harness.predict("tiny", "tiny", TEXTS)["version"]) == "1", "who still drains takes over at once"
    serving(harness, "tiny", 2)
    assert str(harness.predict("tiny", "tiny", TEXTS)["version"]) == "2"
    wait_for(lambda: harness.get("inferenceservice", "tiny-v1") is None, 90)
    assert harness.get("inferenceservice", "tiny-v2") is not None


def test_pinned_back(harness: ClusterHarness) -> None:
    harness.apply(deployment("tiny", "tiny", version=1))
    serving(harness, "tiny", 1)
    assert str(harness.predict("tiny", "tiny", TEXTS)["version"]) == "1"


def test_deleted_by_hand_it_comes_back(harness: ClusterHarness) -> None:
    before = harness.get("inferenceservice", "tiny-v1") or {}
    harness.kube("delete", "inferenceservice", "tiny-v1", "--wait=false")
    runtime = offered(harness, "clusterservingruntime")
    harness.kube("delete", "clusterservingruntime", str(runtime))
    uid = before["metadata"]["uid"]
    harness.wait("inferenceservice", "tiny-v1", lambda o: bool(o["metadata"]["uid"] != uid), 60)
    wait_for(lambda: offered(harness, "clusterservingruntime") == runtime, 40)
    harness.wait("modeldeployment", "tiny", lambda o: ready_condition(o).get("status") == "True", 180)
    wait_for(lambda: answers(harness, "tiny"), 60)


def test_a_flipped_byte_is_never_served(cluster: Cluster, harness: ClusterHarness) -> None:
    with flipped_byte(cluster, harness.get("modelversion", "tiny-2") or {}):
        never_serves(harness, deployment("tampered", "tiny", version=2))


def test_the_spec_moves_the_backend(harness: ClusterHarness) -> None:
    pinned = deployment("plain", "tiny", version=1)
    pinned["spec"]["serve"]["backend"] = "kserve"
    harness.apply(pinned)
    harness.wait("inferenceservice", "plain-v1", lambda o: True, 60)
    wait_for(lambda: harness.get("deployment", "plain-v1") is None, 120)
    moved = serving(harness, "plain", 1)
    assert moved["status"]["backend"] == "kserve" and ready_condition(moved)["status"] == "True"
    assert answers(harness, "plain") == "1"


def test_without_it_again_the_condition_says_what_to_do(harness: ClusterHarness, kserve: Callable[[str], None]) -> None:
    harness.delete("modeldeployment", "tiny")
    kserve("stop")
    message = harness.wait_reason("modeldeployment", "plain", "KServeMissing", 60)
    assert "spec.serve.backend" in message
    harness.patch("modeldeployment", "plain", {"serve": {"backend": "deployment"}})
    harness.wait("modeldeployment", "plain", lambda o: ready_condition(o).get("status") == "True", 120)
    wait_for(lambda: answers(harness, "plain") == "1", 60)


def deployment(name: str, model: str, **model_fields: int) -> Manifest:
    """With CPU for a client beside the server."""
    made = a_deployment(name, model, **model_fields)
    made["spec"]["serve"]["resources"]["cpu"] = 0.4
    return made


def serving(harness: ClusterHarness, name: str, number: int) -> Manifest:
    """The ModelDeployment once this version has the traffic."""
    return harness.wait("modeldeployment", name, lambda o: is_current(o) and number_in(o) == number, 240)


def selected(harness: ClusterHarness, name: str) -> str:
    """The version that the stable Service selects."""
    service = harness.get("service", name) or {}
    return str(service["spec"]["selector"][names.LABEL_VERSION])


def answers(harness: ClusterHarness, name: str) -> str:
    """The version that answers at the stable address, empty if none does."""
    try:
        return str(harness.predict(name, "tiny", TEXTS)["version"])
    except OSError:
        return ""


def offered(harness: ClusterHarness, kind: str) -> str:
    """Name of what the operator offers to KServe, empty while there is nothing."""
    chosen = f"modelyard.dev/installation={install.OPERATOR_NAMESPACE}"
    return harness.cluster.kube(
        "get", kind, "-l", chosen, "-o", "jsonpath={.items[0].metadata.name}", "--ignore-not-found"
    )


def operator_pod(harness: ClusterHarness) -> list[tuple[str, int]]:
    """Which operator it is and how often it was started."""
    chosen = ("-n", install.OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=modelyard")
    found = json.loads(harness.cluster.kube("get", "pod", *chosen, "-o", "json"))["items"]
    return [(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in found]
