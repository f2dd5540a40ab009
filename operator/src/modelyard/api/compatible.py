"""Whether a CRD still takes every object that an earlier one took, and reads each as before.

Fields may come; none goes, becomes narrower, required, or another default. One that comes has no default: the API
server would write it into every object, and an older operator begins nothing with a field that it does not know. A rule
may go; one may come only where it is about a field that came with it. A renamed field may go a release after the new
one came: once its recorded description begins with "Deprecated: use `new`".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]
LOWER = ("maximum", "maxLength", "maxItems", "maxProperties")
"""Limits that may only rise or go."""
HIGHER = ("minimum", "minLength", "minItems", "minProperties")
"""Limits that may only fall or go."""
SAME = ("type", "format", "pattern", "default", "nullable", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields",
        "exclusiveMinimum", "exclusiveMaximum")  # fmt: skip
IDENTITY = ("group", "scope", "names")
DEPRECATED = re.compile(r"Deprecated: use `([\w.]+)`")
INSTEAD = {
    "gone": "let the new field come, and keep the old one for a release (Deprecated: use `new`)",
    "required": "let it be optional, and say in the code what its absence means",
    "default": "leave it; a value that is to be tuned belongs in a numbered recipe",
    "narrower": "let the definition take it, and refuse it with a condition; or let a new field come",
    "word": "let it stay, and treat it as the word that came for it",
    "rule": "begin it with a field or a word that came with it (!has(self.new) || ...), or refuse with a condition",
    "changed": "let a new field come that has it",
}
"""What can be done in place of a change that breaks objects."""
RULES = "x-kubernetes-validations"
UNION = re.compile(r"\[(has\(self\.\w+\)(?:, has\(self\.\w+\))*)\]\.filter\(x, x\)\.size\(\) == 1")
"""How this API says that exactly one of several fields is set."""
TASK_LIST = re.compile(r"self\.task in \[[^\]]*\]")
METRIC_LIST = re.compile(r"!\(r\.metric in \[[^\]]*\]\)")
GUARDS = re.compile(r"(?:!has\(self\.[\w.]+\) \|\| )+")


def all_breaks(old: Iterable[Schema], new: Iterable[Schema]) -> list[str]:
    """The same for all definitions of a release and of the next one; each sentence begins with the kind."""
    after = {definition["metadata"]["name"]: definition for definition in new}
    found: list[str] = []
    for definition in old:
        kind, name = definition["spec"]["names"]["kind"], definition["metadata"]["name"]
        told = breaks(definition, after[name]) if name in after else ["the kind is gone"]
        found += (f"{kind}: {text}" for text in told)
    return found


def breaks(old: Schema, new: Schema) -> list[str]:
    """What an object or a client of the `old` CustomResourceDefinition would stumble over, a sentence each."""
    found = [f"{key} was {old['spec'][key]}" for key in IDENTITY if old["spec"].get(key) != new["spec"].get(key)]
    versions = {version["name"]: version for version in new["spec"]["versions"]}
    for version in old["spec"]["versions"]:
        name = version["name"]
        if name not in versions or not versions[name]["served"]:
            found.append(f"version {name} is not served any more")
            continue
        before, after = (v["schema"]["openAPIV3Schema"] for v in (version, versions[name]))
        found += (f"subresource {sub} is gone" for sub in _missing(version, versions[name], "subresources"))
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
            yield f"{path or '.'}: {inner} is not what it was: {INSTEAD['changed']}"


def _limits(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for key in SAME:
        if old.get(key) != new.get(key) and not (key == "pattern" and key not in new):
            yield f"{path}: {key} was {old.get(key)}, is {new.get(key)}: {INSTEAD.get(key, INSTEAD['changed'])}"
    lower = [key for key in LOWER if key in new and new[key] < old.get(key, float("inf"))]
    higher = [key for key in HIGHER if key in new and new[key] > old.get(key, float("-inf"))]
    for key in (*lower, *higher):
        yield f"{path}: {key} was {old.get(key)}, is {new[key]}: {INSTEAD['narrower']}"
    if "enum" in new and (gone := [word for word in old.get("enum", ["any value"]) if word not in new["enum"]]):
        yield f"{path}: {', '.join(map(str, gone))} may not be given any more: {INSTEAD['word']}"


def _properties(old: Schema, new: Schema, path: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in before:
        if name in after:
            yield from _node(before[name], after[name], f"{path}.{name}")
        elif not _is_replaced(before[name], after):
            yield f"{path}.{name} is gone: {INSTEAD['gone']}"
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{path}.{name} must be given: {INSTEAD['required']}"
    for name in sorted(after.keys() - before.keys()):
        if "default" in after[name]:
            yield f"{path}.{name} comes with a default: say in the code what its absence means"


def _is_replaced(old: Schema, siblings: Schema) -> bool:
    """Whether a release has said of this field that another one stands in its place, which is there."""
    said = DEPRECATED.match(old.get("description", ""))
    return said is not None and said[1] in siblings


def _missing(old: Schema, new: Schema, key: str) -> list[str]:
    return sorted(old.get(key, {}).keys() - new.get(key, {}).keys())


def _rules(old: Schema, new: Schema, path: str) -> Iterator[str]:
    known = [rule["rule"] for rule in old.get(RULES, ())]
    words = set(_words(new)) - set(_words(old))
    came = Came(_paths(new) - _paths(old), _fields(new) - _fields(old))
    for rule in (rule["rule"] for rule in new.get(RULES, ())):
        about_new = rule.startswith(tuple(f"self.task != '{word}' || " for word in words))
        about_new = about_new or _guarded(rule, came) or _forbids_what_came(rule, came) or _of_a_new_metric(rule, known)
        if rule not in known and not about_new and not any(_is_wider(before, rule, came) for before in known):
            yield f"{path}: the rule {rule} is new: {INSTEAD['rule']}"


class Came(NamedTuple):
    """Fields that no object had before: those that self reaches, by path, and the names of all at any depth."""

    paths: set[str]
    names: set[str]


def _guarded(rule: str, came: Came) -> bool:
    """Whether the rule is about a field, at any depth, that no object had before."""
    guards = GUARDS.match(rule)
    return guards is not None and not came.paths.isdisjoint(re.findall(r"self\.([\w.]+)", guards[0]))


def _forbids_what_came(rule: str, came: Came) -> bool:
    """Whether the rule holds for each object that has none of the fields which no object had before."""
    terms = rule.rpartition(" || ")[2].strip("()").split(" && ")
    forbidden = [re.fullmatch(r"!has\(self\.([\w.]+)", term.rstrip(")")) for term in terms]
    return all(found is not None and found[1] in came.paths for found in forbidden)


def _of_a_new_metric(rule: str, known: list[str]) -> bool:
    """Whether the rule is about a metric that the task did not have: an older rule refused it."""
    found = re.match(r"(self\.task != '[^']*' \|\| ).*\.exists\(r, r\.metric == '(\w+)' && ", rule)
    if found is None:
        return False
    lists = [text for before in known if before.startswith(found[1]) for text in METRIC_LIST.findall(before)]
    return bool(lists) and not any(f"'{found[2]}'" in text for text in lists)


def _paths(schema: Schema, before: str = "") -> set[str]:
    """All fields that self reaches without an index: a, a.b ..."""
    inner = schema.get("properties", {})
    return {before + name for name in inner}.union(*(_paths(inner[name], f"{before}{name}.") for name in inner))


def _fields(schema: Schema) -> set[str]:
    """Names of all fields at any depth."""
    inner = (schema.get(name) for name in ("items", "additionalProperties"))
    below = [*schema.get("properties", {}).values(), *(value for value in inner if isinstance(value, dict))]
    return set(schema.get("properties", {})).union(*map(_fields, below))


def _words(schema: Schema) -> list[str]:
    """Tasks that an object of this schema may have."""
    return list(schema.get("properties", {}).get("task", {}).get("enum", ()))


def _is_wider(old: str, new: str, came: Came) -> bool:
    """True for the same union with more members, or the same rule for more tasks or metrics, maybe with new fields.

    A rule that also forbids a field which no object had, or allows one more alternative, forbids nothing of old.
    """
    before, after = UNION.fullmatch(old), UNION.fullmatch(new)
    if before and after:
        return set(before[1].split(", ")) <= set(after[1].split(", "))
    if set(_listed(old)) - set(_listed(new)):
        return False
    return _plain(old, came) == _plain(new, came)


def _listed(rule: str) -> list[str]:
    """Tasks or metrics that a rule lists as those that may be."""
    lists = [*TASK_LIST.findall(rule), *METRIC_LIST.findall(rule)]
    return [word for found in lists for word in re.findall(r"'([^']*)'", found)]


def _plain(rule: str, came: Came) -> str:
    """The rule without its list of tasks or metrics, and without what it says of new fields."""
    paths, names = ("|".join(map(re.escape, sorted(some))) or "(?!)" for some in came)
    about = rf"(?:has\(r\.(?:\w+\.)*(?:{names})\)|has\(self\.(?:{paths})\))"
    text = METRIC_LIST.sub("", TASK_LIST.sub("", rule))
    text = re.sub(rf" (?:&&|\|\|) \(has\(self(?:\.\w+)+\) && has\(self\.(?:{paths})\)\)", "", text)
    return re.sub(rf" && !{about}|!{about} && | \|\| {about}", "", text)
