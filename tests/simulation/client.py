"""An operator's connection to the API server: slow, sometimes refused, sometimes done without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from modelyard.engine.kube import KubeError
from modelyard.engine.slim import slim
from tests.simulation.fake_api import FakeApi, shown
from tests.simulation.fault_points import FaultPoints
from tests.simulation.story import Story

T = TypeVar("T")
WORDS = {403: "Forbidden", 409: "Conflict", 422: "Invalid"}
"""An admission policy says 403 or 422."""
REFUSALS = (403, 409, 422, 429, 500, 503)


@dataclass
class Faults:
    """How often things go wrong; all zero once a scenario settles."""

    refused: float = 0.0
    unanswered: float = 0.0
    late_write: float = 0.0
    crash: float = 0.0
    """The process dies right before or right after a write."""
    lost_event: float = 0.0
    repeated_event: float = 0.0
    late_event: float = 0.0
    store_down: float = 0.0
    """1 while nobody reaches the store."""
    store_flaky: float = 0.0
    server_silent: float = 0.0
    """A model server was asked for a prediction, and its answer is lost."""
    late_fact: float = 0.0
    wrong_fact: float = 0.0

    def stop(self) -> None:
        """From now on all is well."""
        for field in fields(self):
            setattr(self, field.name, field.default)


class Client:
    """KubeApi (and what resync needs of Kube) on the fake server."""

    def __init__(self, api: FakeApi, name: str, faults: Faults, fault_points: FaultPoints, story: Story) -> None:
        self._api, self.name, self._faults, self._fault_points, self._story = api, name, faults, fault_points, story
        self._rng = fault_points.rng("client", name)
        self.dead = False
        self.cut_off = False
        """True while the Lease cannot be reached."""
        self.on_crash: Callable[[], None] = lambda: None
        self.on_send: Callable[[Key], None] = lambda _: None
        """Told of every write at the moment at which it is sent."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """One object."""
        if kind == "Lease":
            await self._reach_lease()
            return self._api.get(kind, namespace, name)
        return await self._read(lambda: self._api.get(kind, namespace, name))

    async def list(
        self,
        kind: str,
        selector: str = "",
        namespace: str = "",
        limit: int = 500,
        fields: str = "",
        keep: Callable[[Manifest], bool] = lambda _: True,
    ) -> list[Manifest]:
        """All objects of a kind that are to be kept. No Event is kept."""
        return await self._read(lambda: list(filter(keep, _listed(self._api, kind, selector))))

    async def serves(self, kinds: Iterable[str]) -> bool:
        """True if all of these kinds are served."""
        return await self._read(lambda: self._api.absent.isdisjoint(kinds))

    async def create(self, manifest: Manifest) -> Manifest:
        """POST."""
        if manifest["kind"] == "Lease":
            await self._reach_lease()
            return self._api.put_lease(manifest)
        return await self._write("create", manifest, lambda: self._api.create(manifest, self.name))

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply."""
        return await self._write("apply", manifest, lambda: self._api.apply(manifest, self.name))

    async def replace(self, manifest: Manifest) -> Manifest:
        """PUT; of Leases only."""
        await self._reach_lease()
        return self._api.replace(manifest)

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
        if self._fault_points.strikes(self._faults.refused / 2, "unread", self.name):
            raise KubeError(503, "the server is tired", "ServiceUnavailable")
        result = act()
        await self._travel()
        return result

    async def _write(self, verb: str, what: Manifest, act: Callable[[], T], detail: object = "") -> T:
        """Every way in which a write can go: late, refused, done, done without an answer, the last of its sender."""
        key = key_of(what)
        site = (self.name, verb.replace(" ", "-"), key[0], key[2])
        self.on_send(key)
        await self._travel()
        if self._fault_points.strikes(self._faults.late_write, "late-write", *site):
            await self._travel(self._rng.uniform(5.0, 40.0))
        await self._may_crash("before", site)
        self._refuse(site)
        try:
            result = act()
        except KubeError as fault:
            self._story.tell("%s %s %s: %s", self.name, verb, key, fault)
            raise
        if key[0] != "Event":
            self._story.tell("%s %s %s %s", self.name, verb, key, _Brief(detail))
        await self._may_crash("after", site)
        await self._travel()
        if self._fault_points.strikes(self._faults.unanswered, "unanswered", *site):
            self._story.tell("%s %s %s: done, but no answer", self.name, verb, key)
            raise KubeError(0, "no answer", "NoAnswer")
        return result

    def _refuse(self, site: tuple[str, ...]) -> None:
        status = self._rng.choice((*REFUSALS, 0))
        if not self._fault_points.strikes(self._faults.refused, "refused", status, *site):
            return
        self._story.tell("%s %s %s %s: fails with %d", *site, status)
        raise KubeError(status, "injected", WORDS.get(status, "Injected"))

    async def _may_crash(self, when: str, site: tuple[str, ...]) -> None:
        if self._fault_points.strikes(self._faults.crash, "crash", when, *site):
            self.on_crash()
            await self._travel()

    async def _reach_lease(self) -> None:
        await self._travel()
        if self.cut_off:
            await self._travel(5.0)
            raise KubeError(0, "the network is cut", "NoAnswer")

    async def _travel(self, seconds: float = 0.0) -> None:
        """Half a round trip; a dead client never arrives."""
        await asyncio.sleep(seconds or self._rng.uniform(0.001, 0.01))
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


def _listed(api: FakeApi, kind: str, selector: str) -> list[Manifest]:
    api.must_serve(kind)
    return [_item(obj) for obj in api.all(kind) if selects(selector, obj)]


def _item(obj: Manifest) -> Manifest:
    """As the client shows it: of no more weight than is kept."""
    item = shown(obj)
    slim(item)
    return item


class _Brief:
    """A request's body in a few words, worked out only if somebody reads it."""

    def __init__(self, detail: object) -> None:
        self._detail = detail

    def __str__(self) -> str:
        return _brief(self._detail)


def _brief(detail: object) -> str:
    if not isinstance(detail, dict):
        return str(detail)
    status = detail.get("status", {})
    if "conditions" not in status:
        return str({k: v for k, v in detail.items() if k != "metadata"} or detail)[:300]
    ready: dict[str, Any] = next((c for c in status["conditions"] if c["type"] == "Ready"), {})
    rest = {name: value for name, value in status.items() if name != "conditions"}
    return f"Ready={ready.get('status')} {ready.get('reason')}: {ready.get('message', '')[:90]} {str(rest)[:160]}"
