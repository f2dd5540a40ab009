"""v1alpha1 is frozen: what the upgrade lane's baseline recorded of the definitions, this checkout keeps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import yaml

from modelyard.api.compatible import RULES, all_breaks
from modelyard.api.crd import custom_resource_definitions
from tests.upgrade import baseline, record
from tests.upgrade.runtime import crds_of

Schema = dict[str, Any]
Change = Callable[[Schema], Any]
recorded = cache(baseline.definitions)
now = cache(custom_resource_definitions)


def broken(made: list[Schema]) -> str:
    """What to read when the test is red."""
    found = all_breaks(recorded(), made)
    return "\n".join(["objects that are there would break (CONTRIBUTING, Changing the API):", *found]) if found else ""


def test_the_definitions_break_nothing_that_was_recorded() -> None:
    told = broken(now())
    assert not told, told


def test_the_recorded_definitions_are_those_of_the_recorded_operator() -> None:
    """Neither of the two is edited alone."""
    assert list(yaml.safe_load_all(crds_of(baseline.source()))) == recorded()


def spec(kinds: list[Schema], kind: str) -> Schema:
    """The schema of a kind's spec."""
    (found,) = (crd for crd in kinds if crd["spec"]["names"]["kind"] == kind)
    schema: Schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def at(schema: Schema, path: str) -> Schema:
    """A field below it."""
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema


def renamed(schema: Schema, old: str, new: str) -> None:
    fields = schema["properties"]
    fields[new] = fields.pop(old)


PLANTED: dict[str, tuple[str, Change, str]] = {
    "a field taken away": ("FineTuneJob", lambda s: s["properties"].pop("attempt"), ".spec.attempt is gone"),
    "a field renamed": ("FineTuneJob", lambda s: renamed(at(s, "train"), "epochs", "passes"), "train.epochs is gone"),
    "a field required": ("FineTuneJob", lambda s: s["required"].append("profile"), ".spec.profile must be given"),
    "a word taken away": (
        "FineTuneJob", lambda s: at(s, "dataset.inline.task")["enum"].remove("translation"), "translation may not be"),
    "another default": ("FineTuneJob", lambda s: at(s, "attempt").update(default=2), "attempt: default was 1, is 2"),
    "a default": ("FineTuneJob", lambda s: at(s, "train.epochs").update(default=3), "epochs: default was None, is 3"),
    "a field with a default": (
        "Dataset", lambda s: s["properties"].update(later={"type": "string", "default": "x"}), "comes with a default"),
    "a tighter pattern": ("FineTuneJob", lambda s: at(s, "model").update(pattern="^a"), ".spec.model: pattern was"),
    "a tighter bound": ("FineTuneJob", lambda s: at(s, "train.epochs").update(maximum=2), "epochs: maximum was"),
    "a shorter text": ("FineTuneJob", lambda s: at(s, "model").update(maxLength=3), ".spec.model: maxLength was"),
    "a rule": (
        "ModelDeployment", lambda s: s.setdefault(RULES, []).append({"rule": "size(self.serve) > 1"}), "> 1 is new"),
    "a rule on a field": (
        "FineTuneJob", lambda s: at(s, "train").update({RULES: [{"rule": "self.epochs > 1"}]}), "> 1 is new"),
    "a task's rule narrower": (
        "Dataset", lambda s: _narrow(s), "is new"),
}  # fmt: skip


def _narrow(schema: Schema) -> None:
    rule = next(rule for rule in schema[RULES] if "'image-classification', 'object-detection'" in rule["rule"])
    rule["rule"] = rule["rule"].replace(", 'object-detection'", "")


@pytest.mark.parametrize(("kind", "change", "told"), PLANTED.values(), ids=PLANTED)
def test_a_change_that_breaks_is_told_and_not_recorded(kind: str, change: Change, told: str) -> None:
    made = copy.deepcopy(now())
    change(spec(made, kind))
    lines = broken(made).splitlines()
    assert len(lines) == 2 and lines[1].startswith(f"{kind}: .spec") and told in lines[1]
    assert lines[1] in record.refusal(recorded(), made)


ADDED: dict[str, tuple[str, Change]] = {
    "a field": ("Dataset", lambda s: s["properties"].update(later={"type": "string"})),
    "a word": ("FineTuneJob", lambda s: at(s, "dataset.inline.task")["enum"].append("later")),
    "a member of a union": ("FineTuneJob", lambda s: _member(at(s, "from"), "later")),
    "a rule about a new field": (
        "FineTuneJob", lambda s: _member(at(s, "from"), "later", s)),
}  # fmt: skip


def _member(union: Schema, name: str, ruled: Schema | None = None) -> None:
    if ruled is not None:
        ruled.setdefault(RULES, []).append({"rule": f"!has(self.from.{name}) || !has(self.method)"})
    union["properties"][name] = {"type": "object"}
    for rule in union[RULES]:
        rule["rule"] = rule["rule"].replace("].filter", f", has(self.{name})].filter")


@pytest.mark.parametrize(("kind", "change"), ADDED.values(), ids=ADDED)
def test_what_is_added_may_come_and_be_recorded(kind: str, change: Change) -> None:
    made = copy.deepcopy(now())
    change(spec(made, kind))
    assert made != now()
    assert broken(made) == "" == record.refusal(recorded(), made)
