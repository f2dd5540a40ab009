"""What is kept of an object: what somebody reads. Anyone may make objects that bear our labels, of any weight."""

from __future__ import annotations

import json
from typing import Any

from modelyard import names
from modelyard.decision import Manifest

CHILD_KINDS = ("Job", "ConfigMap", "Service", "Deployment", "Pod")
KSERVE_KINDS = ("InferenceService",)
"""Children that can be watched only while the cluster serves KServe's API."""
CHILDREN = (*CHILD_KINDS, *KSERVE_KINDS)
BARE_KINDS = ("ConfigMap",)
"""Of these nobody reads more than the metadata: the API server is asked for nothing else."""
HEAVIEST = 256 * 1024
"""Characters of a child, slimmed, that is still kept; ours are far below."""
CONTAINERS, LONGEST = 20, 300
"""Containers of a pod, and characters of an annotation that is no pinned template."""

META = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
MARKS = {value for name, value in vars(names).items() if name.startswith(("LABEL_", "ANNOTATION_", "MANAGED_BY"))}
SPEC = {"Job": ("suspend", "backoffLimit"), "Pod": ("containers",)}
STATUS = {
    "Job": ("conditions", "active", "ready", "failed", "succeeded", "startTime"),
    "Pod": ("phase", "reason", "message", "conditions", "initContainerStatuses", "containerStatuses"),
    "Service": (),
}
PARTS = {"spec": SPEC, "status": STATUS}
FAMILY = (f"{names.GROUP}/", "serving.kserve.io/")
"""API groups whose objects own children: our kinds, and KServe's InferenceService of which it makes a Deployment."""


def slim(obj: Manifest) -> None:
    """Drop what nobody reads, in place: of a child all that is not named here, of other objects their baggage."""
    kind, meta = obj.get("kind", ""), slim_meta(obj)
    if kind not in CHILDREN:
        obj["metadata"] = meta
        return
    kept = {**_only(obj, ("apiVersion", "kind")), "metadata": meta}
    if kind not in BARE_KINDS:
        kept |= {field: _part(obj[field], known.get(kind)) for field, known in PARTS.items() if field in obj}
    if kind == "Pod":
        containers = kept.get("spec", {}).get("containers", ())[:CONTAINERS]
        kept["spec"] = {"containers": [_only(container, ("name", "resources")) for container in containers]}
    obj.clear()
    obj.update(kept)


def slim_meta(obj: Manifest) -> Manifest:
    """Metadata that is kept: of a child names of ours, and the owner that controls it."""
    kind, meta = obj.get("kind", ""), dict(obj["metadata"])
    meta.pop("managedFields", None)
    if kind in CHILDREN:
        meta = _only(meta, (*META, "labels", "annotations"))
        meta |= {"labels": _marks(kind, meta["labels"])} if "labels" in meta else {}
        if "ownerReferences" in obj["metadata"]:
            meta["ownerReferences"] = [ref for ref in obj["metadata"]["ownerReferences"] if ref.get("controller")]
    if "annotations" in meta and (kind in CHILDREN or obj.get("apiVersion") == names.API_VERSION):
        meta["annotations"] = _marks(kind, meta["annotations"])
    return meta


def _marks(kind: str, marks: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in marks.items() if _is_read(kind, name, value)}


def _is_read(kind: str, name: str, value: str) -> bool:
    if name == names.ANNOTATION_PINNED:
        return kind in ("Deployment", "InferenceService")
    return len(value) <= LONGEST and (name in MARKS or (kind in KSERVE_KINDS and "kserve.io/" in name))


def is_light(obj: Manifest) -> bool:
    """True unless a child is heavier than any that we make."""
    return obj["kind"] not in CHILDREN or len(json.dumps(obj)) <= HEAVIEST


def controller(obj: Manifest) -> Manifest:
    """The reference to the owner that controls an object; empty if there is none."""
    return next((ref for ref in obj["metadata"].get("ownerReferences", ()) if ref.get("controller")), {})


def has_family(obj: Manifest) -> bool:
    """True when an object has an owner as our children have: pods one of the kinds that make pods."""
    group = str(controller(obj).get("apiVersion", ""))
    if obj["kind"] == "Pod":
        return group.startswith(("batch/", "apps/"))
    return group.startswith(FAMILY)


def _part(value: Any, fields: tuple[str, ...] | None) -> Any:
    return value if fields is None else _only(value, fields)


def _only(value: Manifest, fields: tuple[str, ...]) -> Manifest:
    return {field: value[field] for field in fields if field in value}
