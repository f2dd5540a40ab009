"""What one engine holds: the API, what the watches showed, the facts, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from modelyard import names
from modelyard.decision import Answer, Effect, Fact, Manifest, Platform
from modelyard.engine.cache import Cache, Key, ReverseIndex

SLEW = 0.1


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


class EffectSource(Protocol):
    """Carries effects out; never raises for what is wrong outside."""

    async def carry_out(self, effect: Effect) -> Answer: ...


class NoEffects:
    """For an engine without a store."""

    async def carry_out(self, effect: Effect) -> Answer:
        """Nothing to do it with."""
        return Answer(reason=names.INTERNAL, message=f"nobody carries out {effect.name}")


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def steady(
    wall: Callable[[], datetime] = utc_now, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], datetime]:
    """A clock without jumps: it goes with `monotonic` and nears `wall` by a tenth of the time that passes.

    A wall clock that is set by hours, back or forth, would end trials and waits that have only just begun.
    """
    told, at = wall(), monotonic()

    def now() -> datetime:
        nonlocal told, at
        passed = monotonic() - at
        at += passed
        most = timedelta(seconds=SLEW * passed)
        told += timedelta(seconds=passed)
        told += max(-most, min(most, wall() - told))
        return told

    return now


@dataclass
class Context:
    """Shared by all reconciles of one engine."""

    kube: KubeApi
    facts: FactSource
    platform: Platform
    now: Callable[[], datetime] = field(default_factory=steady)
    cache: Cache = field(default_factory=Cache)
    index: ReverseIndex = field(default_factory=ReverseIndex)
    effects: EffectSource = field(default_factory=NoEffects)
    outcomes: dict[Key, dict[Effect, Answer]] = field(default_factory=dict)
    """Object -> what came of the effects of its last reconcile."""
    refused: dict[Key, dict[tuple[str, str], str]] = field(default_factory=dict)
    unanswered: dict[Key, set[Key]] = field(default_factory=dict)
    """Object -> its children of which a write had no answer: they are as it was asked, or as before."""
    on_news: Callable[[Manifest], None] = lambda _: None
    """Told of every object that was not known in this version."""

    def learn(self, obj: Manifest) -> None:
        """Remember an object, from an event or as the answer to a write of ours; what was known wakes nobody."""
        if self.cache.put(obj):
            self.on_news(obj)
