"""One scenario: made from a seed, played through with faults, until it settles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from modelyard.api.progress import TrainerStatus
from modelyard.engine.endpoint.callers import Caller
from modelyard.engine.kserve import KINDS as KSERVE
from tests.simulation import clock, oracle
from tests.simulation.budget import Budget
from tests.simulation.fake_api import FakeApi
from tests.simulation.fake_kserve import FakeKServe
from tests.simulation.fake_kubelet import FakeKubelet
from tests.simulation.fake_kueue import FakeKueue
from tests.simulation.fake_servers import FakeServers
from tests.simulation.fake_store import FakeStore
from tests.simulation.fate import Fates
from tests.simulation.fault_points import FaultPoints
from tests.simulation.garbage import Garbage
from tests.simulation.invariants import Invariants
from tests.simulation.kinds import kind_of
from tests.simulation.operators import Operator, Outside, leftovers
from tests.simulation.sightings import Sightings
from tests.simulation.story import Story
from tests.simulation.troubles import Troubles
from tests.simulation.user import User

SETTLE_LIMIT = 3600.0
QUIET = 135.0
VERIFIED_AGAIN = 620.0


class Scenario:
    """Everything of one scenario."""

    def __init__(self, seed: int, story: Story, only: Iterable[str] | None = None) -> None:
        self.kind, self.story = kind_of(seed), story
        self.fault_points = FaultPoints(seed, only)
        self.rng = self.fault_points.rng("life")
        self.fates = Fates(self.fault_points, self.kind.bad_pods, self.kind.bad_servers, self.kind.longest)
        self.faults = self.kind.rates()
        self.operators: list[Operator] = []
        self._count = 0

    async def play(self) -> None:
        """All of it, or until a promise is broken."""
        life, loop = asyncio.current_task(), asyncio.get_running_loop()
        self.story.on_break = lambda: life and loop.call_soon(life.cancel)
        try:
            await self._live()
        except asyncio.CancelledError:
            if not self.story.broken:
                raise

    async def _live(self) -> None:
        """Birth, faults, peace, and what is left."""
        self._set_up()
        self.start_operator()
        trouble = asyncio.create_task(Troubles(self).go_on())
        await self._user_at_work()
        trouble.cancel()
        await self._make_peace()
        await self._settle()
        if self.user.harmed or self.was_misled():
            await self.pass_time(VERIFIED_AGAIN)
            await self._settle()
        await self._check_the_end()

    def was_misled(self) -> bool:
        """True when an answer of the store to an operator was ever wrong."""
        return any(name.startswith("wrong-fact/") for name in self.fault_points.struck)

    def start_operator(self) -> None:
        """Another process of the operator."""
        self._count += 1
        operator = Operator(f"operator-{self._count}", self.outside, with_lease=self.kind.with_lease)
        operator.client.on_crash = lambda: self._crash(operator)
        self.invariants.follow(operator)
        self.operators.append(operator)

    def stop_operator(self, operator: Operator) -> None:
        """Kill it, if it still is among the living."""
        if operator in self.operators:
            self.operators.remove(operator)
            operator.kill()

    async def pass_time(self, seconds: float) -> None:
        """Sleep; a process that ended by itself is started again."""
        left = seconds
        while left > 0:
            await asyncio.sleep(min(left, 10.0))
            left -= 10.0
            self._replace_ended()

    def _set_up(self) -> None:
        self.api, self.store = FakeApi(), FakeStore()
        if not self.kind.kserve:
            self.api.take_away(*KSERVE)
        self.kubelet = FakeKubelet(self.api, self.store, self.fates, self.story)
        self.kubelet.posted = self._post
        self.servers = FakeServers(self.api, self.store, self.fates, self.story)
        self.kserve = FakeKServe(self.api, self.fates.rng("kserve"))
        self.kueue = FakeKueue(self.api, self.fault_points)
        self.garbage = Garbage(self.api, self.fates.rng("garbage"))
        self.invariants = Invariants(self.api, self.store, self.servers, self.story)
        self.budget = Budget(self.api)
        self.sightings = Sightings(self.api)
        self.user = User(self.api, self.store, self.fault_points, self.story, self.kind)
        self.outside = Outside(
            self.api,
            self.store,
            self.servers,
            self.faults,
            self.fault_points,
            self.story,
            "kserve_goes" in self.kind.troubles,
            self.kind.misses_events,
        )

    def _crash(self, operator: Operator) -> None:
        if operator in self.operators:
            self.stop_operator(operator)
            asyncio.get_running_loop().call_later(self.rng.choice((0.0, 1.0, 30.0)), self._replace_ended)

    def _replace_ended(self) -> None:
        self.operators = [operator for operator in self.operators if not operator.ended]
        if not self.operators:
            self.start_operator()

    def _post(self, caller: Caller, status: TrainerStatus) -> None:
        """To the operators that are up; a post that finds none is lost."""
        for operator in self.operators:
            operator.questions.post(operator.progress, caller, status)

    async def _user_at_work(self) -> None:
        self.user.begin(self.kind.more)
        for _ in range(self.rng.randrange(*self.kind.actions)):
            await self.pass_time(self.rng.expovariate(1 / 20.0))
            self.user.act()
        await self.pass_time(self.rng.uniform(5.0, 60.0))

    async def _make_peace(self) -> None:
        """Faults stop, one operator is left, and what was lacking is there."""
        self.story.tell("peace")
        self.faults.stop()
        clock.shift(0.0)
        if self.kind.kserve:
            self.api.bring_back(*KSERVE)
        self.kserve.wake()
        while len(self.operators) > 1:
            self.stop_operator(self.operators[-1])
        self._replace_ended()
        self.operators[0].alone, self.operators[0].client.cut_off = True, False
        self.user.repair()
        self.user.leave()

    async def _settle(self) -> None:
        """Until nothing has been written for a while by anyone."""
        until = clock.seconds() + SETTLE_LIMIT
        written = -1
        while written != self.api.writes.total():
            written = self.api.writes.total()
            await self.pass_time(QUIET)
            if clock.seconds() > until:
                self.story.breaks(f"not settled after {SETTLE_LIMIT:g} s: {oracle.summary(self.api)}")

    async def _check_the_end(self) -> None:
        operator = self.operators[0]
        before = self.api.writes[operator.name]
        for _ in range(2):
            await operator.resync()
            await self.pass_time(20.0)
        if extra := self.api.writes[operator.name] - before:
            self.story.breaks(f"a settled cluster took {extra} more writes")
        for line in (*leftovers(operator, self.api), *oracle.wrong(self)):
            self.story.breaks(line)
        for line in self.budget.overdrawn() if self.kind.name == "calm" else ():
            self.story.breaks(line)
