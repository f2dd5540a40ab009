"""Figure: a namespace with objects of all kinds is deleted; how long until it is gone?"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from dev.bench import manifests
from dev.bench.figure import Figure, Row
from dev.bench.sightings import Sightings
from dev.bench.stage import Stage, stage
from modelyard import names
from modelyard.decision import Manifest
from modelyard.storage.claims import claim_number
from tests.builders import artifacts, measured, trained

JOBS = 9
VERSIONS = 6
PATIENCE = 180.0


async def measure(quick: bool) -> Figure:
    """Twenty objects of ours and their children; versions that want their artifacts deleted hold a finalizer."""
    async with stage(controllers=True) as on:
        namespace = await on.namespace("going")  # with a Dataset
        await on.operator.start()
        await _fill(on, namespace)
        began = time.perf_counter()
        on.kubectl.ok("delete", "namespace", namespace, "--wait=false")
        taken = await _gone(on, namespace, began)
        left = len(on.store.list("modelyard", f"ns/{namespace}/models/reviews/runs/"))
    return Figure(
        "namespace",
        "Namespace with 20 objects deleted",
        [
            Row("deletion to gone", taken, "s", target=60),
            Row("artifacts of its versions left in the store", left, "files", target=0),
        ],
        [
            f"{JOBS} FineTuneJobs with their Jobs and ConfigMaps, {VERSIONS} ModelVersions with deletionPolicy: "
            "delete, 4 ModelDeployments and a Dataset.",
            "Real namespace controller and garbage collector; no kubelet, so no pod has to end its grace period.",
        ],
    )


async def _fill(on: Stage, namespace: str) -> None:
    async with Sightings(on.session, on.host, "Job", namespace) as jobs:
        for i in range(JOBS):
            await on.kube.create(manifests.finetunejob(namespace, f"job-{i}"))
        await jobs.count(JOBS)
    for number in range(1, VERSIONS + 1):
        version = _version(namespace, number)
        claim_number(on.store, "modelyard", namespace, "reviews", f"run-{number}")
        on.store.put("modelyard", version["spec"]["uri"].removeprefix("s3://modelyard/") + "model.onnx", b"weights")
        await on.kube.create(version)
    for i in range(4):
        await on.kube.create(_deployment(namespace, f"serve-{i}"))
    await _held(on, namespace)


async def _held(on: Stage, namespace: str) -> None:
    """Until every version carries the finalizer."""
    async with asyncio.timeout(60):
        while True:
            versions = await on.kube.list("ModelVersion", namespace=namespace)
            if all(v["metadata"].get("finalizers") == [names.FINALIZER_ARTIFACTS] for v in versions):
                return
            await asyncio.sleep(0.2)


async def _gone(on: Stage, namespace: str, began: float) -> float:
    while time.perf_counter() - began < PATIENCE:
        if on.kubectl.run("get", "namespace", namespace).returncode:
            return time.perf_counter() - began
        await asyncio.sleep(0.2)
    return PATIENCE


def _version(namespace: str, number: int) -> Manifest:
    digest = f"sha256:{number:064d}"
    uri = f"s3://modelyard/ns/{namespace}/models/reviews/runs/run-{number}/version/"
    spec: dict[str, Any] = {
        "model": "reviews",
        "number": number,
        "task": "text-classification",
        "uri": uri,
        "digest": digest,
        "size": 7,
        "artifacts": artifacts("onnx"),
        "lineage": trained(f"run-{number}", "gone", digest),
        "metrics": [measured(0.9, 0.9)],
        "deletionPolicy": "delete",
    }
    return _ours("ModelVersion", namespace, f"reviews-{number}", spec)


def _deployment(namespace: str, name: str) -> Manifest:
    return _ours("ModelDeployment", namespace, name, {"model": {"name": "reviews", "follow": "latest-passed"}})


def _ours(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> Manifest:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": meta, "spec": spec}
