"""Objects of the second half of a model's life, as the API server would show them."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard import names
from modelyard.api.modeldeployment import ModelDeploymentSpec
from modelyard.api.modelversion import ModelVersionSpec
from modelyard.decision import Manifest, Platform
from tests.builders import artifacts, measured, trained

NAMESPACE = "shop"
MODEL = "reviews"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
PLATFORM = Platform(
    trainer_image="trainer:1", server_image="server:1", store_endpoint="http://store:9000", store_bucket="modelyard"
)
NEGATIVE = {"precision": 0.8, "recall": 0.55, "f1": 0.65, "support": 40}


def run_of(number: int) -> str:
    return f"run{number:04d}"


def prefix_of(number: int, model: str = MODEL, namespace: str = NAMESPACE) -> str:
    return f"ns/{namespace}/models/{model}/runs/{run_of(number)}/version/"


def digest_of(number: int) -> str:
    return f"sha256:{number:064x}"


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def a_condition(type_: str, status: str, reason: str = "Word", message: str = "") -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(NOW - timedelta(hours=1)),
        "observedGeneration": 1,
    }


def a_modelversion(number: int = 7, **spec: Any) -> Manifest:
    """A ModelVersion nobody has looked at yet."""
    wanted = {
        "model": MODEL,
        "number": number,
        "task": "text-classification",
        "uri": f"s3://modelyard/{prefix_of(number)}",
        "digest": digest_of(number),
        "size": 91_000_000,
        "artifacts": artifacts("safetensors", "onnx", difference=2e-6),
        "lineage": trained(run_of(number), "reviews-job", digest_of(1)),
        "metrics": [measured(0.742, 0.81, negative=NEGATIVE)],
        **spec,
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {
            "name": f"{MODEL}-{number}", "namespace": NAMESPACE, "uid": f"uid-mv-{number}", "generation": 1,
        },
        "spec": ModelVersionSpec.model_validate(wanted).dump(),
    }  # fmt: skip


def a_ready_version(number: int = 7, gate: str = "passed", **spec: Any) -> Manifest:
    """A verified and judged ModelVersion."""
    status = {
        "observedGeneration": 1,
        "gate": gate,
        "conditions": [
            a_condition(names.READY, "True", names.VERSION_VERIFIED),
            a_condition(names.VERIFIED, "True", names.VERSION_VERIFIED, "91 MB match"),
        ],
    }
    return {**a_modelversion(number, **spec), "status": status}


def a_stalled_version(number: int = 7, gate: str = "passed", reason: str = names.CORRUPT) -> Manifest:
    """A ModelVersion whose verification was refuted."""
    status = {
        "observedGeneration": 1,
        "gate": gate,
        "conditions": [
            a_condition(names.READY, "False", reason, "model.onnx differs"),
            a_condition(names.STALLED, "True", reason, "model.onnx differs"),
            a_condition(names.VERIFIED, "False", reason, "model.onnx differs"),
        ],
    }
    return {**a_modelversion(number), "status": status}


def deleting(obj: Manifest, *finalizers: str) -> Manifest:
    """The object after `kubectl delete`, held by finalizers."""
    meta = {**obj["metadata"], "deletionTimestamp": stamp(NOW), "finalizers": list(finalizers)}
    return {**obj, "metadata": meta}


def a_modeldeployment(version: int | None = None, name: str = MODEL, **serve: Any) -> Manifest:
    """A ModelDeployment that follows, or pins `version`."""
    which = {"follow": "latest-passed"} if version is None else {"version": version}
    spec = {"model": {"name": MODEL, **which}, "serve": serve}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "generation": 1},
        "spec": ModelDeploymentSpec.model_validate(spec).dump(),
    }


def serving(number: int, name: str = MODEL, **others: int) -> Manifest:
    """A ModelDeployment that serves a version; `others` are states and the numbers that are in them."""
    said = [{"server": f"v{n}", "number": n, "state": state, "since": stamp(NOW)} for state, n in others.items()]
    first = {"server": f"v{number}", "number": number, "state": "serving", "weight": 100, "since": stamp(NOW)}
    return {**a_modeldeployment(name=name), "status": {"observedGeneration": 1, "versions": [first, *said]}}


def make_available(deployment: Manifest, at: datetime = NOW) -> Manifest:
    """The Deployment after its controller has done everything."""
    replicas = deployment["spec"]["replicas"]
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), replicas)
    condition = {"type": "Available", "status": "True", "lastTransitionTime": stamp(at)}
    live = copy.deepcopy(deployment)
    live["status"] = {"observedGeneration": live["metadata"].get("generation"), "conditions": [condition], **counts}
    return live


def a_server_pod(deployment: Manifest, name: str = "pod-1", at: datetime = NOW, **status: Any) -> Manifest:
    """A pod of a server's Deployment."""
    template = copy.deepcopy(deployment["spec"]["template"])
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "set", "uid": "uid-set", "controller": True}
    meta = {**template["metadata"], "name": name, "namespace": NAMESPACE, "creationTimestamp": stamp(at)}
    meta["ownerReferences"] = [owner]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"], "status": status}


def waiting_container(name: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "image": "server:1",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
    }


def crashed_container(name: str, code: int, message: str = "", restarts: int = 0, why: str = "Error") -> dict[str, Any]:
    return {
        "name": name,
        "image": "server:1",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": code, "message": message, "reason": why}},
    }
