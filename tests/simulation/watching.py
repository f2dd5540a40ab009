"""A watch as operators see it: late, out of order between objects, repeated, or lost until the next listing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from modelyard.engine.handlers import CHILD_KINDS
from modelyard.engine.resync import OURS as OUR_LABELS
from tests.simulation.client import Faults, selects
from tests.simulation.fake_api import FakeApi
from tests.simulation.schema import OURS, clone

Sink = Callable[[str | None, Manifest], None]


class FakeWatch:
    """Delivers the server's events to one operator; events of one object stay in order."""

    def __init__(self, api: FakeApi, sink: Sink, faults: Faults, rng: random.Random) -> None:
        self._api, self._sink, self._faults, self._rng = api, sink, faults, rng
        self._last: dict[Key, float] = {}
        self._loop = asyncio.get_running_loop()
        self.open = True
        api.watchers.append(self._on_change)

    def close(self) -> None:
        """Nothing arrives any more."""
        self.open = False
        self._api.watchers.remove(self._on_change)

    def _on_change(self, type_: str, obj: Manifest) -> None:
        if not _watched(obj) or self._rng.random() < self._faults.lost_event:
            return
        self._deliver(type_, obj)
        if self._rng.random() < self._faults.repeated_event:
            self._deliver(type_, obj)

    def _deliver(self, type_: str, obj: Manifest) -> None:
        late = self._rng.random() < self._faults.late_event
        delay = self._rng.uniform(0.5, 20.0) if late else self._rng.uniform(0.001, 0.02)
        key = key_of(obj)
        at = self._last[key] = max(self._loop.time() + delay, self._last.get(key, 0.0) + 1e-5)
        self._loop.call_at(at, self._arrive, type_, clone(obj))

    def _arrive(self, type_: str, obj: Manifest) -> None:
        if self.open:
            self._sink(type_, obj)


def _watched(obj: Manifest) -> bool:
    return obj["kind"] in OURS or (obj["kind"] in CHILD_KINDS and selects(OUR_LABELS, obj))
