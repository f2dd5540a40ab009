"""Plays what the cluster would do to a run: its pod runs and ends, the trainer publishes, the Job completes."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from dev.bench import manifests
from dev.bench.stage import BUCKET
from modelyard.api import layout
from modelyard.api.run import ModelInfo
from modelyard.decision import Manifest
from modelyard.engine.kube import RESOURCES, Kube
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from tests.builders import exports, measured

PATIENCE = 60.0


class Hand:
    """Every write is counted, so that it can be told from the operator's."""

    def __init__(self, kube: Kube, store: Store) -> None:
        self.kube, self._store = kube, store
        self.writes: Counter[str] = Counter()

    async def create(self, manifest: Manifest) -> Manifest:
        """POST."""
        self.writes[f"POST {RESOURCES[manifest['kind']].plural}"] += 1
        return await self.kube.create(manifest)

    async def live(self, namespace: str, name: str) -> None:
        """One FineTuneJob from its creation to its version."""
        await self.create(manifests.finetunejob(namespace, name))
        job = await self._job(namespace, name)
        pod = await self.create(manifests.pod_of(job, f"{job['metadata']['name']}-0-abcde"))
        await self._status(pod, _pod_status("Running"))
        await self._status(job, {"startTime": _now(), "active": 1, "ready": 1})
        await asyncio.sleep(1.0)
        await asyncio.to_thread(self._publish, namespace, name, job)
        await self._status(pod, _pod_status("Succeeded"))
        await self._status(job, _completed())
        await self._phase(namespace, name, "Succeeded")
        await self._version(namespace, name)

    async def clear(self, namespace: str, name: str) -> None:
        """What a user deletes, and what the garbage collector would; artifacts stay."""
        await self.kube.delete("FineTuneJob", namespace, name)
        await self.kube.delete("ModelVersion", namespace, f"{name}-1")
        for kind in ("Pod", "Job", "ConfigMap"):
            for child in await self.kube.list(kind, namespace=namespace):
                if child["metadata"]["name"].startswith(f"{name}-"):
                    await self.kube.delete(kind, namespace, child["metadata"]["name"])

    async def _status(self, obj: Manifest, status: Manifest) -> None:
        kind, meta = obj["kind"], obj["metadata"]
        self.writes[f"PATCH {RESOURCES[kind].plural}/status"] += 1
        await self.kube.patch(kind, meta["namespace"], meta["name"], {"status": status}, "status")

    async def _job(self, namespace: str, name: str) -> Manifest:
        async with asyncio.timeout(PATIENCE):
            while True:
                for job in await self.kube.list("Job", namespace=namespace):
                    if job["metadata"]["name"].startswith(f"{name}-"):
                        return {"kind": "Job", **job}
                await asyncio.sleep(0.2)

    async def _phase(self, namespace: str, name: str, phase: str) -> None:
        found: Manifest | None = None
        try:
            async with asyncio.timeout(PATIENCE):
                while not found or found.get("status", {}).get("phase") != phase:
                    await asyncio.sleep(0.2)
                    found = await self.kube.get("FineTuneJob", namespace, name)
        except TimeoutError as fault:
            raise RuntimeError(f"{name} is not {phase}: {(found or {}).get('status')}") from fault

    async def _version(self, namespace: str, model: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                version = await self.kube.get("ModelVersion", namespace, f"{model}-1")
                conditions = (version or {}).get("status", {}).get("conditions", [])
                if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
                    return
                await asyncio.sleep(0.2)

    def _publish(self, namespace: str, name: str, job: Manifest) -> None:
        run = job["metadata"]["labels"]["modelyard.dev/run"]
        info = ModelInfo.model_validate(_info(run, name))
        target = layout.version_prefix(layout.run_prefix(namespace, name, run))
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.onnx").write_bytes(b"weights of " + name.encode())
            publish(self._store, BUCKET, target, Path(folder), "model", info.dump())


def _info(run: str, model: str) -> Manifest:
    digest = "sha256:" + "1" * 64
    return {
        "task": "text-classification",
        "run": run,
        "model": model,
        "labels": list(manifests.CLASSES),
        "codec": {"maxLength": 128},
        "artifacts": exports("onnx", "safetensors"),
        "metrics": [measured(0.9, 0.9)],
        "dataset": digest,
        "base": digest,
        "image": "registry.example/trainer:1",
        "sample": {"text": "text 1"},
    }


def _pod_status(phase: str) -> Manifest:
    running = phase == "Running"
    state = {"running": {"startedAt": _now()}} if running else {"terminated": {"exitCode": 0, "reason": "Completed"}}
    container = {"name": "trainer", "image": "x", "imageID": "x", "ready": running, "restartCount": 0, "state": state}
    return {"phase": phase, "startTime": _now(), "containerStatuses": [{**container, "started": running}]}


def _completed() -> Manifest:
    held = [_condition("SuccessCriteriaMet"), _condition("Complete")]
    counts = {"active": 0, "ready": 0, "succeeded": 1, "completedIndexes": "0"}
    return {**counts, "completionTime": _now(), "conditions": held}


def _condition(type_: str) -> Manifest:
    return {"type": type_, "status": "True", "lastTransitionTime": _now(), "lastProbeTime": _now(), "reason": "Done"}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
