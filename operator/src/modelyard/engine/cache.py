"""What the watches have shown: objects by key, children by owner, pods by owner, and who asked for what."""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from modelyard import names
from modelyard.decision import Manifest, Need, Ref, Select
from modelyard.engine.slim import CHILDREN, controller, has_family, is_light, slim

Key = tuple[str, str, str]
"""Kind, namespace, name."""
ENDED_KEPT = 1000
SHORT = 40
"""Characters of a word that many objects may have in common."""
BY_NAME = ("Job", "Pod")
"""Children that are looked for although their owner may be gone: what it left is not begun a second time."""


class Cache:
    """Objects as last seen, by watch events or by our own writes, the newer of both."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], Manifest]] = defaultdict(dict)
        self._owned: dict[str, set[Key]] = defaultdict(set)
        self._pods: dict[Key, set[Key]] = defaultdict(set)
        self._ended: OrderedDict[str, int] = OrderedDict()
        """Uid of an object that has ended -> its last version: an answer to a write of ours may come after its end."""
        self._uids: set[str] = set()
        self._newest: dict[str, int] = defaultdict(int)

    def newest(self, kind: str) -> int:
        """The highest resource version seen of a kind."""
        return self._newest[kind]

    def put(self, obj: Manifest) -> bool:
        """Remember an object unless a newer one is known, or it is nobody's here; True if it was news."""
        key = key_of(obj)
        self._newest[key[0]] = max(self._newest[key[0]], version_of(obj))
        old = self.get(*key)
        if old is not None and version_of(old) >= version_of(obj):
            return False
        if version_of(obj) <= self._ended.get(obj["metadata"].get("uid", ""), -1):
            return False
        if old is not None:
            self._drop(key, old)  # a namesake may belong to somebody else by now
        slim(obj)
        if not self.keeps(obj):
            return old is not None
        self._add(key, shared(obj))
        return True

    def keeps(self, obj: Manifest) -> bool:
        """False for a child without an owner of ours, or heavier than any of ours: whoever copies labels gets no room.

        A child that comes before its owner is known is found when it is next made or listed.
        """
        if obj["kind"] not in CHILDREN:
            return True
        owned = obj["kind"] in BY_NAME or controller(obj).get("uid") in self._uids
        return owned and has_family(obj) and is_light(obj)

    def _add(self, key: Key, obj: Manifest) -> None:
        self._objects[key[0]][key[1:]] = obj
        if uid := obj["metadata"].get("uid"):
            self._uids.add(uid)
        for uid in owner_uids(obj):
            self._owned[uid].add(key)
        if key[0] == "Pod" and (owner := owner_key(obj)):
            self._pods[owner].add(key)

    def end(self, obj: Manifest) -> None:
        """Forget an object that has ended; a namesake that took its place stays, late news of it do not count."""
        key, uid = key_of(obj), obj["metadata"].get("uid", "")
        self._ended[uid] = max(version_of(obj), self._ended.pop(uid, 0))
        if len(self._ended) > ENDED_KEPT:
            self._ended.popitem(last=False)
        known = self.get(*key)
        if known is not None and known["metadata"].get("uid", "") == uid:
            self._drop(key, known)

    def _drop(self, key: Key, obj: Manifest) -> None:
        del self._objects[key[0]][key[1:]]
        self._uids.discard(obj["metadata"].get("uid", ""))
        for uid in owner_uids(obj):
            _discard(self._owned, uid, key)
        if key[0] == "Pod" and (owner := owner_key(obj)):
            _discard(self._pods, owner, key)

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object as last seen."""
        return self._objects[kind].get((namespace, name))

    def keys(self, kind: str) -> list[Key]:
        """All keys of a kind."""
        return [(kind, namespace, name) for namespace, name in self._objects[kind]]

    def all(self, kind: str) -> Iterable[Manifest]:
        """All objects of a kind."""
        return self._objects[kind].values()

    def children(self, uid: str, namespace: str) -> tuple[Manifest, ...]:
        """Objects of the owner's namespace with its uid as ownerReference; whoever names it from elsewhere lies."""
        own = (key for key in sorted(self._owned.get(uid, ())) if key[1] == namespace)
        return tuple(obj for key in own if (obj := self.get(*key)))

    def pods(self, owner: Key) -> tuple[Manifest, ...]:
        """Pods of an object's Jobs and Deployments, by our labels."""
        return tuple(obj for key in sorted(self._pods.get(owner, ())) if (obj := self.get(*key)))

    def select(self, select: Select) -> tuple[Manifest, ...]:
        """Objects that match, in name order."""
        found = (
            obj
            for (namespace, _), obj in self._objects[select.kind].items()
            if namespace == select.namespace and matches(obj, select)
        )
        return tuple(sorted(found, key=lambda obj: str(obj["metadata"]["name"])))


