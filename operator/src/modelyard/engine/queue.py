"""The work queue: one reconcile per key at a time, bounded concurrency, equal keys merged, capped jittered retries."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable

from modelyard.engine import metrics
from modelyard.engine.apply import RefusedError
from modelyard.engine.cache import Key

log = logging.getLogger(__name__)
BEAT_EVERY = 5.0
Work = Callable[[Key], Awaitable[float | None]]
"""Runs one reconcile; gives the seconds after which the key should be looked at again, or None."""


class WorkQueue:
    """Feeds keys to `work`; a failed reconcile is tried again after 0.2 s, doubling up to `retry_cap` seconds."""

    def __init__(
        self, work: Work, *, workers: int = 16, retry_cap: float = 60.0, rng: random.Random | None = None
    ) -> None:
        self._work, self._workers, self._cap = work, workers, retry_cap
        self._rng = rng or random.Random()
        self._ready: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[Key, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self.caught_up = asyncio.Event()
        """Set while no key waits for a free worker."""
        self.caught_up.set()
        self.beat = 0.0
        """Loop time of the last sign of life."""

    def add(self, key: Key) -> None:
        """Look at this key soon; merged with a request that waits already."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)
            self.caught_up.clear()

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at this key later; the earliest of several times counts."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if key in self._timers:
            before, timer = self._timers[key]
            if before <= due:
                return
            timer.cancel()
        self._timers[key] = due, loop.call_at(due, self._ring, key)

    def _ring(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)

    def forget(self, key: Key) -> None:
        """Drop timers and failures of a key that is gone."""
        if key in self._timers:
            self._timers.pop(key)[1].cancel()
        self._failures.pop(key, None)

    @property
    def depth(self) -> int:
        """Keys that wait or run."""
        return self._ready.qsize() + len(self._running)

    async def run(self) -> None:
        """Work until cancelled; reconciles under way then get a few seconds to end."""
        tasks = [asyncio.create_task(self._worker()) for _ in range(self._workers)]
        try:
            await self._beat()
        finally:
            await self._drain(5.0)
            self.caught_up.set()  # whoever lets reconciles go first need not wait for those that never come
            for _, timer in self._timers.values():
                timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.beat = loop.time()
            metrics.QUEUE_BEAT.set_to_current_time()
            await asyncio.sleep(BEAT_EVERY)

    async def _worker(self) -> None:
        while True:
            key = await self._ready.get()
            if self._ready.empty():
                self.caught_up.set()
            self._queued.discard(key)
            self._running.add(key)
            self._idle.clear()
            try:
                await self._reconcile(key)
            finally:
                self._running.discard(key)
                metrics.LAST_RECONCILE.set_to_current_time()
                if not self._running:
                    self._idle.set()
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _reconcile(self, key: Key) -> None:
        try:
            with metrics.timed(metrics.RECONCILE_SECONDS.labels(key[0])):
                wake_after = await self._work(key)
        except Exception as fault:
            metrics.RECONCILE_FAILURES.labels(key[0]).inc()
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            pause = min(self._cap, 0.2 * 2 ** min(failures - 1, 16)) * self._rng.uniform(0.5, 1.0)
            level = logging.DEBUG if failures < 3 else logging.WARNING
            foreseen = isinstance(fault, RefusedError)
            text = "%s %s/%s: reconcile failed, again in %.1f s: %s"
            log.log(level, text, *key, pause, fault, exc_info=not foreseen)
            self.add_after(key, pause)
            return
        self._failures.pop(key, None)
        if wake_after is not None:
            self.add_after(key, wake_after)
