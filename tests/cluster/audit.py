"""What a user really asked of an API server, from its audit log, beside what its roles permit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

CREATED = 201


class Permission(NamedTuple):
    """One verb on one resource; `name` only where a rule names objects."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        where = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {where}" + (f"/{self.name}" if self.name else "")


def granted(roles: Iterable[dict[str, Any]]) -> set[Permission]:
    """Everything that roles permit, one by one."""
    return {
        Permission(group, resource, verb, name)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def entries(log: Path, user: str) -> Iterator[dict[str, Any]]:
    """Answered requests of a user for objects."""
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        if entry["user"]["username"] == user and "resource" in entry.get("objectRef", {}):
            yield entry


def used(log: Path, user: str) -> set[Permission]:
    """What the user needed. An apply that made its object needed `create`, too."""
    found = set()
    for entry in entries(log, user):
        ref, verb = entry["objectRef"], entry["verb"]
        tail = f"/{ref['subresource']}" if "subresource" in ref else ""
        created = verb == "patch" and entry.get("responseStatus", {}).get("code") == CREATED
        for needed in (verb, "create") if created else (verb,):
            where = (ref.get("apiGroup", ""), ref["resource"] + tail, needed)
            found |= {Permission(*where), Permission(*where, ref.get("name", ""))}
    return found


def forbidden(log: Path, user: str) -> list[str]:
    """Requests that the server refused for want of permission."""
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in entries(log, user)
        if entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
    ]
