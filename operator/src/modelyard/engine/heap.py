"""Heap: what listings and heavy events used for a moment goes back to the system."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes

EVERY = 5.0
"""Seconds from one return to the next: also before the Lease is held, and however heavy what the watches bring."""


async def give_back_forever(every: float = EVERY) -> None:
    """Return freed memory again and again until cancelled."""
    while True:
        await asyncio.sleep(every)
        give_back()


def give_back() -> None:
    """Listings leave holes in the heap, which glibc gives back when it is asked; another C library has no such call."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
