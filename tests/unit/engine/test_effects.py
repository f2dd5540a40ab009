"""Effects on the store: after the status, by who leads, and their outcome is seen in the next reconcile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Answer, Decision, Effect, Manifest, Observed, Reconciler
from modelyard.engine.context import Context
from modelyard.engine.effects import Effects
from modelyard.engine.facts import Facts
from modelyard.engine.kube import KubeError
from modelyard.engine.loop import Engine
from modelyard.storage.errors import Unavailable
from tests.simulation import clock, wishes
from tests.simulation.client import Client, Faults
from tests.simulation.fake_api import FakeApi
from tests.simulation.fault_points import FaultPoints
from tests.simulation.operators import PLATFORM
from tests.simulation.story import Story

KEY = ("TrainingProfile", "", names.DEFAULT_PROFILE)
DEED = Effect.of("deed", key="k")
LATER = 30.0


class Guard:
    held = True


class Played:
    """What an engine does with a reconciler that asks for one effect until it is done."""

    def __init__(self) -> None:
        self.api, self.log, self.fault = FakeApi(), list[str](), Unavailable("down")
        self.fails = 0
        self.api.auditors.append(lambda write: self.log.append(write.verb))
        client = Client(self.api, "operator", Faults(), FaultPoints(1), Story())
        context = Context(kube=client, facts=Facts({}, clock.seconds), platform=PLATFORM, now=clock.now)
        context.effects = Effects({"deed": self._deed})
        self.guard = Guard()
        reconciler = Reconciler("TrainingProfile", "trainingprofiles", False, lambda obj, observed: (), self._decide)
        self.engine = Engine([reconciler], context, guard=self.guard)
        self.engine.on_event("ADDED", self.api.apply(wishes.profile(), "user"))
        self.log.clear()

    async def _deed(self, args: Any) -> bool:
        self.log.append(f"deed {args['key']}")
        if self.fails:
            self.fails -= 1
            raise self.fault
        return True

    def _decide(self, obj: Manifest, observed: Observed, now: datetime) -> Decision:
        came = observed.effects.get(DEED)
        done = came is not None and came.value is True
        told = "done" if done else "asked" if came is None else came.message
        status = {"observedGeneration": obj["metadata"]["generation"], "phase": told}
        return Decision(status, effects=() if done else (DEED,), wake_after=None if done else LATER)

    @property
    def phase(self) -> str:
        found = self.api.look(*KEY)
        assert found is not None
        return str(found["status"]["phase"])


def played(script: Callable[[Played], Awaitable[None]]) -> None:
    async def play() -> None:
        await script(Played())

    clock.run(play())


def test_the_status_stands_before_the_effect_and_its_outcome_is_seen_at_once() -> None:
    async def script(it: Played) -> None:
        assert await it.engine.reconcile(KEY) == 0.0
        assert (it.log, it.phase) == (["status", "deed k"], "asked")
        assert await it.engine.reconcile(KEY) is None
        assert (it.log, it.phase) == (["status", "deed k", "status"], "done")

    played(script)


def test_what_fails_is_told_once_and_tried_again_later() -> None:
    async def script(it: Played) -> None:
        it.fails = 3
        pauses = [await it.engine.reconcile(KEY) for _ in range(4)]
        assert pauses == [0.0, LATER, LATER, 0.0] and it.phase == "down"
        assert it.log.count("status") == 2
        assert await it.engine.reconcile(KEY) is None and it.phase == "done"

    played(script)


def test_no_effect_without_its_status() -> None:
    async def script(it: Played) -> None:
        it.api.patch(*KEY, {"spec": {"retries": 5}}, "", "user")  # the cache is behind
        it.log.clear()
        await it.engine.reconcile(KEY)
        assert it.log == []
        await it.engine.reconcile(KEY)
        assert it.log == ["status", "deed k"]

    played(script)


def test_none_begins_once_the_lease_is_not_ours() -> None:
    async def script(it: Played) -> None:
        await it.engine.reconcile(KEY)
        it.log.clear()
        it.engine.context.outcomes.clear()
        decide = it.engine.reconcilers["TrainingProfile"].decide

        def losing(obj: Manifest, observed: Observed, now: datetime) -> Decision:
            it.guard.held = False
            return decide(obj, observed, now)

        object.__setattr__(it.engine.reconcilers["TrainingProfile"], "decide", losing)
        with pytest.raises(KubeError, match="not ours"):
            await it.engine.reconcile(KEY)
        assert it.log == []

    played(script)


def test_an_engine_without_a_store_says_so() -> None:
    async def script(it: Played) -> None:
        context = Context(kube=it.engine.context.kube, facts=Facts({}, clock.seconds), platform=PLATFORM)
        assert await context.effects.carry_out(DEED) == Answer(None, names.INTERNAL, "nobody carries out deed")

    played(script)
