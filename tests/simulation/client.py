"""An operator's connection to the API server: slow, sometimes refused, sometimes done without an answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from modelyard.decision import Manifest
from modelyard.engine.cache import key_of
from modelyard.engine.kube import KubeError
from tests.simulation.fake_api import FakeApi, group_version
from tests.simulation.schema import clone
from tests.simulation.story import Story

T = TypeVar("T")
REFUSALS = (409, 429, 500, 503)


@dataclass
class Faults:
    """How often things go wrong; all zero once a life settles."""

    refused: float = 0.0
    unanswered: float = 0.0
    lost_event: float = 0.0
    repeated_event: float = 0.0
    late_event: float = 0.0
    store_down: bool = False
    store_flaky: float = 0.0

    def stop(self) -> None:
        """From now on all is well."""
        self.refused = self.unanswered = self.lost_event = self.repeated_event = self.late_event = 0.0
        self.store_down, self.store_flaky = False, 0.0


class Client:
    """KubeApi (and what resync needs of Kube) on the fake server."""

    def __init__(self, api: FakeApi, name: str, faults: Faults, rng: random.Random, story: Story) -> None:
        self._api, self.name, self._faults, self._rng, self._story = api, name, faults, rng, story
        self.dead = False

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object."""
        return await self._read(lambda: self._api.get(kind, namespace, name))

    async def list(self, kind: str, selector: str = "", namespace: str = "", limit: int = 500) -> list[Manifest]:
        """All objects of a kind; like the real server without kind and apiVersion in the items."""
        return await self._read(lambda: [_item(obj) for obj in self._api.all(kind) if selects(selector, obj)])

    async def create(self, manifest: Manifest) -> Manifest:
        """POST."""
        return await self._write("create", manifest, lambda: self._api.create(manifest, self.name))

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply."""
        return await self._write("apply", manifest, lambda: self._api.apply(manifest, self.name))

    async def patch(self, kind: str, namespace: str, name: str, body: Manifest, subresource: str = "") -> Manifest:
        """Merge patch."""
        what = {"kind": kind, "metadata": {"name": name, "namespace": namespace}}
        act = lambda: self._api.patch(kind, namespace, name, body, subresource, self.name)  # noqa: E731
        return await self._write(f"patch {subresource}", what, act, body)

    async def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool:
        """Delete; True if it is gone at once, was gone already, or is another one by now."""
        what = {"kind": kind, "metadata": {"name": name, "namespace": namespace}}
        return await self._write("delete", what, lambda: self._delete(kind, namespace, name, uid))

    def _delete(self, kind: str, namespace: str, name: str, uid: str) -> bool:
        try:
            self._api.delete(kind, namespace, name, uid, self.name)
        except KubeError as fault:
            if fault.status not in (404, 409):
                raise
            return True
        return self._api.look(kind, namespace, name) is None

    async def _read(self, act: Callable[[], T]) -> T:
        await self._travel()
        if self._rng.random() < self._faults.refused / 2:
            raise KubeError(503, "the server is tired", "ServiceUnavailable")
        result = act()
        await self._travel()
        return result

    async def _write(self, verb: str, what: Manifest, act: Callable[[], T], detail: object = "") -> T:
        await self._travel()
        self._refuse(verb, what)
        try:
            result = act()
        except KubeError as fault:
            self._story.tell("%s %s %s: %s", self.name, verb, key_of(what), fault)
            raise
        if what["kind"] != "Event":
            self._story.tell("%s %s %s %s", self.name, verb, key_of(what), _brief(detail))
        await self._travel()
        if self._rng.random() < self._faults.unanswered:
            self._story.tell("%s %s %s: done, but no answer", self.name, verb, key_of(what))
            raise KubeError(0, "no answer", "NoAnswer")
        return result

    def _refuse(self, verb: str, what: Manifest) -> None:
        if self._rng.random() >= self._faults.refused:
            return
        status = self._rng.choice((*REFUSALS, 0))
        self._story.tell("%s %s %s: fails with %d", self.name, verb, key_of(what), status)
        raise KubeError(status, "injected", "Conflict" if status == 409 else "Injected")

    async def _travel(self) -> None:
        """Half a round trip; a dead client never arrives."""
        await asyncio.sleep(self._rng.uniform(0.001, 0.01))
        if self.dead:
            await asyncio.Event().wait()


def selects(selector: str, obj: Manifest) -> bool:
    """Label selectors of the forms `a=b` and `a`, joined by commas."""
    labels = obj["metadata"].get("labels", {})
    for term in selector.split(",") if selector else ():
        name, equals, value = term.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def _item(obj: Manifest) -> Manifest:
    item: Manifest = clone(obj)
    if item["kind"] != "Event":
        assert group_version(item.pop("kind")) == item.pop("apiVersion")
    return item


def _brief(detail: object) -> str:
    if not isinstance(detail, dict):
        return str(detail)
    status = detail.get("status", {})
    if "conditions" not in status:
        return str({k: v for k, v in detail.items() if k != "metadata"} or detail)[:300]
    ready: dict[str, Any] = next((c for c in status["conditions"] if c["type"] == "Ready"), {})
    rest = {name: value for name, value in status.items() if name != "conditions"}
    return f"Ready={ready.get('status')} {ready.get('reason')}: {ready.get('message', '')[:90]} {str(rest)[:160]}"
