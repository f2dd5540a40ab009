"""Watch: runs kopf in a thread with a loop of its own and starts it again when it ends.

Kopf treats every task of its loop as its own and ends its whole run when one watch breaks; in a thread it
can do both without harm to the reconciles.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Sequence

import kopf
import uvloop

from modelyard.decision import Manifest
from modelyard.engine import metrics
from modelyard.engine.handlers import build_registry, build_settings
from modelyard.engine.loop import Engine
from modelyard.engine.staleness import WatchStaleness

log = logging.getLogger(__name__)


class Watch:
    """Hands events from kopf's thread to the engine's loop, in order."""

    def __init__(
        self, kinds: Sequence[str], engine: Engine, loop: asyncio.AbstractEventLoop, staleness: WatchStaleness
    ) -> None:
        self._kinds, self._engine, self._loop, self._staleness = kinds, engine, loop, staleness
        self._stop = threading.Event()
        self._started = threading.Event()
        self.ready = asyncio.Event()
        """Set once kopf has started; what there was before is listed by the first resync."""
        self.look_again = asyncio.Event()
        """Set when the watches list, or are refused: one that asks for more than a restored etcd has is, for ever."""
        self.listed = False
        """True once the first listing is in the cache."""
        self._threads = [
            threading.Thread(target=self._run_forever, name="watch", daemon=True),
            threading.Thread(target=self._report_ready, name="watch-ready", daemon=True),
        ]

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask the watches to end; the threads are daemons, nobody waits for them."""
        self._stop.set()

    def _run_forever(self) -> None:
        while not self._stop.is_set():
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(self._operator())
            except Exception:
                log.exception("the watches ended")
            if not self._stop.is_set():
                metrics.WATCH_RESTARTS.inc()
                self._stop.wait(random.uniform(1, 5))

    async def _operator(self) -> None:
        await kopf.operator(
            registry=build_registry(self._kinds, self._wake, self._refused),
            settings=build_settings(),
            clusterwide=True,
            standalone=True,
            stop_flag=self._stop,
            ready_flag=self._started,
        )

    def _report_ready(self) -> None:
        self._started.wait()
        self._loop.call_soon_threadsafe(self.ready.set)

    def _wake(self, type_: str | None, obj: Manifest) -> None:
        self._loop.call_soon_threadsafe(self._take, type_, obj)

    def _refused(self) -> None:
        self._loop.call_soon_threadsafe(self.look_again.set)

    def _take(self, type_: str | None, obj: Manifest) -> None:
        metrics.WATCH_EVENTS.labels(obj["kind"]).inc()
        if type_ is None:
            self.look_again.set()
        self._staleness.heard(obj)
        self._engine.on_event(type_, obj)
