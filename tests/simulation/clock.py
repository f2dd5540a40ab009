"""Virtual time: an event loop that never sleeps, it jumps to the next timer."""

from __future__ import annotations

import asyncio
from asyncio import base_events
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
RESOLUTION = 1e-6
"""Timers due within this many seconds run now: sums of floats never quite arrive."""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class _Selector:
    """Waits by moving the clock; nothing outside can wake it, so waiting for ever is a deadlock."""

    def __init__(self) -> None:
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("deadlock: nothing is ready and no timer is set")
        # Every turn takes a moment, or two who wait for less than the resolution would keep the clock from moving.
        self.time += max(timeout, 0.0) + RESOLUTION
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """Asyncio's own loop without sockets, on virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Selector()
        self._clock_resolution = RESOLUTION
        self.offset = 0.0
        """Seconds by which the operators' wall clock is wrong."""

    def time(self) -> float:
        return self._selector.time

    def _process_events(self, event_list: list[Any]) -> None:
        """No sockets, no events."""

    def _write_to_self(self) -> None:
        """No other thread ever wakes this loop."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time; what is left over is cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def seconds() -> float:
    """Virtual seconds since the life began."""
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
