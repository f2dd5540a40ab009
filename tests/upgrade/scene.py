"""What a recording shows: all kinds in their states, on a real API server and store, played instead of controllers."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard import names
from modelyard.api import layout
from modelyard.api.run import DatasetInfo, ExitCode
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from tests.builders import a_published_model
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import REMOVE, smallest
from tests.upgrade.runtime import Process

TEAM, BUCKET, AT = "team", "modelyard", "2026-01-01T00:00:00Z"
QUEUED = {names.LABEL_QUEUE: "team-queue"}
FOREIGN = {"image": "theirs@sha256:" + "7" * 64, "command": ["train"]}
WEIGHTS = b"\x00" * 16
HEADER = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
FILES = {
    "model.safetensors": struct.pack("<Q", len(HEADER)) + HEADER + WEIGHTS,
    "model.onnx": b"a graph of no nodes",
    "tokenizer.json": b"{}",
    "config.json": b'{"model_type": "bert"}',
}
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """The API server as its administrator sees it, the store, and the operator at work."""

    admin: Kubectl
    store: Store
    process: Process
    folder: Path

    def kube(self, *words: str, stdin: Any = None) -> str:
        """kubectl in the team's namespace."""
        return self.admin.ok("-n", TEAM, *words, stdin=stdin)

    def get(self, kind: str, name: str) -> Manifest:
        """An object, empty if it is not there."""
        return dict(json.loads(self.kube("get", kind, name, "-o", "json", "--ignore-not-found") or "{}"))

    def until(self, what: str, condition: Callable[[], Any]) -> None:
        """Wait."""
        self.process.until(what, lambda: bool(condition()))

    def is_ready(self, kind: str, name: str) -> bool:
        """Whether Ready is True."""
        return self.reason(kind, name)[0] == "True"

    def reason(self, kind: str, name: str) -> tuple[str, str]:
        """Status and reason of Ready."""
        found = self.get(kind, name).get("status", {}).get("conditions", [])
        return next(((c["status"], c["reason"]) for c in found if c["type"] == "Ready"), ("", ""))

    def create(self, kind: str, name: str, fields: Manifest | None = None, *, queue: bool = False) -> None:
        """The smallest object of a kind, with fields set by path."""
        obj = smallest(kind, name=name, **(fields or {}))
        obj["metadata"]["labels"] = QUEUED if queue else {}
        self.kube("create", "-f", "-", stdin=obj)

    def job(self, owner: str) -> Manifest:
        """The newest Job of an object, once it is there."""
        found: list[Manifest] = []

        def look() -> bool:
            items = json.loads(self.kube("get", "jobs", "-o", "json"))["items"]
            found[:] = [j for j in items if j["metadata"]["annotations"].get(names.ANNOTATION_OWNER) == owner]
            return bool(found)

        self.until(f"the Job of {owner}", look)
        return max(found, key=lambda job: int(job["metadata"]["resourceVersion"]))

    def status(self, obj: Manifest, **status: Any) -> None:
        """What a controller or a kubelet writes."""
        patch = json.dumps({"status": status})
        self.kube("patch", obj["kind"], obj["metadata"]["name"], "--subresource=status", "--type=merge", "-p", patch)

    def pod(self, job: Manifest) -> Manifest:
        """The Job's pod at work."""
        meta = job["metadata"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
        template = job["spec"]["template"]
        marks = {**template["metadata"], "name": f"{meta['name']}-0-aaaaa", "ownerReferences": [owner]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": marks, "spec": template["spec"]}
        self.kube("create", "-f", "-", stdin=pod)
        self.container(pod, "Running", {"running": {"startedAt": AT}})
        self.status(job, startTime=AT, active=1, ready=1)
        return pod

    def container(self, pod: Manifest, phase: str, state: Manifest) -> None:
        """State of the pod's only container."""
        status = {"name": "trainer", "image": "trainer:1", "imageID": "", "restartCount": 0, "state": state}
        more = {"ready": phase == "Running", "started": phase == "Running"}
        self.status(pod, phase=phase, startTime=AT, containerStatuses=[{**status, **more}])

    def publish(self, prefix: str, kind: Any, files: dict[str, bytes], info: Manifest) -> None:
        """What a pod leaves in the store."""
        folder = self.folder / f"published-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        publish(self.store, BUCKET, prefix, folder, kind, info)


def play(scene: Scene) -> None:
    """From nothing to everything that a recording holds."""
    profiles(scene)
    data(scene)
    runs(scene)
    serving(scene)


def profiles(scene: Scene) -> None:
    """Beside the one that the operator makes."""
    scene.create("TrainingProfile", "theirs", {"trainer": FOREIGN})
    scene.create("ServingProfile", "default", {"pod": {"labels": {"cost-centre": "42"}}})


def data(scene: Scene) -> None:
    """Prepared, failed, at work, waiting."""
    scene.create("Dataset", "reviews")
    job = scene.job("reviews")
    scene.pod(job)
    config = json.loads(scene.get("configmap", job["metadata"]["name"])["data"]["run.json"])
    counts: Manifest = {"rows": {"train": 1}, "classes": {"a": {"train": 1}}, "removed": {}}
    info = DatasetInfo(task="text-classification", digest="sha256:" + "d" * 64, **counts)
    scene.publish(config["prefix"], "dataset", {"train.jsonl": b"{}"}, info.dump())
    end(scene, job, ExitCode.PUBLISHED)
    scene.until("rows", lambda: scene.is_ready("dataset", "reviews"))
    for name in ("broken", "busy", "waiting"):
        scene.create("Dataset", f"{name}-rows")
    end(scene, (scene.pod(scene.job("broken-rows")), scene.job("broken-rows"))[1], ExitCode.BAD_DATA)
    scene.until("broken-rows", lambda: scene.reason("dataset", "broken-rows")[1] == names.BAD_DATA)
    scene.pod(scene.job("busy-rows"))
    scene.until("busy-rows", lambda: scene.reason("dataset", "busy-rows")[1] == names.PREPARING)
    scene.job("waiting-rows")


def runs(scene: Scene) -> None:
    """Two versions of one model, one that failed, one at work, and four that wait for four things."""
    scene.create("FineTuneJob", "sentiment")
    succeed(scene, "sentiment", 1)
    scene.kube("patch", "ftj", "sentiment", "--type=merge", "-p", json.dumps({"spec": {"attempt": 2}}))
    scene.create("FineTuneJob", "broken")
    end(scene, (scene.pod(scene.job("broken")), scene.job("broken"))[1], ExitCode.BAD_CONFIG)
    scene.until("broken", lambda: scene.reason("ftj", "broken")[1] == names.BAD_CONFIG)
    scene.create("FineTuneJob", "busy")
    scene.pod(scene.job("busy"))
    scene.until("busy", lambda: scene.reason("ftj", "busy")[1] == names.TRAINING)
    scene.create("FineTuneJob", "no-data", {"dataset.ref": "later"})
    scene.create("FineTuneJob", "early", {"dataset.ref": "busy-rows"})
    scene.create("FineTuneJob", "no-pod")
    scene.create("FineTuneJob", "queued", queue=True)
    scene.create("FineTuneJob", "foreign", {"profile": "theirs"}, queue=True)
    for name in ("no-pod", "queued", "foreign"):
        scene.job(name)
    scene.until("no-data", lambda: scene.reason("ftj", "no-data")[1] == names.DATASET_NOT_FOUND)
    scene.until("early", lambda: scene.reason("ftj", "early")[1] == names.WAITING_FOR_DATASET)


def succeed(scene: Scene, name: str, number: int) -> None:
    """A run's pod trains and publishes."""
    scene.until("the run", lambda: scene.get("ftj", name).get("status", {}).get("run", {}).get("state") == "Running")
    run = scene.get("ftj", name)["status"]["run"]["id"]
    scene.until("its Job", lambda: run in scene.job(name)["metadata"]["name"])
    job = scene.job(name)
    scene.pod(job)
    scene.until("training", lambda: scene.reason("ftj", name)[1] == names.TRAINING)
    prefix = layout.version_prefix(layout.run_prefix(TEAM, name, run))
    scene.publish(prefix, "model", FILES, a_published_model(run, name)["manifest"]["info"])
    end(scene, job, 0)
    scene.until(f"{name}-{number}", lambda: scene.is_ready("mv", f"{name}-{number}"))


def end(scene: Scene, job: Manifest, code: int) -> None:
    """The pod ends, and so does the Job."""
    meta = job["metadata"]
    pod = {"kind": "Pod", "metadata": {"name": f"{meta['name']}-0-aaaaa"}}
    times = {"startedAt": AT, "finishedAt": AT}
    phase = "Failed" if code else "Succeeded"
    terminated = {"exitCode": int(code), "reason": "Error" if code else "Completed", **times}
    scene.container(pod, phase, {"terminated": terminated})
    words = ("FailureTarget", "Failed") if code else ("SuccessCriteriaMet", "Complete")
    reason = "PodFailurePolicy" if code else "CompletionsReached"
    told = {"status": "True", "reason": reason, "message": reason, "lastProbeTime": AT, "lastTransitionTime": AT}
    counts: Manifest = {"failed": 1} if code else {"succeeded": 1, "completedIndexes": "0", "completionTime": AT}
    conditions = [{"type": word, **told} for word in words]
    scene.status(job, active=None, ready=0, uncountedTerminatedPods={}, conditions=conditions, **counts)


def serving(scene: Scene) -> None:
    """One that rolled from 1 to 2, one that is pinned, one without a version, one whose candidate waits."""
    scene.create("ModelDeployment", "live", {"model": {"name": "sentiment"}})
    first = {"model": {"name": "sentiment"}, "model.version": 1, "model.follow": REMOVE}
    scene.create("ModelDeployment", "pinned", first)
    scene.create("ModelDeployment", "none", {"model": {"name": "nothing"}})
    for name in ("live", "pinned"):
        up(scene, name, 1)
    succeed(scene, "sentiment", 2)
    up(scene, "live", 2)
    scene.until("the drain", lambda: not scene.get("deployment", "live-v1"))
    scene.create("ModelDeployment", "held", {"model": {"name": "sentiment"}})
    scene.until("held", lambda: scene.get("deployment", "held-v2"))


def up(scene: Scene, name: str, number: int, server: str = "") -> None:
    """A version's server, its first one by default, is available, and serves."""
    server = server or f"{name}-v{number}"
    scene.until(server, lambda: scene.get("deployment", server))
    live = scene.get("deployment", server)
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
    ready = {"type": "Available", "status": "True", "reason": "x", "lastTransitionTime": AT, "lastUpdateTime": AT}
    scene.status(live, observedGeneration=live["metadata"]["generation"], conditions=[ready], **counts)

    def serves() -> bool:
        found = scene.get("mdep", name).get("status", {}).get("versions", [{}])
        first = found[0] if found else {}
        return f"{name}-{first.get('server')}" == server and first.get("state") == "serving"

    scene.until(f"{server} to serve", serves)
