"""KServe: noticed when its API appears or goes, without a restart; what we offer to it is kept in place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from modelyard.decision import Offer
from modelyard.engine.apply import covers
from modelyard.engine.handlers import EndlessBackoff
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.leader_guard import LeaderGuard
from modelyard.engine.loop import Engine
from modelyard.engine.resync import resync_kind
from modelyard.engine.slim import KSERVE_KINDS

log = logging.getLogger(__name__)
EVERY = 10.0
KINDS = (*KSERVE_KINDS, "ClusterServingRuntime", "ClusterStorageContainer")


class Watching(Protocol):
    """The watches of KServe's kinds."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class KServe:
    """Looks now and then whether KServe is served; `watch` makes new watches of its kinds."""

    def __init__(
        self, engine: Engine, kube: Kube, offer: Offer, guard: LeaderGuard, watch: Callable[[], Watching]
    ) -> None:
        self._engine, self._kube, self._offer, self._guard, self._watch = engine, kube, offer, guard, watch
        self._watching: Watching | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def first_look(self) -> None:
        """No reconcile may choose a backend before this is known, however long the API server makes us wait."""
        for pause in EndlessBackoff():
            if await self.look():
                return
            await asyncio.sleep(pause)

    async def look(self) -> bool:
        """One look; False if it is not known whether KServe is served: then nothing changes."""
        known = await self._tried(self._follow)
        if known and self._engine.context.platform.kserve and self._guard.held:
            await self._tried(self._keep_offer)  # KServe's webhook may refuse it or be away: tried again
        return known

    async def _tried(self, step: Callable[[], Awaitable[None]]) -> bool:
        try:
            await step()
        except KubeError as fault:
            log.warning("KServe: %s", fault)
            return False
        return True

    async def _follow(self) -> None:
        served = await self._kube.serves(KINDS)
        if served != self._engine.context.platform.kserve:
            await (self._appeared() if served else self._gone())

    def close(self) -> None:
        """Stop the watches."""
        if self._watching is not None:
            self._watching.stop()
            self._watching = None

    async def _appeared(self) -> None:
        for kind in (*KSERVE_KINDS, "Deployment"):  # which KServe made for them: kept only once the owner is known
            await resync_kind(self._engine, self._kube, kind)
        log.info("KServe's API is served")
        self._watching = self._watch()
        self._watching.start()
        self._set(True)

    async def _gone(self) -> None:
        log.warning("KServe's API is not served any more")
        self.close()
        cache = self._engine.context.cache
        for obj in [known for kind in KSERVE_KINDS for known in cache.all(kind)]:
            self._engine.on_event("DELETED", obj)
        self._set(False)

    def _set(self, served: bool) -> None:
        context = self._engine.context
        context.platform = replace(context.platform, kserve=served)
        self._engine.add_all()

    async def _keep_offer(self) -> None:
        context = self._engine.context
        used = self._offer.used(context.cache.all("InferenceService"))
        for wanted in self._offer.objects(context.platform):
            kind, labels = wanted["kind"], wanted["metadata"]["labels"]
            listed = await self._kube.list(kind, ",".join(f"{key}={value}" for key, value in labels.items()))
            live = {obj["metadata"]["name"]: obj for obj in listed}
            name = wanted["metadata"]["name"]
            if name not in live or not covers(live.pop(name), wanted):
                await context.kube.apply(wanted)
                log.info("%s %s is in place", kind, name)
            for old in live.keys() - {name} - {known for of, known in used if of == kind}:
                await context.kube.delete(kind, "", old)
