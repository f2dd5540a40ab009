"""Objects as etcd has them, below the API server: a recording comes back with its uids, times and managed fields."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import Any

Manifest = dict[str, Any]
OURS = {
    "Dataset": "datasets", "FineTuneJob": "finetunejobs", "ModelVersion": "modelversions",
    "ModelDeployment": "modeldeployments", "TrainingProfile": "trainingprofiles", "ServingProfile": "servingprofiles",
}  # fmt: skip
BUILT_IN = {
    "Job": "jobs", "Pod": "pods", "ConfigMap": "configmaps", "Deployment": "deployments", "Service": "services/specs",
}  # fmt: skip
GROUP = "modelyard.dev"

FOLDERS = [f"/registry/{GROUP}/", *(f"/registry/{name}/team/" for name in BUILT_IN.values())]
"""Where all that is recorded lies, and nothing else."""


def key(obj: Manifest) -> str:
    """Where the API server keeps it."""
    kind, meta = obj["kind"], obj["metadata"]
    folder = f"{GROUP}/{OURS[kind]}" if kind in OURS else BUILT_IN[kind]
    return "/".join(("/registry", folder, *([meta["namespace"]] if "namespace" in meta else []), meta["name"]))


def put(etcd: str, obj: Manifest) -> None:
    """Write an object past the API server, which sees it as any change."""
    _call(etcd, "put", {"key": _b64(key(obj)), "value": _b64(json.dumps(obj))})


def remove(etcd: str, path: str) -> None:
    """Everything whose key begins so."""
    end = path[:-1] + chr(ord(path[-1]) + 1)
    _call(etcd, "deleterange", {"key": _b64(path), "range_end": _b64(end)})


def _call(etcd: str, what: str, body: Manifest) -> Manifest:
    request = urllib.request.Request(f"{etcd}/v3/kv/{what}", json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
