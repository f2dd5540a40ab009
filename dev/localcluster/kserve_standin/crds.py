"""Minimal CRDs: names and versions as KServe serves them, the rest is kept as it comes."""

from typing import Any

from dev.localcluster.kserve_standin import MARK

GROUP = "serving.kserve.io"
KINDS = (
    ("InferenceService", "inferenceservices", "v1beta1", "Namespaced"),
    ("ClusterServingRuntime", "clusterservingruntimes", "v1alpha1", "Cluster"),
    ("ClusterStorageContainer", "clusterstoragecontainers", "v1alpha1", "Cluster"),
)


def definitions() -> list[dict[str, Any]]:
    """The three CustomResourceDefinitions."""
    return [_definition(*kind) for kind in KINDS]


def _definition(kind: str, plural: str, version: str, scope: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
        **({"subresources": {"status": {}}} if kind == "InferenceService" else {}),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "annotations": {MARK: "true"}},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "versions": [served],
        },
    }
