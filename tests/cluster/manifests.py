"""The smallest object of each kind, and manifests made from them by changing single fields."""

from __future__ import annotations

import copy
from typing import Any

from modelyard.names import API_VERSION

Manifest = dict[str, Any]
REMOVE: Any = object()
DIGEST = "sha256:" + "0" * 64

SMALLEST: dict[str, Manifest] = {
    "Dataset": {"task": "text-classification", "source": {"s3": {"uri": "s3://data/reviews/"}}},
    "FineTuneJob": {
        "task": "text-classification",
        "from": {"base": "s3://base/minilm/"},
        "dataset": {"ref": "reviews"},
    },
    "ModelVersion": {
        "model": "reviews",
        "number": 7,
        "task": "text-classification",
        "uri": "s3://modelyard/ns/runs/1/",
        "digest": DIGEST,
        "size": 12,
        "formats": ["onnx"],
        "lineage": {"run": "1", "job": "reviews", "dataset": DIGEST, "base": DIGEST, "image": "trainer:1"},
        "metrics": {"macro_f1": 0.9, "accuracy": 0.9},
    },
    "ModelDeployment": {"model": {"name": "reviews", "follow": "latest-passed"}},
    "TrainingProfile": {},
}
NAMES = {"ModelVersion": "reviews-7"}
SPLIT: Manifest = {"split": {}}
INLINE = {"s3": REMOVE, "inline": [{"text": "good", "label": "yes"}]}


def smallest(kind: str, **fields: Any) -> Manifest:
    """The smallest object of a kind; `name` is metadata.name."""
    name = fields.pop("name", NAMES.get(kind, "reviews"))
    made = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": SMALLEST[kind]}
    return changed(copy.deepcopy(made), fields)


def changed(manifest: Manifest, fields: dict[str, Any]) -> Manifest:
    """The manifest with fields set by path (train.epochs below spec; prepare.0.split in lists), or removed."""
    made = copy.deepcopy(manifest)
    for path, value in fields.items():
        *parents, last = path.split(".")
        node = made["spec"]
        for parent in parents:
            node = node[int(parent)] if parent.isdigit() else node.setdefault(parent, {})
        _set(node, last, value)
    return made


def _set(node: Any, key: str, value: Any) -> None:
    if value is REMOVE:
        node.pop(key, None)
    elif isinstance(node.get(key), dict) and isinstance(value, dict):
        for inner, item in value.items():
            _set(node[key], inner, item)
    else:
        node[key] = value
