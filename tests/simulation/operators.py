"""The operator's process: the real engine on the fake outside; started, killed, sometimes two at once."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from kubernetes.aio.leaderelection import leaderelection

from modelyard.decision import Offer, Platform
from modelyard.engine.apply import RefusedError
from modelyard.engine.cache import Key
from modelyard.engine.context import Context, steady
from modelyard.engine.effects import Effects
from modelyard.engine.endpoint.progress_store import ProgressStore
from modelyard.engine.facts import Facts
from modelyard.engine.facts.capacity import capacity
from modelyard.engine.facts.queue import queue_word
from modelyard.engine.facts.refused import refused_pod
from modelyard.engine.kserve import KServe
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.lease import LeaseGuard
from modelyard.engine.loop import Engine
from modelyard.engine.queue import WorkQueue
from modelyard.engine.resync import SOON, repair, resync
from modelyard.lifecycle import RECONCILERS
from tests.simulation import clock
from tests.simulation.client import Client, Faults
from tests.simulation.fake_api import FakeApi
from tests.simulation.fake_servers import FakeServers
from tests.simulation.fake_store import FakeStore
from tests.simulation.fault_points import FaultPoints
from tests.simulation.story import Story
from tests.simulation.watching import FakeWatch
from tests.simulation.wrong_facts import Questions, WrongReads

leaderelection.time = clock.ElectionTime
PLATFORM = Platform(trainer_image="trainer:1", server_image="server:1", store_endpoint="http://store:9000")
RESYNC_EVERY, NEVER = 120.0, 1e9
LEASE_SECONDS = 20
SPINNING = 200
"""So many reconciles of one object within a minute are a fault."""


NO_OFFER = Offer(lambda platform: (), lambda servers: set())


class Leads:
    """The leader guard of one who is alone."""

    held = True


class WatchedAnyway:
    """The simulated watch shows KServe's kinds whenever they are served."""

    def start(self) -> None:
        """Nothing to do."""

    def stop(self) -> None:
        """Nothing to do."""


@dataclass
class Outside:
    """All that an operator's process meets."""

    api: FakeApi
    store: FakeStore
    servers: FakeServers
    faults: Faults
    fault_points: FaultPoints
    story: Story
    kserve_moves: bool = False
    """True where KServe's API comes and goes."""
    misses_events: bool = False
    """Where no event is lost, nobody may depend on a resync."""
    platform: Platform = PLATFORM
    """What the next process is installed with."""


class Operator:
    """One process; a killed one never speaks again."""

    def __init__(self, name: str, outside: Outside, *, with_lease: bool) -> None:
        self.name, self._outside = name, outside
        faults, fault_points = outside.faults, outside.fault_points
        self._resync_every = RESYNC_EVERY if outside.misses_events else NEVER
        self.alone = True
        """False while another operator works against this one."""
        self.on_reconcile: Callable[[Key], None] = lambda _: None
        """Told of every reconcile before it begins."""
        self._reconciles: Counter[tuple[Key, int]] = Counter()
        self.reads = WrongReads(outside.store, fault_points, outside.story)
        self.questions = Questions(name, self.reads, faults, fault_points, outside.story)
        self.client = Client(outside.api, name, faults, fault_points, outside.story)
        self.guard = (
            LeaseGuard(cast(Kube, self.client), "modelyard", name, LEASE_SECONDS, clock.seconds) if with_lease else None
        )
        self.progress = ProgressStore(lambda key: self.engine.queue.add(key), clock.seconds)
        kube = cast(Kube, self.client)
        cluster = {"queue_word": queue_word(kube), "refused_pod": refused_pod(kube), "capacity": capacity(kube)}
        cluster |= {"address": outside.servers.address, "progress": self.progress.read}
        functions = self.questions.facts(outside.servers.prediction, **cluster)
        facts = Facts(functions, clock.seconds)
        seen = Context(kube=self.client, facts=facts, platform=outside.platform, now=steady(clock.wall, clock.seconds))
        seen.effects = Effects(self.questions.effects())
        self.engine = Engine(RECONCILERS, seen, guard=self.guard)
        self.kserve = KServe(self.engine, kube, NO_OFFER, self.guard or Leads(), WatchedAnyway)
        self.engine.queue = WorkQueue(self._reconcile, workers=8, rng=fault_points.rng("queue", name), retry_cap=30.0)
        self.watch = FakeWatch(outside.api, name, self.engine.on_event, faults, fault_points)
        self._task = asyncio.create_task(self._run())
        outside.story.tell("%s starts", name)

    @property
    def ended(self) -> bool:
        """True once the process is over: killed, or its Lease was lost."""
        return self._task.done()

    def kill(self) -> None:
        """SIGKILL: nothing of it arrives any more."""
        self._outside.story.tell("%s is killed", self.name)
        self.client.dead = True
        self._close()
        self._task.cancel()

    async def resync(self) -> None:
        """List everything and look at every object again."""
        await resync(self.engine, cast(Kube, self.client))

    async def _run(self) -> None:
        """As main does: work, and lead; who loses the Lease ends."""
        tasks = [asyncio.create_task(self._work())]
        if self.guard is not None:
            tasks.append(asyncio.create_task(self.guard.run()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self._outside.story.tell("%s ends", self.name)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=12)
        self._close()

    async def _work(self) -> None:
        await self._first_listing()
        if self.guard is not None:
            await self.guard.wait()
            await self._first_listing()
        await self.kserve.first_look()
        beside = [asyncio.create_task(self._resync_forever())]
        if self._outside.kserve_moves:
            beside.append(asyncio.create_task(self.kserve.run()))
        try:
            await self.engine.queue.run()
        finally:
            for task in beside:
                task.cancel()

    async def _first_listing(self) -> None:
        while True:
            try:
                await self.resync()
                return
            except KubeError:
                await asyncio.sleep(0.5)

    def _close(self) -> None:
        if self.watch.open:
            self.watch.close()

    async def _resync_forever(self) -> None:
        await asyncio.sleep(SOON if self._outside.misses_events else NEVER)
        with contextlib.suppress(KubeError):
            await repair(self.engine, cast(Kube, self.client))
        while True:
            await asyncio.sleep(self._resync_every)
            with contextlib.suppress(KubeError):
                await self.resync()

    async def _reconcile(self, key: Key) -> float | None:
        """One reconcile; what the queue would only log breaks the scenario, and so does spinning."""
        minute = int(clock.seconds() / 60.0)
        self._reconciles[key, minute] += self.alone  # two who see another outside do undo each other's work
        if self._reconciles[key, minute] > SPINNING:
            self._outside.story.breaks(f"{SPINNING} reconciles of {key} within a minute")
        self.on_reconcile(key)
        try:
            return await self.engine.reconcile(key)
        except (KubeError, RefusedError):
            raise
        except Exception:
            self._outside.story.breaks(f"a reconcile of {key} raised: {traceback.format_exc()}")
            raise


def leftovers(operator: Operator, api: FakeApi) -> list[str]:
    """Where a settled operator's memory and the cluster differ."""
    found = []
    cache: Any = operator.engine.context.cache
    for kind in operator.engine.reconcilers:
        known = {key: cache.get(*key)["metadata"]["resourceVersion"] for key in cache.keys(kind)}
        there = {
            (kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj["metadata"]["resourceVersion"]
            for obj in api.all(kind)
        }
        if known != there:
            found.append(f"{operator.name} remembers {known}, there is {there}")
    return found
