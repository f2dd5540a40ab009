"""Models to CustomResourceDefinitions: structural schemas, CEL rules, printer columns, visible defaults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, NoDefault
from pydantic_core import core_schema

from modelyard.api.common import ApiModel
from modelyard.api.kinds import KINDS, Column, Kind
from modelyard.names import ANNOTATION_DEFINITION, API_VERSION, CATEGORY, GROUP, VERSION

Schema = dict[str, Any]

STATUS_DEFAULT = {"observedGeneration": -1}
"""Tells kstatus clients that the operator has not looked at a new object yet."""

_PLAIN = (
    "description", "type", "format", "enum", "default", "pattern", "minLength", "maxLength", "minimum",
    "maximum", "minItems", "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip
_EXTENSIONS = (
    "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-validations",
)  # fmt: skip
_CONSUMED = (
    "title", "const", "properties", "items", "additionalProperties", "exclusiveMinimum", "exclusiveMaximum",
)  # fmt: skip


class SchemaError(TypeError):
    """A model that has no structural schema, or a field without a description."""


class _Generator(GenerateJsonSchema):
    """JSON schema with the values of default factories, too."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        """The default as it stands in the API, also where a factory makes it."""
        factory: Any = schema.get("default_factory")
        if factory is not None and not schema.get("default_factory_takes_data"):
            return _plain(factory())
        value = super().get_default_value(schema)
        return value if value is NoDefault else _plain(value)


def custom_resource_definitions() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of all kinds, in the order of a model's life."""
    return [custom_resource_definition(kind) for kind in KINDS]


