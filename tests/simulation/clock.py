"""Virtual time: an event loop that never sleeps, it jumps to the next timer."""

from __future__ import annotations

import asyncio
import heapq
from asyncio import base_events
from collections import deque
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
RESOLUTION = 1e-6
"""Timers due within this many seconds run now: sums of floats never quite arrive."""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualLoop(base_events.BaseEventLoop):
    """Asyncio's own loop without sockets, on virtual time, with turns as bare as thousands of scenarios want them."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self.offset = 0.0
        """Seconds by which the operators' wall clock is wrong."""

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        """One turn; when nothing is ready, time jumps to the next timer."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not ready:
            if not scheduled:
                raise RuntimeError("deadlock: nothing is ready and no timer is set")
            self._now = max(self._now, scheduled[0].when())
        # Every turn takes a moment, or two who wait for less than the resolution would keep the clock from moving.
        self._now += RESOLUTION
        while scheduled and scheduled[0].when() <= self._now + RESOLUTION:
            ready.append(heapq.heappop(scheduled))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _write_to_self(self) -> None:
        """No other thread ever wakes this loop."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time; what is left over is cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def seconds() -> float:
    """Virtual seconds since the scenario began."""
    return asyncio.get_running_loop().time()


def now() -> datetime:
    """The virtual wall clock."""
    return BEGIN + timedelta(seconds=seconds())


def shift(offset: float) -> None:
    """Set the operators' wall clock; the cluster's goes on as it should."""
    _loop().offset = offset


def wall() -> datetime:
    """What the operators' wall clock shows."""
    return now() + timedelta(seconds=_loop().offset)


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


class ElectionTime:
    """The module `time` as the leader election may use it."""

    @staticmethod
    def time() -> float:
        """Seconds that passed, whatever the wall clock shows."""
        return seconds()


def stamp() -> str:
    """Now as Kubernetes writes it."""
    return now().strftime("%Y-%m-%dT%H:%M:%SZ")
