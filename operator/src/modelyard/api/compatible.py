"""Whether a CRD still takes every object that an earlier one took, and reads each as before.

Fields may come; none goes, becomes narrower, required, or another default. One that comes has no default: the API
server would write it into every object, and an older operator begins nothing with a field that it does not know. A rule
may go; one may come only where it is about a field that came with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
LOWER = ("maximum", "maxLength", "maxItems", "maxProperties")
"""Limits that may only rise or go."""
HIGHER = ("minimum", "minLength", "minItems", "minProperties")
"""Limits that may only fall or go."""
SAME = ("type", "format", "pattern", "default", "nullable", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type", "x-kubernetes-int-or-string", "exclusiveMinimum", "exclusiveMaximum")  # fmt: skip
RULES = "x-kubernetes-validations"
UNION = re.compile(r"\[(has\(self\.\w+\)(?:, has\(self\.\w+\))*)\]\.filter\(x, x\)\.size\(\) == 1")
"""How this API says that exactly one of several fields is set."""
TASK_LIST = re.compile(r"self\.task in \[[^\]]*\]")


def breaks(old: Schema, new: Schema) -> list[str]:
    """What an object or a client of the `old` CustomResourceDefinition would stumble over, a sentence each."""
    found: list[str] = []
    versions = {version["name"]: version for version in new["spec"]["versions"]}
    for version in old["spec"]["versions"]:
        name = version["name"]
        if name not in versions or not versions[name]["served"]:
            found.append(f"version {name} is not served any more")
            continue
        before, after = (v["schema"]["openAPIV3Schema"] for v in (version, versions[name]))
        found += _node(before, after, "")
    return found


def _node(old: Schema, new: Schema, path: str) -> Iterator[str]:
    yield from _limits(old, new, path or ".")
    yield from _rules(old, new, path or ".")
    yield from _properties(old, new, path)
    for inner in ("items", "additionalProperties"):
        before, after = old.get(inner), new.get(inner)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _node(before, after, f"{path}[]")
        elif before is not None and before != after:
            yield f"{path or '.'}: {inner} is not what it was"


def _limits(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for key in SAME:
        if old.get(key) != new.get(key) and not (key == "pattern" and key not in new):
            yield f"{path}: {key} was {old.get(key)}, is {new.get(key)}"
    for key in LOWER:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"{path}: {key} was {old.get(key)}, is {new[key]}"
    for key in HIGHER:
        if key in new and new[key] > old.get(key, float("-inf")):
            yield f"{path}: {key} was {old.get(key)}, is {new[key]}"
    if "enum" in new and (gone := [word for word in old.get("enum", ["any value"]) if word not in new["enum"]]):
        yield f"{path}: {', '.join(map(str, gone))} may not be given any more"


def _properties(old: Schema, new: Schema, path: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name in after:
            yield from _node(before[name], after[name], f"{path}.{name}")
        else:
            yield f"{path}.{name} is gone"
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{path}.{name} must be given"
    for name in sorted(after.keys() - before.keys()):
        if "default" in after[name]:
            yield f"{path}.{name} comes with a default: say in the code what its absence means"


def _rules(old: Schema, new: Schema, path: str) -> Iterator[str]:
    known = [rule["rule"] for rule in old.get(RULES, ())]
    came = new.get("properties", {}).keys() - old.get("properties", {}).keys()
    words = set(_words(new)) - set(_words(old))
    fields = _fields(new) - _fields(old)
    for rule in (rule["rule"] for rule in new.get(RULES, ())):
        about_new = rule.startswith(tuple(f"!has(self.{name}) || " for name in came))
        about_new = about_new or rule.startswith(tuple(f"self.task != '{word}' || " for word in words))
        about_new = about_new or _guarded(rule, fields)
        if rule not in known and not about_new and not any(_is_wider(before, rule, fields) for before in known):
            yield f"{path}: the rule {rule} is new"


def _guarded(rule: str, fields: set[str]) -> bool:
    """Whether the rule is about a field, at any depth, that no object had before."""
    guard = re.match(r"(?:!has\(self\.[\w.]+\) \|\| )*!has\(self\.(?:\w+\.)*(\w+)\) \|\| ", rule)
    return bool(guard and guard[1] in fields)


def _fields(schema: Schema) -> set[str]:
    """Names of all fields at any depth."""
    inner = (schema.get(name) for name in ("items", "additionalProperties"))
    below = [*schema.get("properties", {}).values(), *(value for value in inner if isinstance(value, dict))]
    return set(schema.get("properties", {})).union(*map(_fields, below))


def _words(schema: Schema) -> list[str]:
    """Tasks that an object of this schema may have."""
    return list(schema.get("properties", {}).get("task", {}).get("enum", ()))


def _is_wider(old: str, new: str, fields: set[str]) -> bool:
    """True for the same union with more members, or the same rule for more tasks, without or with new fields.

    A rule that also forbids a field which no object had, or allows one more alternative, forbids nothing of old.
    """
    before, after = UNION.fullmatch(old), UNION.fullmatch(new)
    if before and after:
        return set(before[1].split(", ")) <= set(after[1].split(", "))
    if set(_tasks(old)) - set(_tasks(new)):
        return False
    return _plain(old, fields) == _plain(new, fields)


def _tasks(rule: str) -> list[str]:
    """Tasks that a rule lists."""
    return [word for found in TASK_LIST.findall(rule) for word in re.findall(r"'([^']*)'", found)]


def _plain(rule: str, fields: set[str]) -> str:
    """The rule without its list of tasks, and without what it says of new fields."""
    new = "|".join(map(re.escape, sorted(fields))) or "(?!)"
    about = rf"has\((?:self|r)\.(?:\w+\.)*(?:{new})\)"
    text = TASK_LIST.sub("", rule)
    text = re.sub(rf" (?:&&|\|\|) \(has\(self(?:\.\w+)+\) && has\(self\.(?:\w+\.)*(?:{new})\)\)", "", text)
    return re.sub(rf" && !{about}|!{about} && | \|\| {about}", "", text)
