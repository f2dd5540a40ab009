"""An API server in memory: versions, uids, generations, status subresources, conflicts, finalizers, apply."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from modelyard.engine.kube import RESOURCES, KubeError
from tests.simulation import builtin, clock, schema
from tests.simulation.schema import OURS, clone


@dataclass(frozen=True, slots=True)
class Write:
    """One accepted write, as the invariants see it."""

    who: str
    verb: str
    key: Key
    before: Manifest | None
    after: Manifest | None


Watcher = Callable[[str, Manifest], None]
Auditor = Callable[[Write], None]


class FakeApi:
    """The verbs; every call names who makes it. Objects given out are copies; others are not to be changed."""

    def __init__(self, *, admits: bool = True) -> None:
        self._admits = admits
        """Whether objects are checked and filled in."""
        self._objects: dict[str, dict[tuple[str, str], Manifest]] = defaultdict(dict)
        self._applied: dict[tuple[str, Key], Manifest] = {}
        self._revision = 1000
        self._uids = 0
        self.absent: frozenset[str] = frozenset()
        """Kinds that are not served now."""
        self.silent_webhooks: set[str] = set()
        """Kinds of which a webhook is asked that does not answer."""
        self.leader = ("", 0.0)
        """Who holds the Lease, and since when."""
        self.watchers: list[Watcher] = []
        self.auditors: list[Auditor] = []
        self.writes: Counter[str] = Counter()
        """Accepted calls by who made them, events aside."""

    def look(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """The object itself, not to be changed."""
        return self._objects[kind].get((namespace, name))

    def all(self, kind: str) -> list[Manifest]:
        """All objects of a kind, not to be changed."""
        return list(self._objects[kind].values())

    def everything(self) -> Iterator[Manifest]:
        """All objects but Leases, not to be changed."""
        for kind, objects in self._objects.items():
            if kind != "Lease":
                yield from objects.values()

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """A copy of one object."""
        found = self.look(kind, namespace, name)
        return None if found is None else shown(found)

    def take_away(self, *kinds: str) -> None:
        """Delete the definition of these kinds, and with it every object of them."""
        for kind in kinds:
            for obj in self.all(kind):
                self.delete(*key_of(obj), "", "user")
        self.absent |= {*kinds}

    def bring_back(self, *kinds: str) -> None:
        """Serve these kinds again."""
        self.absent -= {*kinds}

    def must_serve(self, kind: str) -> None:
        """404 for a kind that is not served."""
        if kind in self.absent:
            raise KubeError(HTTPStatus.NOT_FOUND, "the server could not find the requested resource", "NotFound")

    def put_lease(self, manifest: Manifest) -> Manifest:
        """A Lease as it is wanted; nobody watches or audits Leases."""
        self._revision += 1
        obj = clone(manifest)
        obj["metadata"]["resourceVersion"] = str(self._revision)
        self._objects["Lease"][key_of(obj)[1:]] = obj
        if obj["spec"]["holderIdentity"] != self.leader[0]:
            self.leader = (obj["spec"]["holderIdentity"], clock.seconds())
        return clone(obj)

    def replace(self, manifest: Manifest) -> Manifest:
        """PUT a Lease; a stale writer gets 409."""
        before = self.look(*key_of(manifest))
        if before is None or before["metadata"]["resourceVersion"] != manifest["metadata"]["resourceVersion"]:
            raise KubeError(HTTPStatus.CONFLICT, "the Lease has been modified", "Conflict")
        return self.put_lease(manifest)

    def put(self, obj: Manifest) -> None:
        """An object as it is, whoever made it and however; nobody is told."""
        self._revision += 1
        obj["metadata"]["resourceVersion"] = str(self._revision)
        self._objects[obj["kind"]][key_of(obj)[1:]] = obj

    def drop(self, obj: Manifest) -> None:
        """It is gone, whatever held it; nobody is told."""
        del self._objects[obj["kind"]][key_of(obj)[1:]]

    def create(self, manifest: Manifest, who: str) -> Manifest:
        """POST."""
        if manifest["kind"] == "Event":
            return clone(manifest)
        self.must_serve(manifest["kind"])
        obj = clone(manifest)
        if self.look(*key_of(obj)) is not None:
            raise KubeError(HTTPStatus.CONFLICT, f"{key_of(obj)} already exists", "AlreadyExists")
        obj.pop("status", None)
        self._admit(None, obj)
        self._uids += 1
        obj["metadata"].update(uid=f"uid-{self._uids:05d}", creationTimestamp=clock.stamp())
        if _counts_generations(obj):
            obj["metadata"]["generation"] = 1
        if obj["kind"] in OURS:
            obj["status"] = schema.first_status()
        return self._accept(who, "create", None, obj)

    def apply(self, manifest: Manifest, who: str) -> Manifest:
        """Server-side apply: fields that were applied before and are not now go away."""
        key = key_of(manifest)
        managed, before = (who.split("-")[0], key), self.look(*key)
        if before is None:
            self._applied.pop(managed, None)
            made = self.create(manifest, who)
        else:
            wanted = clone(before)
            _apply(wanted, manifest, self._applied.get(managed, {}))
            made = self._change(before, wanted, who, "apply")
        self._applied[managed] = clone(manifest)
        return made

    def patch(self, kind: str, namespace: str, name: str, body: Manifest, subresource: str, who: str) -> Manifest:
        """JSON merge patch of the object or its status."""
        before = self.look(kind, namespace, name)
        if before is None:
            raise KubeError(HTTPStatus.NOT_FOUND, f"{kind} {name} not found", "NotFound")
        expected = body.get("metadata", {}).get("resourceVersion")
        if expected is not None and expected != before["metadata"]["resourceVersion"]:
            raise KubeError(HTTPStatus.CONFLICT, f"{kind} {name} has been modified", "Conflict")
        changes = {field: value for field, value in body.items() if (field == "status") == (subresource == "status")}
        changes.pop("metadata", None) if subresource else None
        after = clone(before)
        _merge(after, changes)
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
        return self._change(before, after, who, "status" if subresource else "patch")

    def delete(self, kind: str, namespace: str, name: str, uid: str, who: str) -> None:
        """Delete, or mark when a finalizer holds the object."""
        before = self.look(kind, namespace, name)
        if before is None:
            raise KubeError(HTTPStatus.NOT_FOUND, f"{kind} {name} not found", "NotFound")
        if uid and uid != before["metadata"]["uid"]:
            raise KubeError(HTTPStatus.CONFLICT, "uid precondition failed", "Conflict")
        if not before["metadata"].get("finalizers"):
            self._accept(who, "delete", before, None)
        elif "deletionTimestamp" not in before["metadata"]:
            after = clone(before)
            after["metadata"]["deletionTimestamp"] = clock.stamp()
            _bump(after)
            self._accept(who, "delete", before, after)

    def _change(self, before: Manifest, after: Manifest, who: str, verb: str) -> Manifest:
        if verb == "status":
            if after["kind"] in OURS and self._admits:
                schema.admit_status(after["kind"], after.get("status", {}))
        else:
            self._admit(before, after)
        if after == before:
            self.writes[who] += 1
            return shown(before)
        if after.get("spec") != before.get("spec"):
            _bump(after)
        if "deletionTimestamp" in after["metadata"] and not after["metadata"].get("finalizers"):
            self._accept(who, verb, before, None)
            return clone(after)
        return self._accept(who, verb, before, after)

    def _admit(self, before: Manifest | None, after: Manifest) -> None:
        if after["kind"] in self.silent_webhooks:
            text = f'Internal error occurred: {names.WEBHOOK_SILENT} "{after["kind"].lower()}": connection refused'
            raise KubeError(HTTPStatus.INTERNAL_SERVER_ERROR, text, "InternalError")
        if not self._admits:
            return
        rules: Any = schema if after["kind"] in OURS else builtin
        rules.admit(after)
        if before is not None:
            rules.admit_change(before, after)

    def _accept(self, who: str, verb: str, before: Manifest | None, after: Manifest | None) -> Manifest:
        """Write one change down and tell everyone."""
        self._revision += 1
        self.writes[who] += 1
        obj = clone(before or {}) if after is None else after
        obj["metadata"]["resourceVersion"] = str(self._revision)
        key = key_of(obj)
        if after is None:
            del self._objects[key[0]][key[1:]]
        else:
            self._objects[key[0]][key[1:]] = obj
        for audit in self.auditors:
            audit(Write(who, verb, key, before, after))
        type_ = "DELETED" if after is None else "ADDED" if before is None else "MODIFIED"
        for watcher in tuple(self.watchers):
            watcher(type_, obj)
        return shown(obj)


def shown(obj: Manifest) -> Manifest:
    """An object as it is given out: readers may drop fields of it, its metadata and its spec, and change no other."""
    copy = {**obj, "metadata": dict(obj["metadata"])}
    if "spec" in obj:
        copy["spec"] = dict(obj["spec"])
    return copy


def group_version(kind: str) -> str:
    """The apiVersion of a kind."""
    resource = RESOURCES[kind]
    return f"{resource.group}/{resource.version}" if resource.group else resource.version


def _counts_generations(obj: Manifest) -> bool:
    return obj["kind"] in OURS or obj["kind"] in builtin.WITH_GENERATION


def _bump(obj: Manifest) -> None:
    if "generation" in obj["metadata"]:
        obj["metadata"]["generation"] += 1


def _merge(target: Manifest, patch: Manifest) -> None:
    """RFC 7396, in place."""
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            if not isinstance(target.get(name), dict):
                target[name] = {}
            _merge(target[name], value)
        else:
            target[name] = clone(value)


def _apply(target: Manifest, wanted: Manifest, last: Manifest) -> None:
    """Deep merge of what is wanted; what was wanted last time and is not now goes."""
    for name in last:
        if name not in wanted:
            target.pop(name, None)
    for name, value in wanted.items():
        before = last.get(name)
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _apply(target[name], value, before if isinstance(before, dict) else {})
        else:
            target[name] = clone(value)
