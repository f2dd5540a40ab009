"""The leader guard at every write: a reconcile may wait for facts longer than its Lease lasts."""

from __future__ import annotations

from typing import Protocol

from modelyard.decision import Answer, Effect, Manifest
from modelyard.engine.context import EffectSource, KubeApi
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
        check(self._guard)


class GuardedEffects:
    """Effects, of which none begins any more once the Lease is not ours."""

    def __init__(self, effects: EffectSource, guard: LeaderGuard) -> None:
        self._effects, self._guard = effects, guard

    async def carry_out(self, effect: Effect) -> Answer:
        """Begin it, if we lead; it ends as it will, and its keys are such that no successor is harmed."""
        check(self._guard)
        return await self._effects.carry_out(effect)


def check(guard: LeaderGuard) -> None:
    """KubeError unless we lead for certain."""
    if not guard.held:
        raise KubeError(0, "the Lease is not ours any more: nothing is written", "NotLeading")
