"""The leader guard at every write: a reconcile may wait for facts longer than its Lease lasts."""

from __future__ import annotations

from typing import Protocol

from modelyard.decision import Manifest
from modelyard.engine.context import KubeApi
from modelyard.engine.kube import KubeError


class LeaderGuard(Protocol):
    """Says whether this operator may write."""

    @property
    def held(self) -> bool:
        """True while it may."""


class GuardedKube:
    """The API, of which nothing is written any more once the Lease is not ours."""

    def __init__(self, kube: KubeApi, guard: LeaderGuard) -> None:
        self._kube, self._guard = kube, guard

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Reading is free."""
        return await self._kube.get(kind, namespace, name)

    async def create(self, manifest: Manifest) -> Manifest:
        """POST."""
        self._check()
        return await self._kube.create(manifest)

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply."""
        self._check()
        return await self._kube.apply(manifest)

    async def patch(self, kind: str, namespace: str, name: str, body: Manifest, subresource: str = "") -> Manifest:
        """Merge patch."""
        self._check()
        return await self._kube.patch(kind, namespace, name, body, subresource)

    async def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool | None:
        """Delete."""
        self._check()
        return await self._kube.delete(kind, namespace, name, uid)

    def _check(self) -> None:
        if not self._guard.held:
            raise KubeError(0, "the Lease is not ours any more: nothing is written", "NotLeading")
