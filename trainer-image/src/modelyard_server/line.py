"""The line before the threads that predict: bounded, and whoever leaves it is not computed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from modelyard_server import metrics

T = TypeVar("T")
RETRY_AFTER = 1
"""Seconds after which whoever was refused may come again."""


class BusyError(Exception):
    """The line is full."""


class Line:
    """At most `waiting` requests, of `waiting_bytes` together, wait for one of `threads`; of one event loop."""

    def __init__(self, threads: int, waiting: int, waiting_bytes: int) -> None:
        self._free = asyncio.Semaphore(threads)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._most = waiting
        self._most_bytes = waiting_bytes
        self._waiting = 0
        self._bytes = 0

    async def run(self, size: int, work: Callable[[Callable[[], bool]], T]) -> T:
        """What `work` gives in a thread; BusyError at once if the line is full.

        size: bytes of the request. `work` is told how to ask whether its answer is still wanted.
        """
        await self._wait(size)
        try:
            return await self._work(work)
        finally:
            self._free.release()

    async def _wait(self, size: int) -> None:
        if self._free.locked() and (self._waiting >= self._most or self._bytes + size > self._most_bytes):
            metrics.REFUSED.inc()
            raise BusyError(
                f"{self._waiting} requests are waiting already: come again, send fewer at once, "
                "or raise spec.serve.replicas of the ModelDeployment"
            )
        self._count(1, size)
        try:
            await self._free.acquire()
        finally:
            self._count(-1, -size)

    def _count(self, requests: int, size: int) -> None:
        self._waiting += requests
        self._bytes += size
        metrics.WAITING.set(self._waiting)

    async def _work(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """A thread that works for nobody is told so, and waited for: it is not free yet."""
        left = threading.Event()
        working = asyncio.get_running_loop().run_in_executor(self._pool, work, lambda: not left.is_set())
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            left.set()
            with suppress(Exception):
                await working
            raise
