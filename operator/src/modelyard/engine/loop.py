"""The loop: one reconcile is observe, decide, apply. Events only say which object to look at."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from http import HTTPStatus

from modelyard import names
from modelyard.decision import Event, Manifest, Reconciler
from modelyard.engine.apply import carry_out
from modelyard.engine.cache import Key, key_of, owner_key
from modelyard.engine.context import Context
from modelyard.engine.events import post_events
from modelyard.engine.figures import count
from modelyard.engine.kube import KubeError
from modelyard.engine.leader_guard import GuardedEffects, GuardedKube, LeaderGuard
from modelyard.engine.observe import observe
from modelyard.engine.queue import WorkQueue

log = logging.getLogger(__name__)
STALE: dict[int, float] = {HTTPStatus.CONFLICT: 0.05, HTTPStatus.NOT_FOUND: 1.0}
"""Refusals that a cache behind the API server brings, and how soon (s) to try again."""
NOT_LEADER_PAUSE = 1.0
POSTERS = 2
"""Events posted at once."""
STORY_LAG = 15.0
"""Seconds for which events let reconciles go before them: the story may lag behind a burst, Jobs may not."""


class Engine:
    """Reconcilers on a context: takes events, reconciles objects."""

    def __init__(
        self,
        reconcilers: Iterable[Reconciler],
        context: Context,
        *,
        guard: LeaderGuard | None = None,
        workers: int = 16,
        retry_cap: float = 60.0,
    ) -> None:
        self.context = context
        context.on_news = self._wake
        if guard is not None:
            context.kube = GuardedKube(context.kube, guard)
            context.effects = GuardedEffects(context.effects, guard)
        self._guard = guard
        self.reconcilers = {reconciler.kind: reconciler for reconciler in reconcilers}
        self.queue = WorkQueue(self.reconcile, workers=workers, retry_cap=retry_cap)
        self._posting: set[asyncio.Task[None]] = set()
        self._posters = asyncio.Semaphore(POSTERS)

    def on_event(self, type_: str | None, obj: Manifest) -> None:
        """Remember the object (or its end) and wake everyone it concerns."""
        if type_ == "DELETED":
            self.context.cache.end(obj)
            self._wake(obj)
        else:
            self.context.learn(obj)

    def _wake(self, obj: Manifest) -> None:
        for concerned in sorted(self.concerned(obj)):
            self.queue.add(concerned)

    def concerned(self, obj: Manifest) -> set[Key]:
        """The object itself if it is of our kinds, its owner, and all who asked for it."""
        key, owner = key_of(obj), owner_key(obj)
        keys = {asker for asker in self.context.index.askers(obj)}
        if key[0] in self.reconcilers:
            keys.add(key)
        if owner is not None:
            keys.add(owner)
        return keys

    def add_all(self) -> None:
        """Look at every object again (start, resync)."""
        for kind in self.reconcilers:
            for key in self.context.cache.keys(kind):
                self.queue.add(key)

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile one object; gives when to look again."""
        reconciler, obj = self.reconcilers[key[0]], self.context.cache.get(*key)
        if obj is None:
            self._forget(key)
            return None
        if _is_leaving(obj):
            return None
        if self._guard is not None and not self._guard.held:
            return NOT_LEADER_PAUSE
        await self._read_again(sorted(self.context.unanswered.get(key, ())))
        self.context.unanswered.pop(key, None)
        observed, asked = await observe(reconciler, key, obj, self.context)
        self.context.index.remember(key, asked)
        decision = reconciler.decide(obj, observed, self.context.now())
        try:
            done = await carry_out(reconciler, obj, observed, decision, self.context)
        except KubeError as fault:
            if fault.status not in STALE:
                raise
            await self._read_again(key_of(known) for known in (obj, *observed.children))
            return STALE[fault.status]
        if done.status:
            count(obj, obj.get("status", {}), decision.status or {})
            self._post(obj, decision.events)
        return 0.0 if done.news else decision.wake_after

    async def _read_again(self, keys: Iterable[Key]) -> None:
        """What the cache may be wrong about: a write was refused as late, so an event may be lost, or had no answer."""
        for key in keys:
            live, known = await self.context.kube.get(*key), self.context.cache.get(*key)
            if live is not None:
                self.context.learn(live)
            elif known is not None:
                self.context.cache.end(known)

    async def close(self) -> None:
        """Let events that are being posted end."""
        if self._posting:
            await asyncio.wait(self._posting, timeout=2)

    def _post(self, obj: Manifest, events: Iterable[Event]) -> None:
        if not events:
            return
        task = asyncio.create_task(self._post_in_turn(obj, tuple(events)))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _post_in_turn(self, obj: Manifest, events: tuple[Event, ...]) -> None:
        at = self.context.now()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.queue.caught_up.wait(), STORY_LAG)
        async with self._posters:
            await post_events(self.context, obj, events, at)

    def _forget(self, key: Key) -> None:
        self.queue.forget(key)
        self.context.index.forget(key)
        self.context.refused.pop(key, None)
        self.context.outcomes.pop(key, None)
        self.context.unanswered.pop(key, None)


def _is_leaving(obj: Manifest) -> bool:
    """Being deleted, and nothing of ours holds it: garbage collection takes the children."""
    meta = obj["metadata"]
    ours = any(name.startswith(f"{names.GROUP}/") for name in meta.get("finalizers", ()))
    return "deletionTimestamp" in meta and not ours