def custom_resource_definition(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind; its annotation tells definitions of different releases apart."""
    spec = {
        "group": GROUP,
        "names": _names(kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "versions": [_version(kind)],
    }
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "annotations": {ANNOTATION_DEFINITION: digest[:12]}},
        "spec": spec,
    }


def structural_schema(model: type[ApiModel], *, defaults: bool = True) -> Schema:
    """The structural schema of a model; without defaults for a status, which the operator alone writes."""
    raw = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions = raw.pop("$defs", {})
    schema = _structural(raw, definitions, model.__name__)
    return schema if defaults else _without_defaults(schema)


def _names(kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
        "shortNames": [kind.short],
        "categories": [CATEGORY],
    }


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}, **_scale(kind)},
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": _without_defaults_in_lists(_with_spoken_defaults(root_schema(kind)))},
    }


def _scale(kind: Kind) -> dict[str, Any]:
    if kind.scale is None:
        return {}
    fields = ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
    return {"scale": dict(zip(fields, kind.scale, strict=True))}


def _column(column: Column) -> dict[str, Any]:
    priority = {"priority": 1} if column.wide else {}
    return {"name": column.name, "type": column.type, "jsonPath": column.path, **priority}


def root_schema(kind: Kind) -> Schema:
    """The schema of a whole object, with the rules that look at metadata.name."""
    spec = structural_schema(kind.spec)
    if "required" not in spec:
        spec["default"] = {}
    status = {**structural_schema(kind.status, defaults=False), "default": dict(STATUS_DEFAULT)}
    schema: Schema = {
        "description": f"{kind.kind} of {API_VERSION}. {spec['description']}",
        "type": "object",
        "required": ["spec"] if "default" not in spec else [],
        "properties": {
            "apiVersion": {"description": f"Always {API_VERSION}.", "type": "string"},
            "kind": {"description": f"Always {kind.kind}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
        "x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in kind.rules],
    }
    return {key: value for key, value in schema.items() if value}


def _plain(value: Any) -> Any:
    """A default as JSON data with API names; whole numbers as integers."""
    if isinstance(value, BaseModel):
        return _plain(value.model_dump(mode="json", by_alias=True, exclude_none=True))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _structural(raw: JsonSchemaValue, definitions: Schema, where: str) -> Schema:
    """One node and all below it, with nothing that the API server does not take."""
    node = _without_null(_inlined(raw, definitions), definitions, where)
    unknown = sorted(set(node) - {*_PLAIN, *_EXTENSIONS, *_CONSUMED})
    if unknown:
        raise SchemaError(f"{where}: no structural schema for {', '.join(unknown)}")
    schema = {key: node[key] for key in _PLAIN if key in node}
    schema.update(_scalar(node))
    schema.update(_nested(node, definitions, where))
    schema.update({key: node[key] for key in _EXTENSIONS if key in node})
    return schema


def _inlined(raw: Schema, definitions: Schema) -> Schema:
    """The node with its reference replaced; what stands beside the reference wins."""
    if "$ref" not in raw:
        return dict(raw)
    beside = {key: value for key, value in raw.items() if key != "$ref"}
    return {**_inlined(definitions[raw["$ref"].rpartition("/")[2]], definitions), **beside}


def _without_null(node: Schema, definitions: Schema, where: str) -> Schema:
    """An optional field is one that need not be there: no null in the schema."""
    if "anyOf" not in node:
        return node
    choices = [choice for choice in node.pop("anyOf") if choice.get("type") != "null"]
    if len(choices) != 1:
        raise SchemaError(f"{where}: a field has exactly one type")
    if node.get("default", 0) is None:
        del node["default"]
    return {**_inlined(choices[0], definitions), **node}


def _scalar(node: Schema) -> Schema:
    """What OpenAPI v3.0 writes in another way than JSON schema."""
    found: Schema = {}
    if "const" in node:
        found["enum"] = [node["const"]]
    if node.get("type") == "integer" and "format" not in node:
        found["format"] = "int64"
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in node:
            found.update({bound: node[exclusive], exclusive: True})
    return found


def _nested(node: Schema, definitions: Schema, where: str) -> Schema:
    """Properties, items or map values."""
    if node.get("type") == "array":
        items = _structural(node["items"], definitions, f"{where}[]")
        return {"items": items, "x-kubernetes-list-type": node.get("x-kubernetes-list-type", "atomic")}
    if node.get("type") != "object":
        return {}
    values = node.get("additionalProperties")
    if isinstance(values, dict):
        return {"additionalProperties": _structural(values, definitions, f"{where}{{}}")}
    if "properties" not in node and values is not False:
        raise SchemaError(f"{where}: an object needs named fields or one type for all its values")
    return {"properties": _properties(node, definitions, where)}


def _properties(node: Schema, definitions: Schema, where: str) -> Schema:
    found = {
        name: _structural(field, definitions, f"{where}.{name}") for name, field in node.get("properties", {}).items()
    }
    for name, field in found.items():
        if not field.get("description"):
            raise SchemaError(f"{where}.{name}: every field has a description")
    return found


def _with_spoken_defaults(node: Schema) -> Schema:
    """Descriptions that name the default, too: `kubectl explain` shows no other."""
    found = dict(node)
    if isinstance(node.get("default"), str | int | float) and "description" in node:
        found["description"] = f"{node['description']} Default: {json.dumps(node['default']).strip(chr(34))}."
    return _deeper(found, _with_spoken_defaults)


def _without_defaults_in_lists(node: Schema) -> Schema:
    """Defaults of list items are filled in by the operator, not by the API server.

    Tools that compare what was applied with what lives (Argo CD, a merge patch) take a list as a whole: a default that
    the API server adds inside an item is a difference for ever.
    """
    found = _deeper(node, _without_defaults_in_lists)
    return {**found, "items": _without_defaults(found["items"])} if "items" in found else found


def _without_defaults(node: Schema) -> Schema:
    return _deeper({key: value for key, value in node.items() if key != "default"}, _without_defaults)


def _deeper(node: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """The node with a change made to all schemas directly below it."""
    found = dict(node)
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = change(found[key])
    if "properties" in found:
        found["properties"] = {name: change(field) for name, field in found["properties"].items()}
    return found
