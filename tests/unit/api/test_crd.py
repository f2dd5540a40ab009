import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import Field

from modelyard.api.common import ApiModel
from modelyard.api.crd import SchemaError, custom_resource_definition, root_schema, structural_schema
from modelyard.api.kinds import KINDS, Kind
from modelyard.generate import to_yaml

FORBIDDEN = {
    "$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "title", "const", "nullable", "definitions", "examples",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string",
}  # fmt: skip
LIMIT = 200_000
each_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.kind for kind in KINDS])


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema node below and including this one."""
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from nodes(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


def spec_nodes(kind: Kind) -> Iterator[tuple[str, dict[str, Any]]]:
    return nodes(root_schema(kind)["properties"]["spec"], "spec")


@each_kind
def test_every_node_is_structural(kind: Kind) -> None:
    for path, node in nodes(root_schema(kind)):
        assert not FORBIDDEN & set(node), path
        assert node["type"] in {"object", "array", "string", "integer", "number", "boolean"}, path
        assert not {"properties", "additionalProperties"} <= set(node), path
        assert not isinstance(node.get("additionalProperties"), bool), path
        assert isinstance(node.get("exclusiveMinimum", True), bool), path


@each_kind
def test_every_field_is_described(kind: Kind) -> None:
    for path, node in nodes(root_schema(kind)):
        if path != ".metadata" and not path.endswith("[]"):
            assert node["description"].strip(), path


@each_kind
def test_lists_say_how_they_merge_and_integers_how_wide_they_are(kind: Kind) -> None:
    for path, node in nodes(root_schema(kind)):
        assert node["type"] != "array" or node["x-kubernetes-list-type"] in {"atomic", "set", "map"}, path
        assert node["type"] != "integer" or node["format"] in {"int32", "int64"}, path


@each_kind
def test_every_default_is_visible(kind: Kind) -> None:
    """A model filled from its required fields alone holds nothing that the schema does not show."""
    for path, node in spec_nodes(kind):
        required = set(node.get("required", []))
        for name, field in node.get("properties", {}).items():
            assert not (name in required and "default" in field), f"{path}.{name}"


@each_kind
def test_no_default_stands_inside_a_list(kind: Kind) -> None:
    """Who compares lists as a whole (Argo CD, a merge patch) would see a difference for ever."""
    served = custom_resource_definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    inside = [path for path, node in nodes(served) if "[]" in path and "default" in node]
    assert not inside
    assert [path for path, node in nodes(served) if "default" in node]


@each_kind
def test_a_status_has_no_default_but_the_generation(kind: Kind) -> None:
    status = root_schema(kind)["properties"]["status"]
    assert status["default"] == {"observedGeneration": -1}
    assert not [path for path, node in nodes(status) if "default" in node and path]


@each_kind
def test_bounds_keep_specs_small(kind: Kind) -> None:
    for path, node in spec_nodes(kind):
        assert node["type"] != "array" or "maxItems" in node, path
        assert node["type"] != "string" or {"maxLength", "enum"} & set(node), path
        assert "additionalProperties" not in node or "maxProperties" in node, path


@each_kind
def test_definition_is_complete_and_small(kind: Kind) -> None:
    definition = custom_resource_definition(kind)
    version = definition["spec"]["versions"][0]
    assert definition["metadata"]["name"] == f"{kind.plural}.modelyard.dev"
    assert definition["spec"]["names"]["categories"] == ["modelyard"]
    assert definition["spec"]["names"]["shortNames"] == [kind.short]
    assert set(version["subresources"]) == ({"status", "scale"} if kind.scale else {"status"})
    assert [column["name"] for column in version["additionalPrinterColumns"]] == [c.name for c in kind.columns]
    assert len(json.dumps(definition)) < LIMIT and len(to_yaml(definition)) < LIMIT


@each_kind
def test_columns_point_at_fields(kind: Kind) -> None:
    known = {path for path, _ in nodes(root_schema(kind))}
    for column in kind.columns:
        if "[?" not in column.path and not column.path.startswith(".metadata."):
            assert column.path.removesuffix("[0]") in known


@each_kind
def test_rules_have_messages(kind: Kind) -> None:
    for path, node in nodes(root_schema(kind)):
        for rule in node.get("x-kubernetes-validations", []):
            assert rule["rule"] and len(rule["message"]) > 15, path


def test_defaults_of_the_schema_are_those_of_the_models() -> None:
    for kind in KINDS:
        properties = root_schema(kind)["properties"]["spec"]["properties"]
        for name, field in kind.spec.model_fields.items():
            expected = None if field.is_required() else field.get_default(call_default_factory=True)
            if expected is not None:
                expected = json.loads(json.dumps(_dumped(expected)))
            assert properties[field.alias or name].get("default") == expected, f"{kind.kind}.{name}"


def _dumped(value: Any) -> Any:
    if isinstance(value, list):
        return [_dumped(item) for item in value]
    return value.dump() if isinstance(value, ApiModel) else value


class Inner(ApiModel):
    """Inside."""

    share: float = Field(default=2.0, gt=0, lt=3, description="A share.")


class Outer(ApiModel):
    """Outside."""

    inner: Inner = Field(default_factory=Inner)
    other: Inner | None = None
    names: list[str] = Field(default_factory=list, description="Names.")
    sizes: dict[str, int] | None = Field(default=None, description="Sizes.")


def test_schema_of_a_small_model() -> None:
    share = {
        "description": "A share.", "type": "number", "default": 2,
        "minimum": 0, "exclusiveMinimum": True, "maximum": 3, "exclusiveMaximum": True,
    }  # fmt: skip
    inner = {"description": "Inside.", "type": "object", "properties": {"share": share}}
    integer = {"type": "integer", "format": "int64"}
    strings = {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"}
    assert structural_schema(Outer) == {
        "description": "Outside.",
        "type": "object",
        "properties": {
            "inner": {**inner, "default": {"share": 2}},
            "other": inner,
            "names": {"description": "Names.", "default": [], **strings},
            "sizes": {"description": "Sizes.", "type": "object", "additionalProperties": integer},
        },
    }


class Choice(ApiModel):
    """Two types."""

    value: int | str = Field(description="Either.")


class Anything(ApiModel):
    """No type."""

    value: dict[str, Any] = Field(description="Any.")


class Silent(ApiModel):
    """No description."""

    value: int


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Choice, "Choice.value: a field has exactly one type"),
        (Anything, "Anything.value: an object needs named fields"),
        (Silent, "Silent.value: every field has a description"),
    ],
)
def test_what_has_no_schema_is_an_error(model: type[ApiModel], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        structural_schema(model)
