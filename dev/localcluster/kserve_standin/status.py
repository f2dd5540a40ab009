"""The status of an InferenceService, as its Deployment or a fault makes it."""

from datetime import UTC, datetime
from typing import Any

Manifest = dict[str, Any]


def of_deployment(service: Manifest, deployment: Manifest | None) -> Manifest:
    """Ready as soon as the Deployment says Available or that a new ReplicaSet is there: one pod may be enough."""
    told = {c["type"]: c for c in (deployment or {}).get("status", {}).get("conditions", [])}
    available = told.get("Available", {}).get("status") == "True"
    complete = told.get("Progressing", {}).get("reason") == "NewReplicaSetAvailable"
    word = "True" if available or complete else "False"
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    return {
        "observedGeneration": service["metadata"]["generation"],
        "deploymentMode": "Standard",
        "url": f"http://{name}-predictor.{namespace}.svc.cluster.local",
        "conditions": _conditions(service, {"PredictorReady": word, "IngressReady": word, "Ready": word}),
        "modelStatus": {"transitionStatus": "UpToDate" if word == "True" else "InProgress"},
    }


def of_fault(service: Manifest, reason: str, message: str) -> Manifest:
    """Nothing can be made of it."""
    return {
        "observedGeneration": service["metadata"]["generation"],
        "deploymentMode": "Standard",
        "conditions": _conditions(service, {"PredictorReady": "False", "Ready": "False"}, message),
        "modelStatus": {
            "transitionStatus": "InvalidSpec",
            "lastFailureInfo": {"reason": reason, "message": message},
        },
    }


def _conditions(service: Manifest, words: dict[str, str], message: str = "") -> list[Manifest]:
    before = {c["type"]: c for c in service.get("status", {}).get("conditions", [])}
    return [_condition(type_, word, message, before.get(type_, {})) for type_, word in words.items()]


def _condition(type_: str, word: str, message: str, before: Manifest) -> Manifest:
    same = before.get("status") == word
    moment = before["lastTransitionTime"] if same else datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": type_, "status": word, "lastTransitionTime": moment, **({"message": message} if message else {})}
