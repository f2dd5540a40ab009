"""The operator's process: the real engine on the fake world; started, killed, sometimes two at once."""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from modelyard.decision import Platform
from modelyard.engine.apply import RefusedError
from modelyard.engine.cache import Key
from modelyard.engine.endpoint.board import Board
from modelyard.engine.facts import FactFunction, Facts
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.loop import Engine
from modelyard.engine.queue import WorkQueue
from modelyard.engine.resync import resync
from modelyard.engine.world import World
from modelyard.lifecycle import ROOMS
from tests.simulation import clock
from tests.simulation.client import Client, Faults
from tests.simulation.fake_api import FakeApi
from tests.simulation.story import Story
from tests.simulation.watching import FakeWatch

PLATFORM = Platform(trainer_image="trainer:1", server_image="server:1", store_endpoint="http://store:9000")
RESYNC_EVERY, NEVER = 120.0, 1e9
SPINNING = 200
"""So many passes of one object within a minute are a fault."""


class Operator:
    """One process; a killed one never speaks again."""

    def __init__(
        self,
        name: str,
        api: FakeApi,
        facts: Mapping[str, FactFunction],
        faults: Faults,
        rng: random.Random,
        story: Story,
    ) -> None:
        self.name, self._story = name, story
        # Where no event is lost, nobody may depend on a resync.
        self._resync_every = RESYNC_EVERY if faults.lost_event else NEVER
        self.alone = True
        """False while another operator works against this one."""
        self._passes: Counter[tuple[Key, int]] = Counter()
        self.client = Client(api, name, faults, rng, story)
        self.board = Board(lambda key: self.engine.queue.add(key), clock.seconds)
        functions = {**facts, "progress": self.board.progress}
        world = World(kube=self.client, facts=Facts(functions, clock.seconds), platform=PLATFORM, now=clock.now)
        self.engine = Engine(ROOMS, world)
        self.engine.queue = WorkQueue(self._pass, workers=8, rng=rng, retry_cap=30.0)
        self._watch = FakeWatch(api, self.engine.on_event, faults, rng)
        self._task = asyncio.create_task(self._run())
        story.tell("%s starts", name)

    def kill(self) -> None:
        """SIGKILL: nothing of it arrives any more."""
        self._story.tell("%s is killed", self.name)
        self.client.dead = True
        self._watch.close()
        self._task.cancel()

    async def resync(self) -> None:
        """List everything and look at every object again."""
        await resync(self.engine, cast(Kube, self.client))

    async def _run(self) -> None:
        while True:
            try:
                await self.resync()
                break
            except KubeError:
                await asyncio.sleep(0.5)
        resyncing = asyncio.create_task(self._resync_forever())
        try:
            await self.engine.queue.run()
        finally:
            resyncing.cancel()

    async def _resync_forever(self) -> None:
        while True:
            await asyncio.sleep(self._resync_every)
            with contextlib.suppress(KubeError):
                await self.resync()

    async def _pass(self, key: Key) -> float | None:
        """One pass; what the queue would only log breaks the life, and so does spinning."""
        minute = int(clock.seconds() / 60.0)
        self._passes[key, minute] += self.alone  # two who see another world do undo each other's work
        if self._passes[key, minute] > SPINNING:
            self._story.breaks(f"{SPINNING} passes of {key} within a minute")
        try:
            return await self.engine.run_pass(key)
        except (KubeError, RefusedError):
            raise
        except Exception:
            self._story.breaks(f"a pass of {key} raised: {traceback.format_exc()}")
            raise


def leftovers(operator: Operator, api: FakeApi) -> list[str]:
    """Where a settled operator's memory and the cluster differ."""
    found = []
    cache: Any = operator.engine.world.cache
    for kind in operator.engine.rooms:
        known = {key: cache.get(*key)["metadata"]["resourceVersion"] for key in cache.keys(kind)}
        there = {
            (kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj["metadata"]["resourceVersion"]
            for obj in api.all(kind)
        }
        if known != there:
            found.append(f"{operator.name} remembers {known}, there is {there}")
    return found
