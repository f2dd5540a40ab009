"""One object of ours on the simulation's API server, reconciled by the real engine whenever the test says so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from modelyard import names
from modelyard.decision import Answer, Child, Decision, Effect, Event, Fact, Manifest, Observed, Platform, Reconciler
from modelyard.engine.apply import RefusedError
from modelyard.engine.cache import Key, key_of, owner_uids
from modelyard.engine.context import Context
from modelyard.engine.kube import KubeError
from modelyard.engine.loop import Engine
from modelyard.engine.observe import observe
from tests.builders import ENDPOINT, Built, Job, Pod, a_pod_of
from tests.simulation import clock
from tests.simulation.fake_api import FakeApi, Write, shown

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
PLATFORM = Platform(
    trainer_image="modelyard/trainer:1",
    store_endpoint=ENDPOINT,
    store_bucket="modelyard",
    endpoint="https://modelyard.ops.svc",
    endpoint_ca="PEM",
)
OPERATOR = "operator"
Name = tuple[str, str]
"""Kind and name."""


class Harness:
    """Holds the API server, the pods, and what facts answer; time stands still but for the test."""

    def __init__(
        self,
        reconciler: Reconciler,
        obj: Manifest,
        *others: Manifest,
        platform: Platform = PLATFORM,
        now: datetime = START,
    ) -> None:
        self.reconciler, self.platform, self.now = reconciler, platform, now
        self.api = FakeApi(admits=False)
        self.api.auditors.append(self._note)
        self.loop = clock.VirtualLoop()
        self.key = key_of(obj)
        self.pods: list[Any] = []
        self.facts: dict[str, Any] = {}
        """Answer, value, or function of the arguments, by a fact's name."""
        self.deeds: dict[str, Any] = {}
        """What comes of an effect, in the same way; True where nothing is said."""
        self.effects: list[Effect] = []
        """All that were carried out, in order."""
        self.refused: dict[Name, str] = {}
        """Children that the API server refuses, and its words."""
        self.lost: set[Name] = set()
        """Children of which no write arrives."""
        self.asked: list[Fact] = []
        self.writes = self.deaths = self.births = self.changes = 0
        """Writes of the status; children deleted, made and changed."""
        self.events: list[str] = []
        self.last = Decision()
        self._refused: dict[Key, dict[Name, str]] = {}
        self._unanswered: dict[Key, set[Key]] = {}
        self._outcomes: dict[Key, dict[Effect, Answer]] = {}
        self.put(obj, *others)

    # What the test does.

    def put(self, *objects: Manifest) -> None:
        """Objects appear or change, as they are."""
        for obj in objects:
            self.api.put(json.loads(json.dumps(obj)))

    def remove(self, kind: str, *named: str) -> None:
        """Objects are gone; all of a kind if none is named."""
        for obj in self.api.all(kind):
            if not named or obj["metadata"]["name"] in named:
                self.api.drop(obj)

    def wait(self, seconds: float) -> None:
        """Time passes, and the engine looks again."""
        self.now += timedelta(seconds=seconds)
        self.settle()

    def edit(self, wanted: Manifest | None = None, **fields: Any) -> None:
        """The user edits fields of the spec, or applies another one."""
        meta = {**self.obj["metadata"], "generation": self.obj["metadata"]["generation"] + 1}
        spec = {**self.obj["spec"], **fields} if wanted is None else wanted["spec"]
        self.obj = {**self.obj, "spec": spec, "metadata": meta}

    def job(self, change: Callable[[Job], Built] | None = None) -> Job:
        """The only Job; changed first if asked."""
        (key,) = [key for key in self.children if key[0] == "Job"]
        if change is not None:
            self.put(change(Job(self.children[key])))
        return Job(self.children[key])

    def pod(self, change: Callable[[Pod], Pod], number: int = 1) -> Pod:
        """The Job's n-th pod, in a state; it replaces the one of that number."""
        made = change(a_pod_of(self.job(), number))
        self.pods = [p for p in self.pods if p["metadata"]["name"] != made["metadata"]["name"]] + [made]
        return made

    # What the engine does.

    def go(self, times: int = 1) -> Decision:
        """Reconcile, a second each."""
        for _ in range(times):
            self.reconcile()
            self.now += timedelta(seconds=1)
        return self.last

    def settle(self) -> Decision:
        """Reconcile until nothing changes; twenty times are too many."""
        for _ in range(20):
            before = self._state()
            self.go()
            if before == self._state():
                return self.last
        raise AssertionError(f"does not settle: {self.ready}")

    def reconcile(self) -> Decision:
        """Once; what would be tried again by the queue is left for the next time."""
        self.last = Decision()
        engine = _Engine([replace(self.reconciler, decide=self._decide)], self.context(), self.events)
        try:
            self._run(engine.reconcile(self.key))
        except RefusedError:
            pass
        except KubeError as fault:
            assert fault.status == 0, fault
        return self.last

    def look(self) -> Decision:
        """What would be decided now, without doing it."""
        return self.reconciler.decide(self.obj, self.observe(), self.now)

    def observe(self) -> Observed:
        """What the reconciler would see now."""
        observed: Observed = self._run(observe(self.reconciler, self.key, self.obj, self.context()))[0]
        return observed

    def context(self) -> Context:
        """A cache that has everything as it is now."""
        kept: Any = {"refused": self._refused, "unanswered": self._unanswered, "outcomes": self._outcomes}
        made = Context(self, self, self.platform, lambda: self.now, effects=self, **kept)
        # What KServe makes of a child is known by its owner, so it comes after it.
        for obj in (self.obj, *sorted(self.api.everything(), key=lambda obj: obj["kind"] == "Deployment"), *self.pods):
            made.cache.put(shown(obj))
        return made

    # What the test looks at.

    @property
    def obj(self) -> Manifest:
        """The object itself."""
        found = self.api.look(*self.key)
        assert found is not None, f"{self.key} is gone"
        return found

    @obj.setter
    def obj(self, obj: Manifest) -> None:
        self.key = key_of(obj)
        self.put(obj)

    @property
    def children(self) -> dict[Name, Manifest]:
        """By kind and name: what the object owns, as it lies there."""
        uid = self.obj["metadata"]["uid"]
        return {_name(obj): obj for obj in self.api.everything() if uid in owner_uids(obj)}

    @property
    def others(self) -> dict[Name, Manifest]:
        """By kind and name: all but the object and what it owns, as it lies there."""
        mine = {*self.children, (self.key[0], self.key[2])}
        return {name: obj for obj in self.api.everything() if (name := _name(obj)) not in mine}

    @property
    def status(self) -> dict[str, Any]:
        """The status as written."""
        return dict(self.obj.get("status", {}))

    @property
    def ready(self) -> dict[str, Any]:
        """The Ready condition."""
        return next(c for c in self.status["conditions"] if c["type"] == "Ready")

    @property
    def reason(self) -> str:
        """Reason of Ready."""
        return str(self.ready["reason"])

    @property
    def message(self) -> str:
        """Message of Ready."""
        return str(self.ready["message"])

    @property
    def stalled(self) -> bool:
        """Whether a human is asked for."""
        return any(c["type"] == "Stalled" for c in self.status["conditions"])

    def wanted(self, kind: str) -> Child | None:
        """The child of a kind in the last decision."""
        return next((child for child in self.last.children if child.key[0] == kind), None)

    def named(self, kind: str) -> list[str]:
        """Names of the children of a kind."""
        return sorted(name for k, name in self.children if k == kind)

    # KubeApi, FactSource and EffectSource, as the engine knows them.

    async def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        return self.api.get(kind, namespace, name)

    async def create(self, manifest: Manifest) -> Manifest:
        self._refuse(manifest)
        return self.api.create(manifest, OPERATOR)

    async def apply(self, manifest: Manifest) -> Manifest:
        self._refuse(manifest)
        return self.api.apply(manifest, OPERATOR)

    async def patch(self, kind: str, namespace: str, name: str, body: Manifest, subresource: str = "") -> Manifest:
        return self.api.patch(kind, namespace, name, body, subresource, OPERATOR)

    async def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool:
        self.api.delete(kind, namespace, name, uid, OPERATOR)
        return self.api.look(kind, namespace, name) is None

    async def ask(self, fact: Fact) -> Answer:
        self.asked.append(fact)
        return _answer(self.facts.get(fact.name), fact)

    async def carry_out(self, effect: Effect) -> Answer:
        self.effects.append(effect)
        return _answer(self.deeds.get(effect.name, True), effect)

    # Inside.

    def _state(self) -> Any:
        return copy.deepcopy((self.obj, sorted(self.children), self.writes, self._refused, self._outcomes))

    def _run(self, work: Any) -> Any:
        self.loop._now = (self.now - clock.BEGIN).total_seconds()
        return self.loop.run_until_complete(work)

    def _decide(self, obj: Manifest, observed: Observed, now: datetime) -> Decision:
        self.last = self.reconciler.decide(obj, observed, now)
        return self.last

    def _refuse(self, manifest: Manifest) -> None:
        if (name := _name(manifest)) in self.lost:
            raise KubeError(0, "no answer", "NoAnswer")
        if text := self.refused.get(name):
            silent = names.WEBHOOK_SILENT in text
            raise KubeError(HTTPStatus.INTERNAL_SERVER_ERROR if silent else HTTPStatus.FORBIDDEN, text)

    def _note(self, write: Write) -> None:
        if write.who != OPERATOR:
            return
        self.writes += write.verb == "status"
        self.births += write.before is None
        self.deaths += write.after is None
        self.changes += write.key != self.key and None not in (write.before, write.after)
        if write.after is None and write.before is not None:
            uid = write.before["metadata"]["uid"]
            self.pods = [pod for pod in self.pods if uid not in owner_uids(pod)]


class _Engine(Engine):
    """Events are noted down, not posted."""

    def __init__(self, reconcilers: list[Reconciler], context: Context, events: list[str]) -> None:
        super().__init__(reconcilers, context)
        self._events = events

    def _post(self, obj: Manifest, events: Any) -> None:
        found: tuple[Event, ...] = tuple(events)
        self._events += [event.reason for event in found]


def _answer(value: Any, asked: Fact | Effect) -> Answer:
    if callable(value):
        value = value(dict(asked.args))
    return value if isinstance(value, Answer) else Answer(value=value)


def _name(obj: Manifest) -> Name:
    return obj["kind"], obj["metadata"]["name"]
