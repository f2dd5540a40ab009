"""What the API server does with objects of our kinds: validate, refuse or prune what is unknown, fill in defaults."""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from modelyard.api.crd import STATUS_DEFAULT, custom_resource_definition
from modelyard.api.kinds import KINDS, Kind
from modelyard.decision import Manifest
from modelyard.engine.kube import KubeError

OURS: dict[str, Kind] = {kind.kind: kind for kind in KINDS}
SCHEMAS: dict[str, Any] = {
    kind.kind: custom_resource_definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for kind in KINDS
}


T = TypeVar("T")


def clone(obj: T) -> T:
    """A deep copy of JSON data; the fastest there is."""
    return cast(T, marshal.loads(marshal.dumps(cast(Any, obj))))


def admit(obj: Manifest) -> None:
    """Validate and default the spec of a new or changed object, in place."""
    kind = OURS[obj["kind"]]
    obj.setdefault("spec", {})
    unknown = list(unknown_fields(SCHEMAS[kind.kind]["spec"], obj["spec"], "spec"))
    if unknown:
        raise _invalid(f"unknown fields {', '.join(unknown)}")
    try:
        kind.spec.model_validate(obj["spec"])
    except ValidationError as fault:
        raise _invalid(str(fault)) from fault
    fill_in(SCHEMAS[kind.kind]["spec"], obj["spec"])
    _named(obj)


def admit_change(old: Manifest, new: Manifest) -> None:
    """Refuse what the rules of a kind call immutable."""
    if new["kind"] != "ModelVersion":
        return
    changed = [name for name in new["spec"] if name != "deletionPolicy" and new["spec"][name] != old["spec"].get(name)]
    if changed:
        raise _invalid(f"spec.{changed[0]} is immutable")


def admit_status(kind: str, status: Manifest) -> None:
    """Unknown status fields would be pruned and written for ever: refuse them loudly."""
    unknown = list(unknown_fields(SCHEMAS[kind]["status"], status, "status"))
    if unknown:
        raise _invalid(f"unknown fields {', '.join(unknown)}")
    try:
        OURS[kind].status.model_validate(status)
    except ValidationError as fault:
        raise _invalid(str(fault)) from fault


def first_status() -> Manifest:
    """The status of a new object."""
    return dict(STATUS_DEFAULT)


def fill_in(schema: Manifest, value: Any) -> None:
    """Structural defaulting, in place."""
    if isinstance(value, list) and "items" in schema:
        for item in value:
            fill_in(schema["items"], item)
    if not isinstance(value, dict):
        return
    for name, field in schema.get("properties", {}).items():
        if name not in value and "default" in field:
            value[name] = clone(field["default"])
        if name in value:
            fill_in(field, value[name])


def unknown_fields(schema: Manifest, value: Any, at: str) -> Iterator[str]:
    """Paths that the schema does not know."""
    if isinstance(value, list):
        for item in value:
            yield from unknown_fields(schema.get("items", {}), item, f"{at}[]")
    if not isinstance(value, dict) or "additionalProperties" in schema:
        return
    known = schema.get("properties", {})
    for name, field in value.items():
        if name in known:
            yield from unknown_fields(known[name], field, f"{at}.{name}")
        else:
            yield f"{at}.{name}"


def _named(obj: Manifest) -> None:
    spec, name = obj["spec"], obj["metadata"]["name"]
    if obj["kind"] == "ModelVersion" and name != f"{spec['model']}-{spec['number']}":
        raise _invalid("metadata.name must be <spec.model>-<spec.number>")


def _invalid(message: str) -> KubeError:
    return KubeError(HTTPStatus.UNPROCESSABLE_ENTITY, message, "Invalid")
