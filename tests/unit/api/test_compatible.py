"""The checker lets fields come and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.api.compatible import INSTEAD, RULES, all_breaks, breaks
from modelyard.api.crd import custom_resource_definition
from modelyard.api.kinds import KINDS

OBJECT: dict[str, Any] = {
    "type": "object",
    "required": ["task"],
    "properties": {
        "task": {"type": "string", "enum": ["a", "b"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
        "name": {"type": "string", "maxLength": 9, "pattern": "^a"},
        "steps": {"type": "array", "maxItems": 3, "x-kubernetes-list-type": "atomic", "items": {
            "type": "object", "properties": {"x": {"type": "string"}}}},
        "rates": {"type": "object", "additionalProperties": {"type": "number"}},
        "method": {"type": "object", "properties": {"full": {"type": "object"}, "lora": {"type": "object"}},
                   "x-kubernetes-validations": [{"rule": "[has(self.full), has(self.lora)].filter(x, x).size() == 1"}]},
    },
}  # fmt: skip


def crd(schema: dict[str, Any], **version: Any) -> dict[str, Any]:
    one = {"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": schema}, **version}
    return {"spec": {"versions": [one]}}


def changed(change: Callable[[dict[str, Any]], Any]) -> list[str]:
    schema = copy.deepcopy(OBJECT)
    change(schema)
    return breaks(crd(OBJECT), crd(schema))


def p(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"][name]
    return found


def union(*members: str) -> list[dict[str, str]]:
    return [{"rule": f"[{', '.join(f'has(self.{m})' for m in members)}].filter(x, x).size() == 1"}]


FINE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "nothing": lambda s: None,
    "a field": lambda s: s["properties"].update(later={"type": "string"}),
    "a field of an item": lambda s: p(s, "steps")["items"]["properties"].update(y={"type": "string"}),
    "a word": lambda s: p(s, "task")["enum"].append("c"),
    "a wider limit": lambda s: p(s, "count").update(minimum=0, maximum=10),
    "no limit": lambda s: p(s, "name").pop("maxLength"),
    "no pattern": lambda s: p(s, "name").pop("pattern"),
    "no longer required": lambda s: s.update(required=[]),
    "a member of a union": lambda s: p(s, "method").update({
        "properties": {**p(s, "method")["properties"], "ia3": {"type": "object"}},
        "x-kubernetes-validations": union("full", "lora", "ia3")}),
    "a rule about a new field": lambda s: s.update(
        {"properties": {**s["properties"], "later": {"type": "string"}},
         "x-kubernetes-validations": [{"rule": "!has(self.later) || self.task == 'a'"}]}),
    "a rule about a field deep in a new one": lambda s: (
        p(s, "method")["properties"].update(name={"type": "object", "properties": {"x": {"type": "string"}}}),
        s.update({RULES: [{"rule": "!has(self.method) || !has(self.method.name) || self.task == 'a'"}]})),
    "a rule that forbids new members of a union": lambda s: (
        p(s, "method")["properties"].update(ia3={"type": "object"}, head={"type": "object"}),
        s.update({RULES: [
            {"rule": "self.task != 'a' || !has(self.method) || (!has(self.method.ia3) && !has(self.method.head))"}]})),
    "a rule for a new task": lambda s: (
        p(s, "task")["enum"].append("c"), s.update({RULES: [{"rule": "self.task != 'c' || self.count > 1"}]})),
    "a rule less": lambda s: p(s, "method").pop("x-kubernetes-validations"),
}  # fmt: skip
BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a rule that forbids a new member of a union and an old one": (
        lambda s: (
            p(s, "method")["properties"].update(ia3={"type": "object"}),
            s.update({RULES: [
                {"rule": "self.task != 'a' || !has(self.method) || (!has(self.method.ia3) && !has(self.method.full))"}
            ]})),
        "is new: begin it with a field",
    ),
    "a field with a default": (
        lambda s: s["properties"].update(later={"type": "string", "default": "x"}),
        ".later comes with a default: say in the code what its absence means",
    ),
    "a field gone": (lambda s: s["properties"].pop("name"), ".name is gone"),
    "a field of an item gone": (lambda s: p(s, "steps")["items"]["properties"].pop("x"), ".steps[].x is gone"),
    "another type": (lambda s: p(s, "count").update(type="number"), ".count: type was integer, is number"),
    "another default": (lambda s: p(s, "count").update(default=3), ".count: default was 2, is 3"),
    "a default": (lambda s: p(s, "name").update(default="ab"), ".name: default was None, is ab"),
    "no default": (lambda s: p(s, "count").pop("default"), ".count: default was 2, is None"),
    "a word gone": (lambda s: p(s, "task").update(enum=["a"]), ".task: b may not be given"),
    "only some words": (lambda s: p(s, "name").update(enum=["a"]), ".name: any value may not"),
    "narrower": (lambda s: p(s, "count").update(maximum=8), ".count: maximum was 9, is 8"),
    "a limit": (lambda s: p(s, "name").update(minLength=2), ".name: minLength was None, is 2"),
    "another pattern": (lambda s: p(s, "name").update(pattern="^b"), ".name: pattern was ^a, is ^b"),
    "required": (lambda s: s.update(required=["task", "name"]), ".name must be given"),
    "a rule about a field that has a namesake": (
        lambda s: (p(s, "method")["properties"].update(name={"type": "string"}),
                   s.update({RULES: [{"rule": "!has(self.name) || self.count > 1"}]})),
        "self.count > 1 is new",
    ),
    "a rule": (lambda s: s.update({"x-kubernetes-validations": [{"rule": "self.count > 1"}]}), "self.count > 1 is new"),
    "a member less": (lambda s: p(s, "method").update({"x-kubernetes-validations": union("full")}), "is new"),
    "another list": (lambda s: p(s, "steps").update({"x-kubernetes-list-type": "set"}), "list-type was atomic, is set"),
    "fewer items": (lambda s: p(s, "steps").update(maxItems=2), ".steps: maxItems was 3, is 2"),
    "other values": (lambda s: p(s, "rates")["additionalProperties"].update(type="string"), ".rates[]: type was"),
    "no values": (lambda s: p(s, "rates").pop("additionalProperties"), ".rates: additionalProperties is not"),
}  # fmt: skip


@pytest.mark.parametrize("change", FINE.values(), ids=FINE)
def test_this_may_come(change: Callable[[dict[str, Any]], Any]) -> None:
    assert changed(change) == []


@pytest.mark.parametrize(("change", "told"), BROKEN.values(), ids=BROKEN)
def test_this_breaks(change: Callable[[dict[str, Any]], Any], told: str) -> None:
    (found,) = changed(change)
    assert told in found


def test_a_version_that_is_served_no_more() -> None:
    assert breaks(crd(OBJECT), crd(OBJECT, served=False)) == ["version v1alpha1 is not served any more"]
    assert breaks(crd(OBJECT), {"spec": {"versions": []}}) == ["version v1alpha1 is not served any more"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_crd_is_compatible_with_itself(kind: Any) -> None:
    made = custom_resource_definition(kind)
    assert breaks(made, made) == []


def ruled(rule: str, *more: str) -> dict[str, Any]:
    """A spec with one rule; fields beside those of OBJECT."""
    made = copy.deepcopy(OBJECT)
    made["properties"] |= {name: {"type": "object", "properties": {}} for name in more}
    return made | {RULES: [{"rule": rule}]}


EACH = "self.task != 'a' || self.steps.all(r, "
WIDER = [
    ("!has(self.name) || self.task in ['a']", "!has(self.name) || self.task in ['a', 'b']"),
    (
        "self.task != 'a' || self.steps.all(r, has(r.x))",
        "self.task != 'a' || self.steps.all(r, has(r.x) && !has(r.later))",
    ),
    ("self.task != 'a' || (!has(self.s))", "self.task != 'a' || (!has(self.s) || (has(self.s) && has(self.later)))"),
    ("self.task != 'a' || (!has(self.method.x))", "self.task != 'a' || (!has(self.method.x) && !has(self.later))"),
    (
        "self.task != 'a' || !self.steps.exists(r, !(r.metric in ['f1']))",
        "self.task != 'a' || !self.steps.exists(r, !(r.metric in ['f1', 'bleu']))",
    ),
]
NARROWER = [
    ("!has(self.name) || self.task in ['a', 'b']", "!has(self.name) || self.task in ['a']"),
    (
        "self.task != 'a' || self.steps.all(r, has(r.x))",
        "self.task != 'a' || self.steps.all(r, has(r.x) && !has(r.name))",
    ),
    ("self.task != 'a' || self.steps.all(r, has(r.x))", "self.task != 'a' || self.steps.all(r, has(r.y))"),
    ("self.task != 'a' || (!has(self.m.x))", "self.task != 'a' || (!has(self.m.x) && !has(self.m.name))"),
    ("self.count > 1", "self.count > 2"),
    (
        "self.task != 'a' || !self.steps.exists(r, !(r.metric in ['f1', 'bleu']))",
        "self.task != 'a' || !self.steps.exists(r, !(r.metric in ['f1']))",
    ),
]


@pytest.mark.parametrize(("before", "after"), WIDER)
def test_a_rule_may_follow_the_table_of_tasks(before: str, after: str) -> None:
    assert breaks(crd(ruled(before)), crd(ruled(after, "later"))) == []


@pytest.mark.parametrize(("before", "after"), NARROWER)
def test_a_rule_may_not_forbid_what_was_allowed(before: str, after: str) -> None:
    (found,) = breaks(crd(ruled(before)), crd(ruled(after, "later")))
    assert "is new" in found


METRICS = "self.task != 'a' || !self.steps.exists(r, !(r.metric in [%s]))"


def test_a_rule_may_come_with_a_metric() -> None:
    bounded = {"rule": "self.task != 'a' || !self.steps.exists(r, r.metric == 'bleu' && has(r.max))"}
    for known, told in (("'f1'", 0), ("'f1', 'bleu'", 1)):
        before, after = ruled(METRICS % known), ruled(METRICS % "'f1', 'bleu'")
        after[RULES].append(bounded)
        assert len(breaks(crd(before), crd(after))) == told


@pytest.mark.parametrize(("said", "there"), [("Deprecated: use `later`.", True), ("Deprecated: use `never`.", False)])
def test_a_renamed_field_goes_a_release_after_it_was_said(said: str, there: bool) -> None:
    released = copy.deepcopy(OBJECT)
    released["properties"] |= {"later": {"type": "string"}, "name": {**p(released, "name"), "description": said}}
    next_one = copy.deepcopy(released)
    next_one["properties"].pop("name")
    assert breaks(crd(OBJECT), crd(released)) == []
    assert (breaks(crd(released), crd(next_one)) == []) is there


def test_a_kind_its_names_and_its_subresources_stay() -> None:
    made = custom_resource_definition(KINDS[0])
    other = copy.deepcopy(made)
    other["spec"]["names"]["shortNames"] = []
    other["spec"]["versions"][0]["subresources"] = {}
    told = all_breaks([made], [other])
    assert [text.partition(" was ")[0] for text in told] == ["Dataset: names", "Dataset: subresource status is gone"]
    assert all_breaks([made], []) == ["Dataset: the kind is gone"]


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_each_fault_says_what_to_do_instead(change: tuple[Callable[[dict[str, Any]], Any], str]) -> None:
    (found,) = changed(change[0])
    assert found.endswith(tuple(INSTEAD.values())) or "say in the code" in found
