from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Child, Manifest
from modelyard.engine.apply import covers, merge_patch, set_owner_and_labels

OWNER: Manifest = {
    "apiVersion": names.API_VERSION,
    "kind": "FineTuneJob",
    "metadata": {"name": "reviews", "namespace": "team", "uid": "u1", "labels": {"team": "blue"}},
}

PATCHES: list[tuple[Any, Any, Any]] = [
    ({}, {}, {}),
    ({"a": 1}, {"a": 1}, {}),
    ({"a": 1}, {"a": 2}, {"a": 2}),
    ({}, {"a": 0}, {"a": 0}),
    ({"a": 1}, {}, {"a": None}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
    ({"a": {"b": 1}}, {"a": {"b": 1}}, {}),
    ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}),
    ({"a": [1, 2]}, {"a": [1, 2]}, {}),
    ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
    ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, {"a": [{"b": 2}]}),
    ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
    ({"a": True}, {"a": False}, {"a": False}),
]


@pytest.mark.parametrize(("old", "new", "patch"), PATCHES)
def test_a_merge_patch_turns_one_into_the_other(old: Any, new: Any, patch: Any) -> None:
    assert merge_patch(old, new) == patch
    assert merged(old, patch) == new


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396, as the RFC writes it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


COVERED: list[tuple[Any, Any, bool]] = [
    ({"a": 1, "default": 2}, {"a": 1}, True),
    ({"a": 1}, {"a": 1, "b": 2}, False),
    ({"a": {"b": 1, "default": 2}}, {"a": {"b": 1}}, True),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
    ({"a": [{"b": 1, "default": 2}]}, {"a": [{"b": 1}]}, True),
    ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}]}, False),
    ({"a": [1, 2]}, {"a": [2, 1]}, False),
    ({"a": "1"}, {"a": 1}, False),
    ({}, {"a": {}}, False),
    ({"a": {}}, {"a": {}}, True),
]


@pytest.mark.parametrize(("live", "wanted", "covered"), COVERED)
def test_what_the_server_added_is_no_difference(live: Any, wanted: Any, covered: bool) -> None:
    assert covers(live, wanted) is covered


def test_a_child_is_dressed_with_namespace_owner_and_marks() -> None:
    marked = set_owner_and_labels(
        OWNER, Child({"kind": "ConfigMap", "metadata": {"name": "c", "labels": {"own": "label"}}})
    )
    meta = marked["metadata"]
    assert meta["namespace"] == "team"
    assert meta["ownerReferences"][0]["uid"] == "u1" and meta["ownerReferences"][0]["controller"] is True
    assert meta["labels"]["own"] == "label" and meta["labels"][names.LABEL_KIND] == "finetunejob"
    assert meta["annotations"] == {names.ANNOTATION_OWNER: "reviews"}
    assert "team" not in meta["labels"]


def test_a_child_that_outlives_its_owner_has_no_reference_to_it() -> None:
    marked = set_owner_and_labels(
        OWNER, Child({"kind": "ModelVersion", "metadata": {"name": "m-1"}}, "create", owned=False)
    )
    assert "ownerReferences" not in marked["metadata"]


def test_pods_of_a_template_are_marked_too_and_the_room_s_manifest_stays_as_it_was() -> None:
    manifest: Manifest = {"kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": {"x": 1}}}}
    marked = set_owner_and_labels(OWNER, Child(manifest, "create"))
    template = marked["spec"]["template"]
    assert template["metadata"]["labels"][names.MANAGED_BY] == names.MANAGED_BY_VALUE
    assert template["metadata"]["annotations"][names.ANNOTATION_OWNER] == "reviews"
    assert manifest == {"kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": {"x": 1}}}}


def test_long_names_of_owners_fit_into_a_label() -> None:
    owner = {**OWNER, "metadata": {**OWNER["metadata"], "name": "n" * 253}}
    labels = set_owner_and_labels(owner, Child({"kind": "Job", "metadata": {"name": "j"}}))["metadata"]["labels"]
    assert all(len(value) <= 63 for value in labels.values())
