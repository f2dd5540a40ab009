"""Before uninstallation: stop the operator, then take its finalizer off all ModelVersions, so that nothing hangs."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from modelyard.decision import Manifest
from modelyard.engine.kube import Kube, KubeError
from modelyard.names import FINALIZER_ARTIFACTS

PAUSE = 0.5


def release(namespace: str, deployment: str, patience: float) -> int:
    """Stop the Deployment if one is named, release every ModelVersion, say what stays in the store."""
    return asyncio.run(_release(namespace, deployment, patience))


async def _release(namespace: str, deployment: str, patience: float) -> int:
    kube = await Kube.connect()
    try:
        if deployment and not await _stopped(kube, namespace, deployment, patience):
            print(f"pods of Deployment {namespace}/{deployment} still run after {patience:.0f} s: try again")
            return 1
        for version in await _held(kube):
            await _free(kube, version)
    finally:
        await kube.close()
    return 0


async def _stopped(kube: Kube, namespace: str, deployment: str, patience: float) -> bool:
    """Scale to zero and wait: a running operator would put its finalizer back. True once no pod is left."""
    try:
        found = await kube.patch("Deployment", namespace, deployment, {"spec": {"replicas": 0}})
    except KubeError as fault:
        if fault.status == HTTPStatus.NOT_FOUND:
            return True
        raise
    selector = ",".join(f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items())
    return await _no_pods(kube, namespace, selector, patience)


async def _no_pods(kube: Kube, namespace: str, selector: str, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        if not await kube.list("Pod", selector, namespace):
            return True
        if time.monotonic() > end:
            return False
        await asyncio.sleep(PAUSE)


async def _held(kube: Kube) -> list[Manifest]:
    """ModelVersions of all namespaces with our finalizer; none where the kind is no more."""
    try:
        versions = await kube.list("ModelVersion")
    except KubeError as fault:
        if fault.status == HTTPStatus.NOT_FOUND:
            return []
        raise
    return [version for version in versions if FINALIZER_ARTIFACTS in version["metadata"].get("finalizers", ())]


async def _free(kube: Kube, version: Manifest) -> None:
    """Remove our finalizer, again on the newest state when somebody else wrote meanwhile."""
    namespace, name = version["metadata"]["namespace"], version["metadata"]["name"]
    newest: Manifest | None = version
    while newest is not None and not await _patched(kube, newest):
        newest = await kube.get("ModelVersion", namespace, name)
    if newest is not None:
        print(f"released {namespace}/{name}: its artifacts stay at {newest['spec']['uri']}")


async def _patched(kube: Kube, version: Manifest) -> bool:
    """True once the finalizer is off; False if there is a newer state, or none."""
    meta = version["metadata"]
    kept = [name for name in meta.get("finalizers", ()) if name != FINALIZER_ARTIFACTS]
    body = {"metadata": {"finalizers": kept, "resourceVersion": meta["resourceVersion"]}}
    try:
        await kube.patch("ModelVersion", meta["namespace"], meta["name"], body)
    except KubeError as fault:
        if fault.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            return False
        raise
    return True
