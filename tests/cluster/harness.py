"""One operator with a real API server, controller manager and store; the test publishes what pods would publish."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.known_base import make_known
from dev.localcluster.waiting import wait_until
from modelyard import names
from modelyard.api import layout
from modelyard.api.run import DatasetInfo
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from tests.builders import a_published_model
from tests.cluster import audit
from tests.cluster.installed import ACCOUNT, Installed
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import OperatorProcess

BUCKET = "modelyard"
FILES = {"model.onnx": "x", "model.safetensors": "x", "tokenizer.json": "{}", "config.json": "{}"}


@dataclass(frozen=True)
class OperatorHarness:
    """One operator with its own account, and everything around it."""

    installed: Installed
    operator: OperatorProcess
    endpoint: int
    store: Store
    folder: Path
    namespace: str = "team-a"

    def kube(self, *words: str, stdin: Any = None) -> str:
        """kubectl of the administrator in the team's namespace."""
        return self.installed.admin.ok("-n", self.namespace, *words, stdin=stdin)

    def create(self, obj: dict[str, Any]) -> None:
        """kubectl create."""
        self.kube("create", "-f", "-", stdin=obj)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object, empty if it is not there."""
        return dict(json.loads(self.kube("get", kind, name, "-o", "json", "--ignore-not-found") or "{}"))

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind that are not leaving."""
        found = json.loads(self.kube("get", kind, "-o", "json"))["items"]
        return [obj for obj in found if "deletionTimestamp" not in obj["metadata"]]

    def children(self, kind: str, owner: str) -> list[str]:
        """Names of an object's children."""
        annotated = ((o["metadata"]["name"], o["metadata"].get("annotations", {})) for o in self.listed(kind))
        return [name for name, notes in annotated if notes.get(names.ANNOTATION_OWNER) == owner]

    def patch(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        """A user's edit."""
        self.kube("patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def until(self, what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait; the operator's log tells why it failed."""
        try:
            wait_until(condition, what, seconds, pause=0.2)
        except Exception as fault:
            told = self.kube("get", "modelyard", "-o", "wide") + self.operator.log.read_text()[-2000:]
            raise AssertionError(f"{what}: {told}") from fault

    def used(self) -> set[audit.Permission]:
        """What the operator asked for so far."""
        return audit.used(self.installed.server.audit_log, ACCOUNT)

    def publish(self, prefix: str, kind: Any, files: dict[str, str], info: dict[str, Any]) -> None:
        """What a pod leaves in the store."""
        folder = self.folder / f"published-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        publish(self.store, BUCKET, prefix, folder, kind, info)


def fill_base(store: Store, *namespaces: str) -> None:
    """Buckets, and a folder that looks like a base model, which these namespaces have read."""
    for bucket in (BUCKET, "base"):
        store.ensure_bucket(bucket)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        store.put("base", f"minilm/{name}", b"{}")
    for namespace in namespaces:
        make_known(store, BUCKET, namespace, "s3://base/minilm/")


def prepare(harness: OperatorHarness) -> None:
    harness.create(smallest("Dataset", name="rows"))
    harness.until("the Job of rows", lambda: bool(harness.children("job", "rows")))
    (job,) = harness.children("job", "rows")
    config = json.loads(harness.get("configmap", job)["data"]["run.json"])
    counts: dict[str, Any] = {"rows": {"train": 1}, "classes": {"a": {"train": 1}}, "removed": {}}
    info = DatasetInfo(task="text-classification", digest="sha256:" + "d" * 64, **counts)
    harness.publish(config["prefix"], "dataset", {"train-00000.parquet": "{}"}, info.dump())
    harness.kube("delete", "job", job)
    harness.kube("wait", "dataset/rows", "--for=condition=Ready", "--timeout=60s")


def succeed(harness: OperatorHarness, job: str, number: int) -> None:
    """Publish what the run's pod would, and let its Job go: the operator looks into the store."""
    harness.until("the Job of this run", lambda: bool(job_of_run(harness, job)) and attempt(harness, job))
    run, name = harness.get("ftj", job)["status"]["run"]["id"], job_of_run(harness, job)
    prefix = layout.version_prefix(layout.run_prefix(harness.namespace, job, run))
    harness.publish(prefix, "model", FILES, a_published_model(run, job)["manifest"]["info"])
    harness.kube("delete", "job", name)
    harness.until(f"{job}-{number}", lambda: bool(harness.get("mv", f"{job}-{number}")))
    harness.kube("wait", f"mv/{job}-{number}", "--for=condition=Ready", "--timeout=60s")


def attempt(harness: OperatorHarness, job: str) -> bool:
    found = harness.get("ftj", job)
    return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])


def job_of_run(harness: OperatorHarness, job: str) -> str:
    run = harness.get("ftj", job)["status"].get("run", {}).get("id", "no run")
    return next((name for name in harness.children("job", job) if run in name), "")