class ReverseIndex:
    """Who needs what: an event on a needed object wakes the objects that asked for it."""

    def __init__(self) -> None:
        self._needs: dict[Key, frozenset[Need]] = {}
        self._askers: dict[Need, set[Key]] = defaultdict(set)
        self._selects: dict[tuple[str, str], set[Select]] = defaultdict(set)

    def remember(self, asker: Key, needs: Iterable[Need]) -> None:
        """Replace what an object asked for."""
        wanted = frozenset(need for need in needs if isinstance(need, Ref | Select))
        for need in self._needs.get(asker, frozenset()) - wanted:
            self._forget(asker, need)
        for need in wanted:
            self._askers[need].add(asker)
            if isinstance(need, Select):
                self._selects[need.kind, need.namespace].add(need)
        self._needs[asker] = wanted

    def add(self, asker: Key, needs: Iterable[Need]) -> None:
        """Add to what an object asked for."""
        known = self._needs.get(asker, frozenset())
        if not known.issuperset(new := [need for need in needs if isinstance(need, Ref | Select)]):
            self.remember(asker, known.union(new))

    def forget(self, asker: Key) -> None:
        """The object is gone."""
        self.remember(asker, ())
        self._needs.pop(asker, None)

    def askers(self, obj: Manifest) -> Iterator[Key]:
        """Everyone who asked for this object by name or by selection."""
        kind, namespace, name = key_of(obj)
        yield from self._askers.get(Ref(kind, name, namespace), ())
        for select in self._selects.get((kind, namespace), ()):
            if matches(obj, select):
                yield from self._askers.get(select, ())

    def _forget(self, asker: Key, need: Need) -> None:
        self._askers[need].discard(asker)
        if self._askers[need]:
            return
        del self._askers[need]
        if isinstance(need, Select):
            self._selects[need.kind, need.namespace].discard(need)


def key_of(obj: Manifest) -> Key:
    """Kind, namespace and name of an object."""
    meta = obj["metadata"]
    return obj["kind"], meta.get("namespace", ""), meta["name"]


def owner_key(obj: Manifest) -> Key | None:
    """The object of ours that a child or pod belongs to, by our label and annotation."""
    meta = obj["metadata"]
    kind = KINDS_BY_LABEL.get(meta.get("labels", {}).get(names.LABEL_KIND, ""))
    name = meta.get("annotations", {}).get(names.ANNOTATION_OWNER)
    return (kind, meta.get("namespace", ""), name) if kind and name else None


KINDS_BY_LABEL = {
    kind.lower(): kind for kind in ("Dataset", "FineTuneJob", "ModelVersion", "ModelDeployment", "TrainingProfile")
}


def owner_uids(obj: Manifest) -> list[str]:
    """Uids of all owners."""
    return [ref["uid"] for ref in obj["metadata"].get("ownerReferences", ())]


def version_of(obj: Manifest) -> int:
    """The resource version as a number (etcd's revision; 0 when the object has none)."""
    text = str(obj["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else 0


def matches(obj: Manifest, select: Select) -> bool:
    """True when each label, or dotted path such as spec.model, has the wanted value."""
    return all(_value(obj, name) == value for name, value in select.where)


def shared(value: Any) -> Any:
    """A copy whose keys and short words are one string each for all objects: what JSON gives has its own for each."""
    if isinstance(value, dict):
        return {sys.intern(key): shared(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shared(inner) for inner in value]
    return sys.intern(value) if isinstance(value, str) and len(value) <= SHORT else value


def _value(obj: Manifest, name: str) -> str | None:
    if not name.startswith(("spec.", "status.")):
        label = obj["metadata"].get("labels", {}).get(name)
        return None if label is None else str(label)
    value: object = obj
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else str(value)


def _discard(index: dict[str, set[Key]] | dict[Key, set[Key]], at: object, key: Key) -> None:
    found = index.get(at)  # type: ignore[call-overload]
    if found is not None:
        found.discard(key)
        if not found:
            del index[at]  # type: ignore[arg-type]
