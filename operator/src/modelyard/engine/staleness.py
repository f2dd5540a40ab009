"""Watch staleness: what we know from elsewhere must come by the watch too; one that stays behind is stale."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of, version_of
from modelyard.engine.kube import Kube, KubeError

LOOK_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Expected:
    """The oldest version that a watch still owes."""

    key: Key
    version: int
    since: float


class WatchStaleness:
    """Per kind: the newest version that its watch has shown, and the oldest one that it should have shown."""

    def __init__(self, kinds: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._seen = dict.fromkeys(kinds, 0)
        self._expected: dict[str, Expected] = {}
        self._clock = clock

    def heard(self, obj: Manifest) -> None:
        """The watch has shown this object."""
        kind, shown = obj["kind"], version_of(obj)
        self._seen[kind] = max(self._seen.get(kind, 0), shown)
        owed = self._expected.get(kind)
        if owed is not None and shown >= owed.version:
            del self._expected[kind]

    def expect(self, obj: Manifest) -> None:
        """This object was read or written otherwise; a kind that nobody watches, or that is owed already, is left."""
        kind = obj.get("kind", "")
        if kind in self._seen and kind not in self._expected and version_of(obj) > self._seen[kind]:
            self._expected[kind] = Expected(key_of(obj), version_of(obj), self._clock())

    def lags(self) -> dict[str, float]:
        """Seconds that each kind's watch is behind; 0 when it owes nothing."""
        now = self._clock()
        return {kind: now - owed.since if (owed := self._expected.get(kind)) else 0.0 for kind in self._seen}

    @property
    def lag(self) -> float:
        """Seconds that the watch furthest behind is behind."""
        return max(self.lags().values(), default=0.0)

    async def forgive_forever(self, kube: Kube) -> None:
        """Forget now and then what a watch that was opened again will never show, and what nobody could show."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.forgive(kube)

    async def forgive(self, kube: Kube) -> None:
        """Once: what is gone is owed no more, and without an API server nothing is late."""
        for kind, owed in list(self._expected.items()):
            if self._clock() - owed.since < LOOK_EVERY:
                continue
            still = await _still_owed(kube, owed, self._clock)
            if self._expected.get(kind) != owed:
                continue  # shown in the meantime
            if still is None:
                del self._expected[kind]
            else:
                self._expected[kind] = still


async def _still_owed(kube: Kube, owed: Expected, clock: Callable[[], float]) -> Expected | None:
    try:
        return None if await kube.get(*owed.key) is None else owed
    except KubeError:
        return replace(owed, since=clock())
