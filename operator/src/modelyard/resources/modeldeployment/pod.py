"""The containers of a server: `fetch` verifies every byte, then `serve` answers; all of it under `restricted`."""

from __future__ import annotations

from typing import Any

from modelyard.api.modeldeployment import ServeResources
from modelyard.api.pod import Pod
from modelyard.decision import Manifest, Platform
from modelyard.names import SECRET_STORE_READ
from modelyard.resources import pod_block
from modelyard.resources.containers import CONFINED, keys_from
from modelyard.resources.quantity import cpu, memory

MODEL_PATH = "/mnt/models"
HTTP_PORT = 8080
GRPC_PORT = 8081
START_SECONDS = 600
TMP: dict[str, Any] = {"name": "tmp", "mountPath": "/tmp"}
TMP_VOLUME: dict[str, Any] = {"name": "tmp", "emptyDir": {}}
POD: dict[str, Any] = {
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "terminationGracePeriodSeconds": 30,
}
"""What a server's pod is, whoever makes it."""


def pod_template(
    *, model: str, number: int, uri: str, namespace: str, resources: ServeResources, platform: Platform, added: Pod
) -> Manifest:
    """Spec of the pods with what a profile adds; the caller adds labels."""
    limits = requests_and_limits(resources)
    volume = {"name": "model", "mountPath": MODEL_PATH}
    fetch = {
        "name": "fetch",
        "args": ["fetch", uri, MODEL_PATH],
        "env": [
            *platform.store.environment(),
            {"name": "MODELYARD_NAMESPACE", "value": namespace},
            *keys_from(SECRET_STORE_READ),
        ],
        "volumeMounts": [volume, TMP],
    }
    server = {
        "name": "server",
        **server_container(),
        "env": identity_env(model, number),
        "volumeMounts": [{**volume, "readOnly": True}, TMP],
    }
    common = {"image": platform.server_image, "resources": limits, **CONFINED}
    return {
        "spec": {
            **POD,
            **pod_block.in_spec(added),
            "initContainers": [pod_block.in_container(added, {**fetch, **common})],
            "containers": [pod_block.in_container(added, {**server, **common})],
            "volumes": [{"name": "model", "emptyDir": {}}, TMP_VOLUME, *pod_block.volumes(added)],
        }
    }


def server_container() -> Manifest:
    """Command, ports and probes of the server."""
    return {
        "args": ["serve", "--model-dir", MODEL_PATH],
        "ports": [
            {"name": "http1", "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        ],
        # No preStop pause: after SIGTERM the server itself goes on answering until every node has forgotten the pod.
        "startupProbe": _probe("/v2/health/ready", every=2, failures=START_SECONDS // 2),
        "readinessProbe": _probe("/v2/health/ready", every=5, failures=2),
        "livenessProbe": _probe("/v2/health/live", every=10, failures=6),
    }


def identity_env(model: str, number: int) -> list[Manifest]:
    """As which model and version a server answers."""
    return [{"name": "MODELYARD_MODEL", "value": model}, {"name": "MODELYARD_VERSION", "value": str(number)}]


def requests_and_limits(resources: ServeResources) -> Manifest:
    """Requests equal limits."""
    limits = {"cpu": cpu(resources.cpu), "memory": memory(resources.memory)}
    return {"requests": limits, "limits": limits}


def _probe(path: str, *, every: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "http1"},
        "periodSeconds": every,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
