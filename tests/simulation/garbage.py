"""The garbage collector: what lost its last owner goes, a moment later."""

from __future__ import annotations

import asyncio
import random

from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of, owner_uids
from tests.simulation.fake_api import FakeApi

WHO = "garbage-collector"


class Garbage:
    """Follows ownerReferences; pods are the kubelet's business."""

    def __init__(self, api: FakeApi, rng: random.Random) -> None:
        self._api, self._rng = api, rng
        self._loop = asyncio.get_running_loop()
        self._living: set[str] = set()
        self._owned: dict[str, set[tuple[Key, str]]] = {}
        api.watchers.append(self._on_change)

    def _on_change(self, type_: str, obj: Manifest) -> None:
        key, uid = key_of(obj), obj["metadata"]["uid"]
        if type_ == "DELETED":
            self._living.discard(uid)
            for child in sorted(self._owned.pop(uid, ())):
                self._later(*child)
        else:
            self._living.add(uid)
            self._owns(key, uid, obj)

    def _owns(self, key: Key, uid: str, obj: Manifest) -> None:
        owners = owner_uids(obj)
        for owner in owners:
            self._owned.setdefault(owner, set()).add((key, uid))
        if owners and not any(owner in self._living for owner in owners):
            self._later(key, uid)

    def _later(self, key: Key, uid: str) -> None:
        if key[0] != "Pod":
            self._loop.call_later(self._rng.uniform(0.05, 3.0), self._collect, key, uid)

    def _collect(self, key: Key, uid: str) -> None:
        obj = self._api.look(*key)
        if obj is None or obj["metadata"]["uid"] != uid:
            return
        if not any(owner in self._living for owner in owner_uids(obj)):
            self._api.delete(*key, uid, WHO)
