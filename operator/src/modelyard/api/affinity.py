"""Affinity in the words of a PodSpec: nodes by labels, pods by labels and topology."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.common import ApiModel

LabelValue = Annotated[str, Field(max_length=63)]
QualifiedName = Annotated[
    str, Field(min_length=1, max_length=317, pattern=r"^([-a-z0-9.]+/)?[a-zA-Z0-9]([-._a-zA-Z0-9]*[a-zA-Z0-9])?$")
]


class LabelRequirement(ApiModel):
    """One condition on a label."""

    key: QualifiedName = Field(description="The label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How it is compared.")
    values: list[LabelValue] | None = Field(default=None, max_length=32, description="Values for In and NotIn.")


class NodeRequirement(ApiModel):
    """One condition on a label of a node."""

    key: QualifiedName = Field(description="The label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(description="How it is compared.")
    values: list[LabelValue] | None = Field(default=None, max_length=32, description="Values to compare with.")


class LabelSelector(ApiModel):
    """Objects by their labels; all conditions must hold."""

    match_labels: dict[str, LabelValue] | None = Field(default=None, max_length=16, description="Labels with values.")
    match_expressions: list[LabelRequirement] | None = Field(
        default=None, max_length=8, description="Conditions on labels."
    )


class NodeTerm(ApiModel):
    """Nodes on which all of the conditions hold."""

    match_expressions: list[NodeRequirement] = Field(max_length=8, description="Conditions on labels of the node.")


class NodeSelector(ApiModel):
    """Nodes that meet at least one of the terms."""

    node_selector_terms: list[NodeTerm] = Field(min_length=1, max_length=8, description="One of these must hold.")


class PreferredNode(ApiModel):
    """Nodes that are liked."""

    weight: int = Field(ge=1, le=100, description="How much.")
    preference: NodeTerm


class NodeAffinity(ApiModel):
    """Nodes that are needed or liked."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: list[PreferredNode] | None = Field(
        default=None, max_length=8, description="Nodes that are liked."
    )


class PodTerm(ApiModel):
    """Pods near which, or far from which, a pod should be."""

    label_selector: LabelSelector | None = Field(default=None, description="Pods that are meant.")
    topology_key: QualifiedName = Field(description="Node label that says what near means, for example a host name.")
    namespaces: list[Annotated[str, Field(max_length=63)]] | None = Field(
        default=None, max_length=16, description="Namespaces of those pods; default: the pod's own."
    )


class PreferredPod(ApiModel):
    """Pods that are liked as neighbours, or not."""

    weight: int = Field(ge=1, le=100, description="How much.")
    pod_affinity_term: PodTerm


class PodAffinity(ApiModel):
    """Pods near which (or, in podAntiAffinity, far from which) a pod should be."""

    required_during_scheduling_ignored_during_execution: list[PodTerm] | None = Field(
        default=None, max_length=8, description="All of these must hold."
    )
    preferred_during_scheduling_ignored_during_execution: list[PreferredPod] | None = Field(
        default=None, max_length=8, description="These are liked."
    )


class Affinity(ApiModel):
    """Nodes and pods that a pod needs, likes or avoids."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None
