"""A laboratory for one object: passes as the engine makes them, on a harness that the test changes by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.decision import (
    Answer,
    Child,
    Decision,
    Fact,
    Manifest,
    Need,
    Observed,
    Platform,
    Reconciler,
    Ref,
    Select,
)
from modelyard.engine.cache import matches
from tests.builders import ENDPOINT, Built, Job, Pod, a_pod_of

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
PLATFORM = Platform(
    trainer_image="modelyard/trainer:1",
    store_endpoint=ENDPOINT,
    store_bucket="modelyard",
    endpoint="https://modelyard.ops.svc",
    endpoint_ca="PEM",
)
ROUNDS = 4


class Harness:
    """Holds the object, its children, pods, other objects and what facts answer."""

    def __init__(self, reconciler: Reconciler, obj: Built, *others: Built) -> None:
        self.reconciler, self.obj, self.now = reconciler, obj, START
        self.others = {self._key(other): other for other in others}
        self.children: dict[tuple[str, str], Manifest] = {}
        self.pods: list[Pod] = []
        self.facts: dict[str, Any] = {"swept": True}
        self.refused: dict[tuple[str, str], str] = {}
        self.platform = PLATFORM
        self.asked: list[Fact] = []
        self.writes = self.deaths = self.births = 0
        self.events: list[str] = []
        self.last = Decision()

    # What the test does.

    def put(self, *objects: Built) -> None:
        """Another object appears or changes."""
        self.others |= {self._key(obj): obj for obj in objects}

    def remove(self, kind: str, name: str) -> None:
        """Someone deletes an object."""
        self.children.pop((kind, name), None)
        self.others.pop((kind, name), None)

    def wait(self, seconds: float) -> None:
        """Time passes, and the engine looks again."""
        self.now += timedelta(seconds=seconds)
        self.settle()

    def edit(self, **fields: Any) -> None:
        """The user edits the spec."""
        meta = {**self.obj["metadata"], "generation": self.obj["metadata"]["generation"] + 1}
        self.obj = Built({**self.obj, "spec": {**self.obj["spec"], **fields}, "metadata": meta})

    def job(self, change: Callable[[Job], Built] | None = None) -> Job:
        """The only Job; changed first if asked."""
        (key,) = [key for key in self.children if key[0] == "Job"]
        if change is not None:
            self.children[key] = change(Job(self.children[key]))
        return Job(self.children[key])

    def pod(self, change: Callable[[Pod], Pod], number: int = 1) -> Pod:
        """The Job's n-th pod, in a state; it replaces the one of that number."""
        made = change(a_pod_of(self.job(), number))
        self.pods = [p for p in self.pods if p["metadata"]["name"] != made["metadata"]["name"]] + [made]
        return made

    # What the engine does.

    def go(self, passes: int = 1) -> Decision:
        """Passes: observe, decide, apply."""
        for _ in range(passes):
            observed = self.observe()
            self.last = self.reconciler.decide(self.obj, observed, self.now)
            self._apply(self.last)
            self.now += timedelta(seconds=1)
        return self.last

    def settle(self) -> Decision:
        """Passes until nothing changes; twenty are too many."""
        for _ in range(20):
            before = (copy.deepcopy(self.obj), sorted(self.children), self.writes)
            self.go()
            if before == (self.obj, sorted(self.children), self.writes):
                return self.last
        raise AssertionError(f"does not settle: {self.ready}")

    def observe(self) -> Observed:
        """Ask until nothing is added."""
        observed = Observed(
            children=tuple(self.children.values()),
            pods=tuple(self.pods),
            refused=dict(self.refused),
            platform=self.platform,
        )
        known: set[Need] = set()
        for _ in range(ROUNDS):
            new = set(self.reconciler.needs(self.obj, observed)) - known
            known |= new
            observed = self._answer(observed, new)
        return observed

    # What the test looks at.

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

    # Inside.

    @staticmethod
    def _key(obj: Manifest) -> tuple[str, str]:
        return obj["kind"], obj["metadata"]["name"]

    def _answer(self, observed: Observed, needs: set[Need]) -> Observed:
        facts = [need for need in needs if isinstance(need, Fact)]
        self.asked += facts
        refs = [need for need in needs if isinstance(need, Ref)]
        objects = {
            ref: self.children.get((ref.kind, ref.name)) or self.others.get((ref.kind, ref.name)) for ref in refs
        }
        answers = {fact: self._ask(fact) for fact in facts}
        lists = {need: self._select(need) for need in needs if isinstance(need, Select)}
        return replace(
            observed,
            objects={**observed.objects, **objects},
            lists={**observed.lists, **lists},
            facts={**observed.facts, **answers},
        )

    def _select(self, need: Select) -> tuple[Manifest, ...]:
        seen = (*self.others.values(), *self.pods)
        return tuple(obj for obj in seen if obj["kind"] == need.kind and matches(obj, need))

    def _ask(self, fact: Fact) -> Answer:
        value = self.facts.get(fact.name)
        if callable(value):
            value = value(dict(fact.args))
        return value if isinstance(value, Answer) else Answer(value=value)

    def _apply(self, decision: Decision) -> None:
        if decision.status is not None and decision.status != self.obj.get("status"):
            self.obj = Built({**self.obj, "status": copy.deepcopy(decision.status)})
            self.writes += 1
            self.events += [event.reason for event in decision.events]
        wanted = {child.key for child in decision.children}
        for key in [key for key in self.children if key not in wanted]:
            self._delete(key)
        for child in decision.children:
            self._ensure(child)

    def _delete(self, key: tuple[str, str]) -> None:
        gone = self.children.pop(key)
        self.deaths += 1
        owner = gone["metadata"]["uid"]
        self.pods = [p for p in self.pods if p["metadata"]["ownerReferences"][0]["uid"] != owner]

    def _ensure(self, child: Child) -> None:
        live = self.children.get(child.key) or self.others.get(child.key)
        if live is None and child.policy != "keep" and child.key not in self.refused:
            live = self._make(child)
        if live is not None and child.policy == "apply":
            live["spec"] = copy.deepcopy(child.manifest["spec"])
        if live is not None and child.suspend is not None:
            live["spec"]["suspend"] = child.suspend

    def _make(self, child: Child) -> Manifest:
        self.births += 1
        made = Built(copy.deepcopy(child.manifest))
        meta = {**made["metadata"], "uid": f"uid-{child.key[1]}-{self.births}", "namespace": "team-a", "generation": 1}
        made["metadata"] = meta
        if not child.owned:
            self.others[child.key] = made
            return made
        self.children[child.key] = made.owned_by(self.obj)
        return self.children[child.key]
