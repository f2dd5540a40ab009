"""A profile's pod block: resolved for one object, and put into the pods of runs and servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from modelyard import names
from modelyard.api.pod import Pod
from modelyard.decision import Manifest
from modelyard.resources.quantity import memory

P = TypeVar("P", bound=Pod)
SPEC_FIELDS = (
    "imagePullSecrets", "serviceAccountName", "priorityClassName", "runtimeClassName", "nodeSelector", "tolerations",
    "affinity", "topologySpreadConstraints",
)  # fmt: skip
"""Fields of a pod block that stand in a PodSpec under the same name."""
SHARED_MEMORY = {"name": "shm", "mountPath": "/dev/shm"}
RESERVED = (f"{names.GROUP}/", names.MANAGED_BY, names.LABEL_QUEUE)


def resolved(pod: P, obj: Manifest) -> P:
    """The block with the object's labels that it copies; none of the operator's own labels can be set by it."""
    labels = {**_foreign(pod.labels or {}), **copied_labels(pod, obj)}
    return pod.model_copy(update={"labels": labels or None, "copy_labels": None})


def copied_labels(pod: Pod, obj: Manifest) -> dict[str, str]:
    """Labels of the object that the block copies."""
    mine = obj["metadata"].get("labels") or {}
    return _foreign({key: mine[key] for key in pod.copy_labels or () if key in mine})


def _foreign(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if not key.startswith(RESERVED)}


def in_spec(pod: Pod) -> dict[str, Any]:
    """Identity and placement, as fields of a PodSpec."""
    block = pod.dump()
    return {field: block[field] for field in SPEC_FIELDS if block.get(field)}


def in_container(pod: Pod, container: Manifest) -> Manifest:
    """A container with the block's environment, mounts and disk; a variable of the block wins over one of ours."""
    block = pod.dump()
    added, mounts = block.get("env", []), [*block.get("volumeMounts", [])]
    own = {mount["name"] for mount in container.get("volumeMounts", ())}
    if pod.shared_memory and SHARED_MEMORY["name"] not in own:
        mounts.append(dict(SHARED_MEMORY))
    overridden = {entry["name"] for entry in added}
    env = [entry for entry in container.get("env", ()) if entry["name"] not in overridden] + added
    made = {**container, "env": env}
    if mounts:
        made["volumeMounts"] = [*container.get("volumeMounts", ()), *mounts]
    if pod.env_from:
        made["envFrom"] = [*container.get("envFrom", ()), *block["envFrom"]]
    if pod.ephemeral_storage:
        disk = {"ephemeral-storage": memory(pod.ephemeral_storage)}
        made["resources"] = {kind: {**amounts, **disk} for kind, amounts in container["resources"].items()}
    return made


def volumes(pod: Pod) -> list[Manifest]:
    """The block's volumes, and memory shared between processes."""
    shared = [shared_memory(pod.shared_memory)] if pod.shared_memory else []
    return [*pod.dump().get("volumes", []), *shared]


def shared_memory(size: str | None) -> Manifest:
    """/dev/shm as a volume; without a size it may grow up to the pod's memory."""
    limit = {"sizeLimit": memory(size)} if size else {}
    return {"name": SHARED_MEMORY["name"], "emptyDir": {"medium": "Memory", **limit}}
