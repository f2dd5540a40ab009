"""What one engine holds: the API, what the watches showed, the facts, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from modelyard.decision import Answer, Fact, Manifest, Platform
from modelyard.engine.cache import Cache, Key, ReverseIndex


class KubeApi(Protocol):
    """The verbs that the engine uses; kube.Kube on a cluster, a fake in simulations."""

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None: ...
    async def create(self, manifest: Manifest) -> Manifest: ...
    async def apply(self, manifest: Manifest) -> Manifest: ...
    async def patch(self, kind: str, namespace: str, name: str, body: Manifest, subresource: str = "") -> Manifest: ...
    async def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool | None: ...


class FactSource(Protocol):
    """Answers facts; never raises for what is wrong outside."""

    async def ask(self, fact: Fact) -> Answer: ...


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass
class World:
    """Shared by all passes of one engine."""

    kube: KubeApi
    facts: FactSource
    platform: Platform
    now: Callable[[], datetime] = utc_now
    cache: Cache = field(default_factory=Cache)
    index: ReverseIndex = field(default_factory=ReverseIndex)
    refused: dict[Key, dict[tuple[str, str], str]] = field(default_factory=dict)
    on_news: Callable[[Manifest], None] = lambda _: None
    """Told of every object that was not known in this version."""

    def learn(self, obj: Manifest) -> None:
        """Remember an object, from an event or as the answer to a write of ours; an echo wakes nobody."""
        if self.cache.put(obj):
            self.on_news(obj)
