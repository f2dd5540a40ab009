"""Before uninstallation: stop the operator, then take its finalizer off all ModelVersions, so that nothing hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from kubernetes import client, config

from modelyard.names import FINALIZER_ARTIFACTS, GROUP, VERSION

PAUSE = 0.5
GONE, CHANGED = 404, 409


def release(namespace: str, deployment: str, timeout: float) -> int:
    """Stop the Deployment if one is named, release every ModelVersion, say what stays in the store."""
    _connect()
    if deployment and not stop(namespace, deployment, timeout):
        print(f"pods of Deployment {namespace}/{deployment} still run after {timeout:.0f} s: try again")
        return 1
    for version in _held():
        _release(version)
    return 0


def stop(namespace: str, deployment: str, timeout: float) -> bool:
    """Scale to zero and wait: a running operator would put its finalizer back. True once no pod is left."""
    apps = client.AppsV1Api()
    try:
        found = apps.patch_namespaced_deployment(deployment, namespace, {"spec": {"replicas": 0}})
    except client.ApiException as fault:
        if fault.status == GONE:
            return True
        raise
    selector = ",".join(f"{key}={value}" for key, value in found.spec.selector.match_labels.items())
    return _wait_for_no_pods(namespace, selector, timeout)


def _connect() -> None:
    try:
        config.load_incluster_config()
    except config.ConfigException:
        config.load_kube_config()


def _wait_for_no_pods(namespace: str, selector: str, timeout: float) -> bool:
    core, end = client.CoreV1Api(), time.monotonic() + timeout
    while core.list_namespaced_pod(namespace, label_selector=selector, limit=1).items:
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE)
    return True


def _held() -> Iterator[dict[str, Any]]:
    """ModelVersions of all namespaces with our finalizer; none where the kind is no more."""
    try:
        found = client.CustomObjectsApi().list_cluster_custom_object(GROUP, VERSION, "modelversions")
    except client.ApiException as fault:
        if fault.status == GONE:
            return
        raise
    for version in found["items"]:
        if FINALIZER_ARTIFACTS in version["metadata"].get("finalizers", ()):
            yield version


def _release(version: dict[str, Any]) -> None:
    """Remove our finalizer, again on the newest state when somebody else wrote meanwhile."""
    place = (version["metadata"]["namespace"], version["metadata"]["name"])
    while not _patched(version):
        newest = _newest(*place)
        if newest is None:
            return
        version = newest
    print(f"released {'/'.join(place)}: its artifacts stay at {version['spec']['uri']}")


def _patched(version: dict[str, Any]) -> bool:
    """True once the finalizer is off; False if there is a newer state (or none)."""
    meta = version["metadata"]
    kept = [name for name in meta.get("finalizers", ()) if name != FINALIZER_ARTIFACTS]
    body = {"metadata": {"finalizers": kept, "resourceVersion": meta["resourceVersion"]}}
    try:
        client.CustomObjectsApi().patch_namespaced_custom_object(
            GROUP, VERSION, meta["namespace"], "modelversions", meta["name"], body
        )
    except client.ApiException as fault:
        if fault.status in (GONE, CHANGED):
            return False
        raise
    return True


def _newest(namespace: str, name: str) -> dict[str, Any] | None:
    try:
        found = client.CustomObjectsApi().get_namespaced_custom_object(GROUP, VERSION, namespace, "modelversions", name)
    except client.ApiException as fault:
        if fault.status == GONE:
            return None
        raise
    return dict(found)
