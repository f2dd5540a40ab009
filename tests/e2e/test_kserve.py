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
from tests.e2e.runs import wait_for
from tests.e2e.tampering import flipped_byte, never_serves
from tests.e2e.yard import Manifest, Yard, dataset
from tests.e2e.yard import deployment as a_deployment
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
def version(yard: Yard, kserve: Callable[[str], None]) -> None:
    """A first version, in a namespace that takes only restricted pods."""
    yard.kube("label", "namespace", yard.namespace, "pod-security.kubernetes.io/enforce=restricted")
    yard.apply(dataset("rows"), yard.stub("tiny"))
    yard.wait_ready("finetunejob", "tiny")


def test_without_kserve_a_deployment_serves(yard: Yard) -> None:
    yard.apply(deployment("plain", "tiny", version=1))
    assert serving(yard, "plain", 1)["status"]["backend"] == "deployment"


def test_it_appears_while_the_operator_runs(yard: Yard, kserve: Callable[[str], None]) -> None:
    before = operator_pod(yard)
    kserve("start")
    for kind in ("clusterservingruntime", "clusterstoragecontainer"):
        wait_for(lambda kind=kind: offered(yard, kind), 40)  # type: ignore[misc]
    assert operator_pod(yard) == before
    assert (yard.get("modeldeployment", "plain") or {})["status"]["backend"] == "deployment"


def test_a_version_is_served_by_an_inference_service(yard: Yard) -> None:
    yard.apply(deployment("tiny", "tiny"))
    assert serving(yard, "tiny", 1)["status"]["backend"] == "kserve"
    assert yard.get("inferenceservice", "tiny-v1") is not None
    assert yard.get("deployment", "tiny-v1") is None and yard.get("deployment", "tiny-v1-predictor") is not None
    answer = yard.predict("tiny", "tiny", TEXTS)
    assert [found["label"] for found in answer["predictions"]] == LABELS
    assert str(answer["version"]) == "1"


def test_grpc_through_the_stable_service(yard: Yard) -> None:
    address = f"tiny.{yard.namespace}.svc.cluster.local:8081"
    inside = ("exec", "deployment/tiny-v1-predictor", "-c", "kserve-container", "--", "python", "-c", GRPC)
    assert yard.kube(*inside, address, TEXTS[1]).split() == ["1", "bad"]


def test_the_next_version_takes_over(yard: Yard) -> None:
    yard.apply(yard.stub("tiny", behaviour=Behaviour(steps=21)))
    story = serving(yard, "tiny", 2)
    assert number_in(story, "draining") == 1
    assert str(yard.predict("tiny", "tiny", TEXTS)["version"]) == "2"
    yard.kube("delete", "inferenceservice", "tiny-v2", "--wait=false")
    wait_for(lambda: selected(yard, "tiny") == "1", 5)
    assert str(yard.predict("tiny", "tiny", TEXTS)["version"]) == "1", "who still drains takes over at once"
    serving(yard, "tiny", 2)
    assert str(yard.predict("tiny", "tiny", TEXTS)["version"]) == "2"
    wait_for(lambda: yard.get("inferenceservice", "tiny-v1") is None, 90)
    assert yard.get("inferenceservice", "tiny-v2") is not None


def test_pinned_back(yard: Yard) -> None:
    yard.apply(deployment("tiny", "tiny", version=1))
    serving(yard, "tiny", 1)
    assert str(yard.predict("tiny", "tiny", TEXTS)["version"]) == "1"


def test_deleted_by_hand_it_comes_back(yard: Yard) -> None:
    before = yard.get("inferenceservice", "tiny-v1") or {}
    yard.kube("delete", "inferenceservice", "tiny-v1", "--wait=false")
    runtime = offered(yard, "clusterservingruntime")
    yard.kube("delete", "clusterservingruntime", str(runtime))
    uid = before["metadata"]["uid"]
    yard.wait("inferenceservice", "tiny-v1", lambda o: bool(o["metadata"]["uid"] != uid), 60)
    wait_for(lambda: offered(yard, "clusterservingruntime") == runtime, 40)
    yard.wait("modeldeployment", "tiny", lambda o: ready_condition(o).get("status") == "True", 180)
    wait_for(lambda: answers(yard, "tiny"), 60)


def test_a_flipped_byte_is_never_served(cluster: Cluster, yard: Yard) -> None:
    with flipped_byte(cluster, yard.get("modelversion", "tiny-2") or {}):
        never_serves(yard, deployment("tampered", "tiny", version=2))


def test_the_spec_moves_the_backend(yard: Yard) -> None:
    pinned = deployment("plain", "tiny", version=1)
    pinned["spec"]["serve"]["backend"] = "kserve"
    yard.apply(pinned)
    yard.wait("inferenceservice", "plain-v1", lambda o: True, 60)
    wait_for(lambda: yard.get("deployment", "plain-v1") is None, 120)
    moved = serving(yard, "plain", 1)
    assert moved["status"]["backend"] == "kserve" and ready_condition(moved)["status"] == "True"
    assert answers(yard, "plain") == "1"


def test_without_it_again_the_condition_says_what_to_do(yard: Yard, kserve: Callable[[str], None]) -> None:
    yard.delete("modeldeployment", "tiny")
    kserve("stop")
    message = yard.wait_reason("modeldeployment", "plain", "KServeMissing", 60)
    assert "spec.serve.backend" in message
    yard.patch("modeldeployment", "plain", {"serve": {"backend": "deployment"}})
    yard.wait("modeldeployment", "plain", lambda o: ready_condition(o).get("status") == "True", 120)
    wait_for(lambda: answers(yard, "plain") == "1", 60)


def deployment(name: str, model: str, **model_fields: int) -> Manifest:
    """With CPU for a client beside the server."""
    made = a_deployment(name, model, **model_fields)
    made["spec"]["serve"]["resources"]["cpu"] = 0.4
    return made


def serving(yard: Yard, name: str, number: int) -> Manifest:
    """The ModelDeployment once this version has the traffic."""
    return yard.wait("modeldeployment", name, lambda o: is_current(o) and number_in(o) == number, 240)


def selected(yard: Yard, name: str) -> str:
    """The version that the stable Service selects."""
    service = yard.get("service", name) or {}
    return str(service["spec"]["selector"][names.LABEL_VERSION])


def answers(yard: Yard, name: str) -> str:
    """The version that answers at the stable address, empty if none does."""
    try:
        return str(yard.predict(name, "tiny", TEXTS)["version"])
    except OSError:
        return ""


def offered(yard: Yard, kind: str) -> str:
    """Name of what the operator offers to KServe, empty while there is nothing."""
    chosen = f"modelyard.dev/installation={install.OPERATOR_NAMESPACE}"
    return yard.cluster.kube(
        "get", kind, "-l", chosen, "-o", "jsonpath={.items[0].metadata.name}", "--ignore-not-found"
    )


def operator_pod(yard: Yard) -> list[tuple[str, int]]:
    """Which operator it is and how often it was started."""
    chosen = ("-n", install.OPERATOR_NAMESPACE, "-l", "app.kubernetes.io/name=modelyard")
    found = json.loads(yard.cluster.kube("get", "pod", *chosen, "-o", "json"))["items"]
    return [(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in found]
