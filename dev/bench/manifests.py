"""The objects that the figures work with."""

from __future__ import annotations

from typing import Any

from modelyard import names
from modelyard.decision import Manifest

BASE = "s3://base/minilm/"
DATASET = "reviews"
CLASSES = ("bad", "good")


def dataset(namespace: str) -> Manifest:
    """A small dataset."""
    rows = [{"text": f"text {i}", "label": CLASSES[i % 2]} for i in range(20)]
    spec = {"task": "text-classification", "source": {"inline": rows}}
    return _ours("Dataset", namespace, DATASET, spec)


def finetunejob(namespace: str, name: str) -> Manifest:
    """The smallest job, as a user writes it."""
    spec = {
        "task": "text-classification",
        "from": {"base": BASE},
        "dataset": {"ref": DATASET},
        "evaluate": {"gate": {"require": [{"metric": "macro_f1", "min": 0.5}]}},
    }
    return _ours("FineTuneJob", namespace, name, spec)


def configmap(namespace: str, name: str) -> Manifest:
    """A plain object, for the machine's own latency."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {}}


def pod_of(job: Manifest, name: str) -> Manifest:
    """The pod that the Job controller would make."""
    meta = job["metadata"]
    template = job["spec"]["template"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
    pod_meta = {**template["metadata"], "name": name, "namespace": meta["namespace"], "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": pod_meta, "spec": template["spec"]}


def again(manifest: Manifest, namespace: str, name: str) -> Manifest:
    """The same object under another name, without what the API server added."""
    meta = {key: manifest["metadata"][key] for key in ("labels", "annotations") if key in manifest["metadata"]}
    kept = {key: value for key, value in manifest.items() if key not in ("metadata", "status")}
    return {**kept, "metadata": {**meta, "name": name, "namespace": namespace}}


def _ours(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> Manifest:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": meta, "spec": spec}
