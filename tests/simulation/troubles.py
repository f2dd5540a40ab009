"""Troubles: now and then the store goes down, clocks jump, watches break off, operators are killed or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from modelyard.engine.kserve import KINDS as KSERVE
from tests.simulation import clock
from tests.simulation.operators import PLATFORM

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario

JUMPS = (-86400.0, -7200.0, -30.0, -2.0, 2.0, 30.0, 7200.0, 86400.0)
"""Seconds: steps as NTP makes them, and clocks that were wrong by hours."""


class Troubles:
    """What happens to one scenario beside single requests."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._turn = 0

    async def go_on(self) -> None:
        """One trouble after the other; a turn's fault points are its own, whatever other turns did."""
        scenario = self._scenario
        while scenario.kind.troubles:
            self._turn += 1
            rng = self._rng = scenario.fault_points.rng("trouble", self._turn)
            await asyncio.sleep(rng.expovariate(1 / scenario.kind.mean_trouble))
            name = rng.choice(scenario.kind.troubles)
            happen: Callable[[], Awaitable[None]] = getattr(self, name)
            if scenario.fault_points.comes_true(f"trouble/{self._turn}/{name}"):
                await happen()

    async def store_outage(self) -> None:
        """Nobody reaches the store."""
        self._scenario.story.tell("the store goes down")
        self._scenario.faults.store_down = 1.0
        await asyncio.sleep(self._rng.uniform(1.0, 60.0))
        self._scenario.faults.store_down = 0.0

    async def restart(self) -> None:
        """The process is killed and another one comes, at once or later."""
        if self._scenario.operators:
            self._scenario.stop_operator(self._scenario.operators[-1])
        await asyncio.sleep(self._rng.choice((0.0, 1.0, 30.0)))
        self._scenario.start_operator()

    async def upgrade(self) -> None:
        """Other chart values: the process ends, the next one has other images and another way to the store.

        Somebody may ask for a server to be moved, or the installation moves them all.
        """
        scenario = self._scenario
        number = self._turn + 1
        scenario.outside.platform = replace(
            PLATFORM,
            trainer_image=f"trainer:{number}",
            server_image=f"server:{number}",
            store_endpoint=f"http://store-{number}:9000",
            refresh=self._rng.random() < 0.4,
        )
        for operator in list(scenario.operators):
            scenario.stop_operator(operator)
        scenario.story.tell("upgrade to %s", scenario.outside.platform)
        if self._rng.random() < 0.7:
            scenario.user.refresh(str(number), self._rng)
        await asyncio.sleep(self._rng.choice((0.0, 1.0, 30.0)))
        scenario.start_operator()

    async def two_operators(self) -> None:
        """A second process beside the first; one of both is killed later."""
        scenario = self._scenario
        scenario.start_operator()
        for operator in scenario.operators:
            operator.alone = False
        await asyncio.sleep(self._rng.uniform(1.0, 30.0))
        if len(scenario.operators) > 1:
            scenario.stop_operator(self._rng.choice(scenario.operators))
        for operator in scenario.operators[:1]:
            operator.alone = True

    async def watch_replay(self) -> None:
        """The watches break off and begin at an old version."""
        for operator in self._scenario.operators:
            await operator.watch.break_off(self._rng.uniform(0.1, 10.0), "replay")

    async def watch_gone(self) -> None:
        """The watches break off for too long: 410 Gone, and a new listing."""
        for operator in self._scenario.operators:
            await operator.watch.break_off(self._rng.uniform(0.1, 30.0), "gone")

    async def cut_off(self) -> None:
        """An operator can do all but renew its Lease; another one waits."""
        scenario = self._scenario
        if not scenario.kind.with_lease or not scenario.operators:
            return
        old = scenario.operators[0]
        old.client.cut_off = True
        scenario.story.tell("%s cannot reach its Lease", old.name)
        scenario.start_operator()
        await asyncio.sleep(self._rng.uniform(5.0, 60.0))
        old.client.cut_off = False

    async def kserve_goes(self) -> None:
        """KServe is removed, its API and every InferenceService with it, and comes back later."""
        scenario = self._scenario
        scenario.story.tell("KServe is removed")
        scenario.api.take_away(*KSERVE)
        await asyncio.sleep(self._rng.uniform(1.0, 90.0))
        scenario.story.tell("KServe is back")
        scenario.api.bring_back(*KSERVE)

    async def kserve_sleeps(self) -> None:
        """KServe's only pod is away, often for longer than a candidate may take; its API stays."""
        scenario = self._scenario
        scenario.story.tell("KServe's controller goes away")
        scenario.kserve.sleep()
        await asyncio.sleep(self._rng.choice((10.0, 120.0, 600.0)))
        scenario.story.tell("KServe's controller is back")
        scenario.kserve.wake()

    async def clock_jump(self) -> None:
        """The operators' wall clock is set, and maybe set right again."""
        offset = self._rng.choice(JUMPS)
        clock.shift(offset)
        self._scenario.story.tell("the operators' clock is off by %g s", offset)
        await asyncio.sleep(self._rng.uniform(1.0, 60.0))
        if self._rng.random() < 0.5:
            clock.shift(0.0)
