"""What the installation offers to KServe: how a version is fetched and how it is served.

Both are named after their content: another release makes new ones beside them, and a version that is live keeps
those it went live with. KServe mounts the model at /mnt/models of both containers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache

from modelyard import names
from modelyard.decision import Manifest, Platform
from modelyard.resources.containers import CONFINED
from modelyard.resources.modeldeployment.pod import TMP, TMP_VOLUME, server_container

SERVING = "serving.kserve.io"
FORMAT = "modelyard"
SCHEME = "modelyard://"
FETCH_RESOURCES = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
SERVER_RESOURCES = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
"""Of a server whose InferenceService names none; ours always do."""


@lru_cache(maxsize=4)
def offered(platform: Platform) -> tuple[Manifest, Manifest]:
    """The ClusterServingRuntime and the ClusterStorageContainer of this release."""
    return serving_runtime(platform), storage_container(platform)


def used(services: Iterable[Manifest]) -> set[tuple[str, str]]:
    """Kind and name of what InferenceServices refer to."""
    found: set[tuple[str, str]] = set()
    for service in services:
        predictor = service.get("spec", {}).get("predictor", {})
        found.add(("ClusterServingRuntime", predictor.get("model", {}).get("runtime", "")))
        found.add(("ClusterStorageContainer", predictor.get("storageContainerName", "")))
    return found


def serving_runtime(platform: Platform) -> Manifest:
    """Our server under KServe; model, version and resources come from the InferenceService."""
    container = {
        "name": "kserve-container",
        "image": platform.server_image,
        **server_container(),
        "resources": SERVER_RESOURCES,
        "volumeMounts": [TMP],
        **CONFINED,
    }
    spec = {
        "supportedModelFormats": [{"name": FORMAT, "version": "1"}],
        "protocolVersions": ["v1", "v2", "grpc-v2"],
        "containers": [container],
        "volumes": [TMP_VOLUME],
    }
    return _named("ClusterServingRuntime", spec, platform)


def storage_container(platform: Platform) -> Manifest:
    """Our `fetch`, which hashes every file, for URIs of our scheme."""
    container = {
        "name": "storage-initializer",
        "image": platform.server_image,
        "command": ["python", "-m", "modelyard_server", "fetch"],
        "env": [
            *platform.store.environment(),
            {"name": "MODELYARD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ],
        "envFrom": [{"secretRef": {"name": names.SECRET_STORE_READ}}],
        "resources": FETCH_RESOURCES,
        **CONFINED,
    }
    spec = {"container": container, "supportedUriFormats": [{"prefix": SCHEME}], "workloadType": "initContainer"}
    return _named("ClusterStorageContainer", spec, platform)


def _named(kind: str, spec: Manifest, platform: Platform) -> Manifest:
    content = names.short_hash(platform.namespace, json.dumps(spec, sort_keys=True))
    labels = {names.MANAGED_BY: names.MANAGED_BY_VALUE, names.LABEL_INSTALLATION: platform.namespace}
    return {
        "apiVersion": f"{SERVING}/v1alpha1",
        "kind": kind,
        "metadata": {"name": f"modelyard-{content}", "labels": labels},
        "spec": spec,
    }
