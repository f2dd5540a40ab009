"""What the servers of both backends share: labels, the pinned template, the Service of one version."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from modelyard import names
from modelyard.api import layout
from modelyard.decision import Manifest
from modelyard.resources.modeldeployment.pod import GRPC_PORT, HTTP_PORT
from modelyard.resources.modeldeployment.situation import Server, Situation, Version

ROLL: dict[str, Any] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
PORTS: tuple[dict[str, Any], ...] = (
    {"name": "http1", "port": 80, "targetPort": HTTP_PORT, "protocol": "TCP"},
    {"name": "grpc", "port": GRPC_PORT, "targetPort": GRPC_PORT, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
)


def labels(s: Situation, server: Server) -> dict[str, str]:
    """What a server's pods carry; Services select by deployment, version and server."""
    return {**selector(s, server), names.LABEL_MODEL: s.spec.model.name}


def selector(s: Situation, server: Server) -> dict[str, str]:
    """Finds the pods of one server."""
    return {
        names.LABEL_DEPLOYMENT: s.name,
        names.LABEL_VERSION: str(server.number),
        names.LABEL_SERVER: str(server),
    }


def storage_uri(version: Version) -> str:
    """Where `fetch` finds the artifacts, pinned by the digest of their manifest."""
    bucket, prefix = layout.split_uri(layout.folder_uri(version.spec.uri))
    return f"modelyard://{bucket}/{prefix}@{version.spec.digest}"


def inputs_hash(s: Situation, version: Version) -> str:
    """Hash of what a user decides about the pods: artifacts, resources and which profile, never image or replicas."""
    serve = s.spec.serve
    return names.short_hash(storage_uri(version), _json(serve.resources.dump()), serve.profile, length=16)


def signed(s: Situation, server: Server, spec: Manifest) -> Manifest:
    """A template with a profile's marks below ours, that carries its own hash, as its pods will."""
    marks = {"labels": {**(s.added.labels or {}), **labels(s, server)}, "annotations": dict(s.added.annotations or {})}
    template = {"metadata": marks, "spec": spec}
    annotations = {**marks["annotations"], names.ANNOTATION_TEMPLATE: _digest(template)}
    return {"metadata": {**marks, "annotations": annotations}, "spec": spec}


def pinned(inputs: str, template: Manifest) -> dict[str, str]:
    """Annotations that keep the template as it went live, whatever a later release would make."""
    return {names.ANNOTATION_INPUTS: inputs, names.ANNOTATION_PINNED: _json(template)}


def pinned_template(live: Manifest | None) -> Manifest | None:
    """The template that a live server was made from, None if its pin is lost or was changed by hand."""
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


def service(s: Situation, name: str, server: Server) -> Manifest:
    """A Service in front of one server's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {names.LABEL_DEPLOYMENT: s.name, names.LABEL_MODEL: s.spec.model.name}},
        "spec": {"selector": selector(s, server), "ports": [dict(port) for port in PORTS]},
    }


def _digest(template: Manifest) -> str:
    meta = template["metadata"]
    told = {key: value for key, value in meta.get("annotations", {}).items() if key != names.ANNOTATION_TEMPLATE}
    return names.short_hash(_json({**template, "metadata": {**meta, "annotations": told}}), length=16)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
