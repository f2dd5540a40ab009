"""Troubles: now and then the store goes down, clocks jump, watches break off, operators are killed or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from modelyard.engine.kserve import KINDS as KSERVE
from tests.simulation import clock

if TYPE_CHECKING:
    from tests.simulation.life import Life

JUMPS = (-86400.0, -7200.0, -30.0, -2.0, 2.0, 30.0, 7200.0, 86400.0)
"""Seconds: steps as NTP makes them, and clocks that were wrong by hours."""


class Troubles:
    """What happens to one life beside single requests."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._turn = 0

    async def go_on(self) -> None:
        """One trouble after the other; a turn's chances are its own, whatever other turns did."""
        life = self._life
        while life.kind.troubles:
            self._turn += 1
            rng = self._rng = life.chances.rng("trouble", self._turn)
            await asyncio.sleep(rng.expovariate(1 / life.kind.mean_trouble))
            name = rng.choice(life.kind.troubles)
            happen: Callable[[], Awaitable[None]] = getattr(self, name)
            if life.chances.comes_true(f"trouble/{self._turn}/{name}"):
                await happen()

    async def store_outage(self) -> None:
        """Nobody reaches the store."""
        self._life.story.tell("the store goes down")
        self._life.faults.store_down = 1.0
        await asyncio.sleep(self._rng.uniform(1.0, 60.0))
        self._life.faults.store_down = 0.0

    async def restart(self) -> None:
        """The process is killed and another one comes, at once or later."""
        if self._life.operators:
            self._life.stop_operator(self._life.operators[-1])
        await asyncio.sleep(self._rng.choice((0.0, 1.0, 30.0)))
        self._life.start_operator()

    async def two_operators(self) -> None:
        """A second process beside the first; one of both is killed later."""
        life = self._life
        life.start_operator()
        for operator in life.operators:
            operator.alone = False
        await asyncio.sleep(self._rng.uniform(1.0, 30.0))
        if len(life.operators) > 1:
            life.stop_operator(self._rng.choice(life.operators))
        for operator in life.operators[:1]:
            operator.alone = True

    async def watch_replay(self) -> None:
        """The watches break off and begin at an old version."""
        for operator in self._life.operators:
            await operator.watch.break_off(self._rng.uniform(0.1, 10.0), "replay")

    async def watch_gone(self) -> None:
        """The watches break off for too long: 410 Gone, and a new listing."""
        for operator in self._life.operators:
            await operator.watch.break_off(self._rng.uniform(0.1, 30.0), "gone")

    async def cut_off(self) -> None:
        """An operator can do all but renew its Lease; another one waits."""
        life = self._life
        if not life.kind.with_lease or not life.operators:
            return
        old = life.operators[0]
        old.client.cut_off = True
        life.story.tell("%s cannot reach its Lease", old.name)
        life.start_operator()
        await asyncio.sleep(self._rng.uniform(5.0, 60.0))
        old.client.cut_off = False

    async def kserve_goes(self) -> None:
        """KServe is removed, its API and every InferenceService with it, and comes back later."""
        life = self._life
        life.story.tell("KServe is removed")
        life.api.take_away(*KSERVE)
        await asyncio.sleep(self._rng.uniform(1.0, 90.0))
        life.story.tell("KServe is back")
        life.api.bring_back(*KSERVE)

    async def kserve_sleeps(self) -> None:
        """KServe's only pod is away, often for longer than a candidate may take; its API stays."""
        life = self._life
        life.story.tell("KServe's controller goes away")
        life.kserve.sleep()
        await asyncio.sleep(self._rng.choice((10.0, 120.0, 600.0)))
        life.story.tell("KServe's controller is back")
        life.kserve.wake()

    async def clock_jump(self) -> None:
        """The operators' wall clock is set, and maybe set right again."""
        offset = self._rng.choice(JUMPS)
        clock.shift(offset)
        self._life.story.tell("the operators' clock is off by %g s", offset)
        await asyncio.sleep(self._rng.uniform(1.0, 60.0))
        if self._rng.random() < 0.5:
            clock.shift(0.0)
