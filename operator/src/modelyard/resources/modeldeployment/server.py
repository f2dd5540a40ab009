"""One version's server: a Deployment and the Service by which this version alone is reached."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from modelyard import names
from modelyard.api import layout
from modelyard.decision import Manifest
from modelyard.resources.modeldeployment.pod import GRPC_PORT, HTTP_PORT, pod_template
from modelyard.resources.modeldeployment.situation import Situation, Version

PORTS: tuple[dict[str, Any], ...] = (
    {"name": "http1", "port": 80, "targetPort": HTTP_PORT, "protocol": "TCP"},
    {"name": "grpc", "port": GRPC_PORT, "targetPort": GRPC_PORT, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
)


def labels(s: Situation, number: int) -> dict[str, str]:
    """What a version's pods carry; Services select by deployment and version."""
    return {**selector(s, number), names.LABEL_MODEL: s.spec.model.name}


def selector(s: Situation, number: int) -> dict[str, str]:
    """Finds the pods of one version."""
    return {names.LABEL_DEPLOYMENT: s.name, names.LABEL_VERSION: str(number)}


def storage_uri(version: Version) -> str:
    """Where `fetch` finds the artifacts, pinned by the digest of their manifest."""
    bucket, prefix = layout.split_uri(layout.folder_uri(version.spec.uri))
    return f"modelyard://{bucket}/{prefix}@{version.spec.digest}"


def inputs_hash(s: Situation, version: Version) -> str:
    """Hash of what a user decides about the pods: artifacts and resources, never the image or the replicas."""
    return names.short_hash(storage_uri(version), _json(s.spec.serve.resources.dump()), length=16)


def fresh_template(s: Situation, version: Version) -> Manifest:
    """The pod template as this release of the operator makes it."""
    template = pod_template(
        model=version.spec.model,
        number=version.number,
        uri=storage_uri(version),
        namespace=s.namespace,
        resources=s.spec.serve.resources,
        platform=s.observed.platform,
    )
    template["metadata"] = {"labels": labels(s, version.number)}
    template["metadata"]["annotations"] = {names.ANNOTATION_TEMPLATE: _digest(template)}
    return template


def pinned_template(live: Manifest | None) -> Manifest | None:
    """The template that a live Deployment was made from, None if its pin is lost or was changed by hand."""
    return _pinned((live or {}).get("metadata", {}).get("annotations", {}).get(names.ANNOTATION_PINNED, ""))


@lru_cache(maxsize=128)
def _pinned(text: str) -> Manifest | None:
    try:
        template = json.loads(text)
        intact = template_hash(template) == _digest(template)
    except (ValueError, TypeError, KeyError):
        return None
    return dict(template) if intact else None


def template_hash(template: Manifest) -> str:
    """The hash that a template's pods carry."""
    return str(template["metadata"].get("annotations", {}).get(names.ANNOTATION_TEMPLATE, ""))


def deployment(s: Situation, number: int, inputs: str, template: Manifest) -> Manifest:
    """The Deployment of a version; a new pod must be ready before an old one goes."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": s.server_name(number),
            "labels": labels(s, number),
            "annotations": {names.ANNOTATION_INPUTS: inputs, names.ANNOTATION_PINNED: _json(template)},
        },
        "spec": {
            "replicas": s.replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector(s, number)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": template,
        },
    }


def service(s: Situation, name: str, number: int) -> Manifest:
    """A Service in front of one version's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {names.LABEL_DEPLOYMENT: s.name, names.LABEL_MODEL: s.spec.model.name}},
        "spec": {
            "selector": selector(s, number),
            "ports": [dict(port) for port in PORTS],
        },
    }


def _digest(template: Manifest) -> str:
    bare = {**template, "metadata": {"labels": template["metadata"]["labels"]}}
    return names.short_hash(_json(bare), length=16)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
