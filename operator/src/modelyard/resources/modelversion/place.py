"""Where a version's artifacts must lie: below its own run, in the installation's bucket."""

from __future__ import annotations

from modelyard.api import layout
from modelyard.api.modelversion import ModelVersionSpec


def own_prefix(namespace: str, spec: ModelVersionSpec) -> str:
    """The only prefix that a version of this namespace, model and run may name, verify or delete."""
    return layout.version_prefix(layout.run_prefix(namespace, spec.model, spec.run))


def misplaced(namespace: str, bucket: str, spec: ModelVersionSpec) -> str:
    """Why the uri is refused, or an empty string: nobody reaches another namespace's artifacts by writing an object."""
    if not spec.run:
        return "spec.lineage has no `trained`: this operator knows no other way by which versions are made"
    expected = f"s3://{bucket}/{own_prefix(namespace, spec)}"
    if layout.folder_uri(spec.uri) == expected:
        return ""
    return f"spec.uri is {spec.uri}; the artifacts of this run lie at {expected}"
