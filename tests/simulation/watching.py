"""A watch as operators see it: late, out of order between objects, repeated, lost, cut off and begun anew."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from modelyard.engine.handlers import OURS as OUR_LABELS
from modelyard.engine.slim import CHILD_KINDS, KSERVE_KINDS
from tests.simulation.client import Faults, selects
from tests.simulation.fake_api import FakeApi, shown
from tests.simulation.fault_points import FaultPoints
from tests.simulation.schema import OURS

Sink = Callable[[str | None, Manifest], None]
REMEMBERED = 40
"""Events that a server still has for those who ask from an older version on."""


class FakeWatch:
    """Delivers the server's events to one operator; events of one object stay in order."""

    def __init__(self, api: FakeApi, name: str, sink: Sink, faults: Faults, fault_points: FaultPoints) -> None:
        self._api, self._name, self._sink, self._faults, self._fault_points = api, name, sink, faults, fault_points
        self._rng = fault_points.rng("watch", name)
        self._last: dict[Key, float] = {}
        self._history: deque[tuple[str, Manifest]] = deque(maxlen=REMEMBERED)
        self._loop = asyncio.get_running_loop()
        self.open = True
        self._deaf = False
        api.watchers.append(self._on_change)

    def close(self) -> None:
        """Nothing arrives any more."""
        self.open = False
        self._api.watchers.remove(self._on_change)

    async def break_off(self, seconds: float, then: Literal["replay", "gone"]) -> None:
        """The connection is away; then old events come again, or (410 Gone) all there is, and no word of what ended."""
        self._deaf = True
        await asyncio.sleep(seconds)
        self._deaf = False
        if then == "replay":
            for type_, obj in tuple(self._history):
                self._deliver(type_, obj)
        else:
            for obj in [obj for obj in self._api.everything() if _watched(obj)]:
                self._deliver(None, obj)

    def _on_change(self, type_: str, obj: Manifest) -> None:
        if not _watched(obj):
            return
        self._history.append((type_, obj))
        site = (self._name, obj["kind"], obj["metadata"]["name"])
        if self._deaf or self._fault_points.strikes(self._faults.lost_event, "lost-event", *site):
            return
        self._deliver(type_, obj)
        if self._fault_points.strikes(self._faults.repeated_event, "repeated-event", *site):
            self._deliver(type_, obj)

    def _deliver(self, type_: str | None, obj: Manifest) -> None:
        key = key_of(obj)
        late = self._fault_points.strikes(self._faults.late_event, "late-event", self._name, key[0], key[2])
        delay = self._rng.uniform(0.5, 20.0) if late else self._rng.uniform(0.001, 0.02)
        at = self._last[key] = max(self._loop.time() + delay, self._last.get(key, 0.0) + 1e-5)
        self._loop.call_at(at, self._arrive, type_, obj)

    def _arrive(self, type_: str | None, obj: Manifest) -> None:
        if self.open:
            self._sink(type_, shown(obj))


def _watched(obj: Manifest) -> bool:
    kind = obj["kind"]
    return kind in OURS or (kind in (*CHILD_KINDS, *KSERVE_KINDS) and selects(OUR_LABELS, obj))
