"""The pod template of a server: `fetch` verifies every byte, then `serve` answers; all of it under `restricted`."""

from __future__ import annotations

from typing import Any

from modelyard.api.modeldeployment import ServeResources
from modelyard.decision import Manifest, Platform
from modelyard.names import SECRET_STORE_READ
from modelyard.resources.quantity import cpu, memory

MODEL_PATH = "/mnt/models"
HTTP_PORT = 8080
GRPC_PORT = 8081
START_SECONDS = 600


def pod_template(
    *, model: str, number: int, uri: str, namespace: str, resources: ServeResources, platform: Platform
) -> Manifest:
    """Spec of the pods; the caller adds labels."""
    limits = {"cpu": cpu(resources.cpu), "memory": memory(resources.memory)}
    common = {"image": platform.server_image, "resources": {"requests": limits, "limits": limits}}
    return {
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 30,
            "initContainers": [{**_fetch(uri, namespace, platform), **common, **_confined(read_only_model=False)}],
            "containers": [{**_server(model, number), **common, **_confined(read_only_model=True)}],
            "volumes": [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        }
    }


def _fetch(uri: str, namespace: str, platform: Platform) -> Manifest:
    return {
        "name": "fetch",
        "args": ["fetch", uri, MODEL_PATH],
        "env": [
            {"name": "MODELYARD_STORE_ENDPOINT", "value": platform.store_endpoint},
            {"name": "MODELYARD_STORE_REGION", "value": platform.store_region},
            {"name": "MODELYARD_NAMESPACE", "value": namespace},
            _secret("AWS_ACCESS_KEY_ID"),
            _secret("AWS_SECRET_ACCESS_KEY"),
        ],
    }


def _server(model: str, number: int) -> Manifest:
    return {
        "name": "server",
        "args": ["serve", "--model-dir", MODEL_PATH],
        "env": [
            {"name": "MODELYARD_MODEL", "value": model},
            {"name": "MODELYARD_VERSION", "value": str(number)},
        ],
        "ports": [
            {"name": "http1", "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        # No preStop pause: after SIGTERM the server itself goes on answering until every node has forgotten the pod.
        "startupProbe": _probe("/v2/health/ready", every=2, failures=START_SECONDS // 2),
        "readinessProbe": _probe("/v2/health/ready", every=5, failures=2),
        "livenessProbe": _probe("/v2/health/live", every=10, failures=6),
    }


def _confined(*, read_only_model: bool) -> dict[str, Any]:
    model = {"name": "model", "mountPath": MODEL_PATH}
    return {
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {**model, "readOnly": True} if read_only_model else model,
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _secret(key: str) -> Manifest:
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": SECRET_STORE_READ, "key": key}}}


def _probe(path: str, *, every: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http1"},
        "periodSeconds": every,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
