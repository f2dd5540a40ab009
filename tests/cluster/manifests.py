"""The smallest object of each kind, and manifests made from them by changing single fields."""

from __future__ import annotations

import copy
from typing import Any

from modelyard.names import API_VERSION
from tests.builders import artifacts, measured, trained

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
        "artifacts": artifacts("onnx"),
        "lineage": trained("1", "reviews", DIGEST),
        "metrics": [measured(0.9, 0.9)],
    },
    "ModelDeployment": {"model": {"name": "reviews", "follow": "latest-passed"}},
    "TrainingProfile": {},
    "ServingProfile": {},
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


_TERM = {"matchExpressions": [{"key": "accelerator", "operator": "In", "values": ["a100"]}]}
_PODS = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
FULL_POD: Manifest = {
    "imagePullSecrets": [{"name": "registry-key"}],
    "serviceAccountName": "trainer",
    "priorityClassName": "batch-low",
    "runtimeClassName": "nvidia",
    "nodeSelector": {"accelerator": "a100"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_TERM]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": _TERM}],
        },
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_PODS]},
        "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": _PODS}]},
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
            "matchLabelKeys": ["modelyard.dev/deployment"],
        }
    ],
    "labels": {"cost-centre": "42"},
    "annotations": {"sidecar.istio.io/inject": "false"},
    "copyLabels": ["team"],
    "env": [
        {"name": "HF_HUB_OFFLINE", "value": "1"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a", "optional": True}}},
    ],
    "envFrom": [{"prefix": "X_", "configMapRef": {"name": "proxy", "optional": True}}],
    "volumes": [
        {"name": "cache", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "ca", "configMap": {"name": "ca", "optional": True}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
    ],
    "volumeMounts": [
        {"name": "cache", "mountPath": "/cache"},
        {"name": "ca", "mountPath": "/etc/ca", "readOnly": True},
        {"name": "data", "mountPath": "/data", "subPath": "a", "readOnly": True},
    ],
    "sharedMemory": "2Gi",
    "ephemeralStorage": "20Gi",
}
"""A pod block with every field that the pods of runs and servers share."""
