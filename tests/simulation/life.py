"""One life: a world is made from a seed, lived through with faults, and settles."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from modelyard.api.progress import TrainerStatus
from modelyard.engine.endpoint.callers import Caller
from tests.simulation import clock, oracle
from tests.simulation.budget import Budget
from tests.simulation.client import Faults
from tests.simulation.fake_api import FakeApi
from tests.simulation.fake_kubelet import FakeKubelet
from tests.simulation.fake_servers import FakeServers
from tests.simulation.fake_store import FakeStore, store_facts
from tests.simulation.fate import Fates
from tests.simulation.garbage import Garbage
from tests.simulation.invariants import Invariants
from tests.simulation.operators import Operator, leftovers
from tests.simulation.story import BrokenPromise, Story
from tests.simulation.user import User

THEMES = ("training", "serving", "all")
ACTIONS = {"training": (2, 10), "serving": (4, 16), "all": (2, 12)}
"""How many things the user does, at least and fewer than."""
SETTLE_LIMIT = 3600.0
QUIET = 135.0
VERIFIED_AGAIN = 620.0


def live(seed: int, lines: int = 60) -> None:
    """Live one life; raises BrokenPromise with its story."""
    story = Story(lines)
    try:
        clock.run(Life(seed, story).live())
    except BrokenPromise:
        raise
    except Exception as fault:
        raise BrokenPromise(f"seed {seed}: {type(fault).__name__}: {fault}\n{story}") from fault
    if story.broken:
        raise BrokenPromise(f"seed {seed}: {story.broken[0]}\n{story}")


class Life:
    """Everything of one life."""

    def __init__(self, seed: int, story: Story) -> None:
        self.calm, self.theme = seed % 10 == 0, THEMES[seed % len(THEMES)]
        self.story, self._seed = story, seed
        self.rng = random.Random(f"life/{seed}")
        self.fates = Fates(seed, self.calm, serving=self.theme == "serving")
        self.faults = Faults()
        self._operators: list[Operator] = []
        self._count = 0

    async def live(self) -> None:
        """Birth, faults, peace, and what is left."""
        self._make_world()
        self._start_operator()
        trouble = asyncio.create_task(self._trouble())
        await self._user_at_work()
        trouble.cancel()
        await self._make_peace()
        await self._settle()
        if self.user.harmed:
            await self._pass_time(VERIFIED_AGAIN)
            await self._settle()
        if not self.story.broken:
            await self._check_the_end()

    def _make_world(self) -> None:
        self.api, self.store = FakeApi(), FakeStore()
        self.kubelet = FakeKubelet(self.api, self.store, self.fates, self.story)
        self.kubelet.posted = self._post
        self.servers = FakeServers(self.api, self.store, self.fates, self.story)
        self.garbage = Garbage(self.api, self.fates.rng("garbage"))
        self.invariants = Invariants(self.api, self.store, self.servers, self.story)
        self.budget = Budget(self.api)
        self.user = User(self.api, self.store, self.fates.rng("user"), self.story, self.theme)
        if not self.calm:
            self.faults = Faults(
                refused=self.rng.choice((0.0, 0.02, 0.1)),
                unanswered=self.rng.choice((0.0, 0.02, 0.1)),
                lost_event=self.rng.choice((0.0, 0.01, 0.1)),
                repeated_event=self.rng.choice((0.0, 0.1)),
                late_event=self.rng.choice((0.0, 0.05, 0.2)),
                store_flaky=self.rng.choice((0.0, 0.05, 0.2)),
            )

    def _start_operator(self) -> None:
        self._count += 1
        rng = self.fates.rng("operator", self._count)
        facts = {
            **store_facts(self.store, self.faults, rng, self.story),
            "prediction": self.servers.prediction,
            "refused_pod": _nothing_refused,
        }
        name = f"operator-{self._count}"
        self._operators.append(Operator(name, self.api, facts, self.faults, rng, self.story))

    def _post(self, caller: Caller, status: TrainerStatus) -> None:
        """To the operators that are up; a post that finds none is lost."""
        for operator in self._operators:
            operator.board.post(caller, status)

    async def _user_at_work(self) -> None:
        self.user.begin()
        if self.calm:
            self.user.mend()
        least, most = ACTIONS[self.theme]
        for _ in range(0 if self.calm else self.rng.randrange(least, most)):
            await self._pass_time(self.rng.expovariate(1 / 20.0))
            if self.story.broken:
                return
            self.user.act()
        await self._pass_time(self.rng.uniform(5.0, 60.0))

    async def _trouble(self) -> None:
        """Now and then the store goes down, or operators are killed, started, doubled."""
        while not self.calm:
            await asyncio.sleep(self.rng.expovariate(1 / 60.0))
            await self.rng.choice((self._store_outage, self._restart, self._two_operators))()

    async def _store_outage(self) -> None:
        self.story.tell("the store goes down")
        self.faults.store_down = True
        await asyncio.sleep(self.rng.uniform(1.0, 60.0))
        self.faults.store_down = False

    async def _restart(self) -> None:
        self._operators.pop().kill()
        await asyncio.sleep(self.rng.choice((0.0, 1.0, 30.0)))
        self._start_operator()

    async def _two_operators(self) -> None:
        self._start_operator()
        for operator in self._operators:
            operator.alone = False
        await asyncio.sleep(self.rng.uniform(1.0, 30.0))
        self._operators.pop(self.rng.randrange(len(self._operators))).kill()
        self._operators[0].alone = True

    async def _make_peace(self) -> None:
        """Faults stop, one operator is left, and what the world lacked is there."""
        self.story.tell("peace")
        self.faults.stop()
        while len(self._operators) > 1:
            self._operators.pop().kill()
        if not self._operators:
            self._start_operator()
        self._operators[0].alone = True
        self.user.mend()
        self.user.leave()

    async def _settle(self) -> None:
        """Until nothing has been written for a while by anyone."""
        until = clock.seconds() + SETTLE_LIMIT
        written = -1
        while written != self.api.writes.total():
            written = self.api.writes.total()
            await self._pass_time(QUIET)
            if self.story.broken:
                return
            if clock.seconds() > until:
                self.story.breaks(f"not settled after {SETTLE_LIMIT:g} s: {oracle.summary(self.api)}")

    async def _pass_time(self, seconds: float) -> None:
        """Sleep, but not over a broken promise."""
        left = seconds
        while left > 0 and not self.story.broken:
            await asyncio.sleep(min(left, 10.0))
            left -= 10.0

    async def _check_the_end(self) -> None:
        operator = self._operators[0]
        before = self.api.writes[operator.name]
        for _ in range(2):
            await operator.resync()
            await self._pass_time(20.0)
        if extra := self.api.writes[operator.name] - before:
            self.story.breaks(f"a settled world took {extra} more writes")
        for line in (*leftovers(operator, self.api), *oracle.wrong(self)):
            self.story.breaks(line)
        for line in self.budget.overdrawn() if self.calm else ():
            self.story.breaks(line)


async def _nothing_refused(_: Mapping[str, str]) -> None:
    """Nobody refuses a pod here."""
