"""How often one pod may speak: a bucket of tokens per pod and purpose."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from modelyard.engine.endpoint.refusal import Refused

REMEMBERED = 10_000


class Limit:
    """At most `burst` requests at once and one more every `every` seconds, per key."""

    def __init__(self, burst: int, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._every, self._clock = burst, every, clock
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()
        """Key -> the time at which its bucket is full again."""

    def take(self, key: Hashable) -> None:
        """Count one request; Refused (429) when there are too many."""
        now = self._clock()
        full_at = max(self._full_at.pop(key, now), now)
        if full_at + self._every - now > self._burst * self._every:
            self._full_at[key] = full_at
            text = f"too many requests of one pod: at most one every {self._every:g} s (and {self._burst} at once)"
            raise Refused(429, "TooManyRequests", text)
        self._full_at[key] = full_at + self._every
        if len(self._full_at) > REMEMBERED:
            self._full_at.popitem(last=False)
