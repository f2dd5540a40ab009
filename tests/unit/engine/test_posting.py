"""Events of objects never crowd out what the objects need."""

from __future__ import annotations

import asyncio
from typing import Any

from modelyard.decision import Answer, Decision, Event, Fact, Manifest, Platform, Reconciler
from modelyard.engine import loop
from modelyard.engine.context import Context
from modelyard.engine.loop import Engine
from tests.simulation import clock


class SlowEvents:
    """An API whose events take a while; it notes how many are under way at once."""

    def __init__(self) -> None:
        self.now = self.most = self.posted = 0

    async def patch(self, kind: str, namespace: str, name: str, body: Manifest, subresource: str = "") -> Manifest:
        meta = {"name": name, "namespace": namespace, "uid": name, "resourceVersion": "2"}
        return {**body, "apiVersion": "modelyard.dev/v1alpha1", "kind": kind, "metadata": meta}

    async def create(self, manifest: Manifest) -> Manifest:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        self.posted += 1
        return manifest

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        return None

    async def apply(self, manifest: Manifest) -> Manifest:
        return manifest

    async def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> None:
        return None


class NoFacts:
    async def ask(self, fact: Fact) -> Answer:
        return Answer()


def decide(*_: Any) -> Decision:
    return Decision(status={"phase": "Pending"}, events=(Event("Pending", "made"),))


def story(api: SlowEvents) -> Engine:
    reconciler = Reconciler("FineTuneJob", "finetunejobs", namespaced=True, needs=lambda *_: (), decide=decide)
    return Engine([reconciler], Context(kube=api, facts=NoFacts(), platform=Platform()))


async def passes(engine: Engine, number: int) -> None:
    for i in range(number):
        meta = {"name": f"job-{i}", "namespace": "team", "uid": f"job-{i}", "resourceVersion": "1"}
        engine.context.cache.put({"apiVersion": "modelyard.dev/v1alpha1", "kind": "FineTuneJob", "metadata": meta})
        await engine.reconcile(("FineTuneJob", "team", f"job-{i}"))


async def test_a_burst_posts_few_events_at_once_and_all_in_the_end() -> None:
    engine = story(api := SlowEvents())
    await passes(engine, 20)
    engine.queue.caught_up.set()
    await engine.close()
    assert api.posted == 20
    assert api.most <= loop.POSTERS


def test_events_let_waiting_passes_go_first_but_not_for_ever() -> None:
    async def play() -> list[int]:
        engine, posted = story(api := SlowEvents()), []
        await passes(engine, 3)
        for pause in (0.9 * loop.STORY_LAG, 0.2 * loop.STORY_LAG):
            await asyncio.sleep(pause)
            posted.append(api.posted)
        return posted

    assert clock.run(play()) == [0, 3]
