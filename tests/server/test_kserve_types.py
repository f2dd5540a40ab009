"""What the operator sends to KServe, parsed by the types of the published SDK: every field is known and survives."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import kserve.models
import kubernetes.client
import pytest

from modelyard.decision import Answer, Fact, Observed, Ref, Select
from modelyard.resources.modeldeployment import RECONCILER, offered
from tests.builders_serving import NOW, PLATFORM, a_modeldeployment, a_ready_version

WITH_KSERVE = replace(PLATFORM, kserve=True)
RUNTIME, FETCH = offered(WITH_KSERVE)


def inference_service() -> dict[str, Any]:
    """The first one of a deployment, with all that a user may set, as the core decides it: no engine is needed here."""
    wished = a_modeldeployment(replicas={"min": 2}, resources={"cpu": 0.5, "memory": "2Gi"})
    seen = Observed(platform=WITH_KSERVE)
    for _ in range(4):
        asked = set(RECONCILER.needs(wished, seen))
        seen = replace(
            seen,
            lists={need: (a_ready_version(7),) for need in asked if isinstance(need, Select)},
            objects={need: None for need in asked if isinstance(need, Ref)},
            facts={need: Answer({}) for need in asked if isinstance(need, Fact)},
        )
    children = (child.manifest for child in RECONCILER.decide(wished, seen, NOW).children)
    (made,) = (manifest for manifest in children if manifest["kind"] == "InferenceService")
    return made


@pytest.fixture(autouse=True)
def found_by_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client looks for types by name in its own models; KServe's stand beside them."""
    for name, type_ in vars(kserve.models).items():
        if isinstance(type_, type):
            monkeypatch.setattr(kubernetes.client.models, name, type_, raising=False)
    strategy = kubernetes.client.V1DeploymentStrategy  # under the name that the SDK's generator left
    monkeypatch.setattr(kubernetes.client.models, "K8sIoApiAppsV1DeploymentStrategy", strategy, raising=False)


def parsed(manifest: dict[str, Any], type_: str) -> Any:
    """Into the SDK's type and back."""
    client = kubernetes.client.ApiClient()
    found = client._ApiClient__deserialize(json.loads(json.dumps(manifest)), type_)
    return client.sanitize_for_serialization(found)


CASES = {
    "V1beta1InferenceService": inference_service(),
    "V1alpha1ClusterServingRuntime": RUNTIME,
    "V1alpha1ClusterStorageContainer": FETCH,
}


@pytest.mark.parametrize("type_", CASES)
def test_the_sdk_knows_every_field(type_: str) -> None:
    assert list(lost(CASES[type_], parsed(CASES[type_], type_))) == []


def test_a_field_that_the_sdk_does_not_know_is_noticed() -> None:
    manifest = json.loads(json.dumps(RUNTIME))
    manifest["spec"]["supportedModels"] = []
    assert list(lost(manifest, parsed(manifest, "V1alpha1ClusterServingRuntime"))) == [".spec.supportedModels"]


def lost(sent: Any, back: Any, path: str = "") -> Iterator[str]:
    """Paths of what did not come back as it was sent; the SDK adds an empty name to a model."""
    if isinstance(sent, dict) and isinstance(back, dict):
        for key, value in sent.items():
            yield from lost(value, back.get(key), f"{path}.{key}")
    elif isinstance(sent, list) and isinstance(back, list) and len(sent) == len(back):
        for number, (one, other) in enumerate(zip(sent, back, strict=True)):
            yield from lost(one, other, f"{path}[{number}]")
    elif sent != back:
        yield path
