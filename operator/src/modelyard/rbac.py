"""Permissions of the operator, derived from the kinds of the API and the children that the reconcilers declare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from modelyard.api.kinds import KINDS
from modelyard.names import GROUP, LEASE, SECRET_ENDPOINT_CA

READ = ("get", "list", "watch")
WRITE = ("create", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule of RBAC."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def manifest(self) -> dict[str, Any]:
        """The rule as it stands in a Role or ClusterRole."""
        names = {"resourceNames": list(self.names)} if self.names else {}
        return {
            "apiGroups": [self.group],
            "resources": list(self.resources),
            **names,
            "verbs": list(self.verbs),
        }


@dataclass(frozen=True, slots=True)
class ChildAccess:
    """What the engine does with children of one kind."""

    group: str
    plural: str
    verbs: tuple[str, ...]


CHILDREN: dict[str, ChildAccess] = {
    "ConfigMap": ChildAccess("", "configmaps", (*READ, "create", "delete")),
    "Service": ChildAccess("", "services", READ + WRITE),
    "Deployment": ChildAccess("apps", "deployments", READ + WRITE),
    "InferenceService": ChildAccess("serving.kserve.io", "inferenceservices", READ + WRITE),
    "Job": ChildAccess("batch", "jobs", READ + WRITE),
    "Dataset": ChildAccess(GROUP, "datasets", WRITE),
    "ModelVersion": ChildAccess(GROUP, "modelversions", ("create",)),  # the result: no reconcile ever deletes one
}


def cluster_rules(children: Iterable[str] | None = None) -> list[Rule]:
    """Rules of the ClusterRole; `children` are kinds, by default those that the reconcilers declare."""
    kinds = sorted(set(declared_children() if children is None else children))
    plurals = tuple(kind.plural for kind in KINDS)
    return [
        Rule(GROUP, plurals, READ),
        Rule(GROUP, tuple(f"{plural}/status" for plural in plurals), ("patch",)),
        Rule(GROUP, ("modelversions",), ("patch",)),  # the finalizer of deletionPolicy: delete
        Rule(GROUP, ("trainingprofiles",), ("create",)),  # the default profile, if there is none
        *_child_rules(kinds),
        # what the operator offers to KServe, named after its content
        Rule("serving.kserve.io", ("clusterservingruntimes", "clusterstoragecontainers"), ("list", *WRITE)),
        Rule("", ("pods",), ("list", "watch")),
        Rule("", ("namespaces",), ("get",)),  # labels that spec.namespaces of a profile asks for
        Rule("", ("nodes",), ("list",)),  # how much is free, when no node takes a pod
        Rule("kueue.x-k8s.io", ("workloads",), ("list",)),  # why a Job waits in its queue
        Rule("", ("events",), ("list", "create")),  # read: why a Job gets no pod stands nowhere else
        Rule("authentication.k8s.io", ("tokenreviews",), ("create",)),  # who posts to the endpoint
    ]


def namespace_rules() -> list[Rule]:
    """Rules of the Role in the operator's own namespace: its Lease and the endpoint's CA (no create by name)."""
    leases, secrets = ("leases",), ("secrets",)
    return [
        Rule("coordination.k8s.io", leases, ("create",)),
        Rule("coordination.k8s.io", leases, ("get", "update"), (LEASE,)),
        Rule("", secrets, ("create",)),
        Rule("", secrets, ("get",), (SECRET_ENDPOINT_CA,)),
    ]


def declared_children() -> set[str]:
    """Kinds of the children that all reconcilers declare."""
    from modelyard.lifecycle import RECONCILERS

    return {kind for reconciler in RECONCILERS for kind in reconciler.children}


def _child_rules(kinds: Iterable[str]) -> list[Rule]:
    """One rule per API group and set of verbs."""
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kind in kinds:
        if kind not in CHILDREN:
            raise KeyError(f"rbac.CHILDREN does not say what may be done with children of kind {kind}")
        access = CHILDREN[kind]
        grouped.setdefault((access.group, access.verbs), []).append(access.plural)
    return [Rule(group, tuple(plurals), verbs) for (group, verbs), plurals in sorted(grouped.items())]
