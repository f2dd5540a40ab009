"""Answers of the world outside that are late, missing or wrong: stale, another's, cut off, of no known shape."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from modelyard.api.progress import TrainerStatus
from modelyard.engine.effects import StoreEffects
from modelyard.engine.endpoint.callers import Caller
from modelyard.engine.endpoint.progress_store import ProgressStore
from modelyard.engine.facts import FactFunction
from modelyard.engine.facts.store import StoreFacts
from modelyard.storage.errors import Missing, Unavailable
from modelyard.storage.store import Entry, Store
from tests.simulation.client import Faults
from tests.simulation.fake_store import BUCKET, FakeStore
from tests.simulation.fault_points import FaultPoints
from tests.simulation.story import Story

NUMBERS = ("current_step", "total_steps", "current_epoch", "loss")
WRONG_BYTES = ("missing", "stale", "another", "cut", "shapeless")
"""How a read of the store can be wrong."""
WRONG_SHAPES: tuple[Any, ...] = (None, {}, {"version": None}, {"version": 7.5, "prediction": float("nan")})
WRONG_POSTS = ("missing", "stale", "another", "shapeless")
ABSURD = [
    TrainerStatus.model_validate({"metrics": [{"name": name, "value": value} for name in NUMBERS]})
    for value in ("-1e300", "1e300", "-1", "0")
]
SHAPELESS = (b"[]", b"null", b'{"loss": NaN}', b"\xff\xfe", b'{"run": {"x": 1}}', b"")


class WrongReads(Store):
    """The store as one question sees it: its first read may be wrong; writes are as they are."""

    def __init__(self, store: FakeStore, fault_points: FaultPoints, story: Story) -> None:
        self._store, self._fault_points, self._story = store, fault_points, story
        self.misread: set[str] = set()
        """Keys and prefixes that were ever read wrongly."""
        self._way = ""

    def ask_wrongly(self, way: str) -> None:
        """The next read is wrong in this way (empty: right)."""
        self._way = way

    def get(self, bucket: str, key: str) -> bytes:
        way = self._take(key)
        if way == "missing":
            raise Missing(f"no s3://{bucket}/{key}")
        data = self._store.get(bucket, key)
        rng = self._fault_points.rng("wrong", way, key)
        if way == "stale":
            return self._store.before(bucket, key)
        if way == "another":
            return self._store.get(bucket, rng.choice(self._store.keys_like(bucket, key)))
        if way == "cut":
            return data[: rng.randrange(len(data) + 1)]
        return rng.choice(SHAPELESS) if way == "shapeless" else data

    def list(self, bucket: str, prefix: str, most: int | None = None) -> list[Entry]:
        way, entries = self._take(prefix), self._store.list(bucket, prefix, most)
        if way == "stale":
            return [entry for entry in entries if not self._store.is_young(bucket, entry.key)]
        if way == "missing":
            return []
        return entries[:-1] if way in ("cut", "another") else entries

    def stat(self, bucket: str, key: str) -> Entry | None:
        return None if self._take(key) in ("missing", "stale") else self._store.stat(bucket, key)

    def put(self, bucket: str, key: str, data: bytes, *, if_absent: bool = False) -> str:
        return self._store.put(bucket, key, data, if_absent=if_absent)

    def delete(self, bucket: str, keys: Any) -> None:
        self._store.delete(bucket, keys)

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        return self._store.delete_prefix(bucket, prefix)

    def abort_uploads(self, bucket: str, prefix: str, wanted: Any = None) -> int:
        return self._store.abort_uploads(bucket, prefix, wanted)

    def _take(self, where: str) -> str:
        way, self._way = self._way, ""
        if way:
            self._story.tell("store: %s is read wrongly (%s)", where, way)
            self.misread.add(where)
        return way


class Questions:
    """Every question of one operator, with all that can happen to an answer.

    The store is never wrong twice in a row about one question: who ends something on its word asks once more.
    """

    def __init__(self, name: str, reads: WrongReads, faults: Faults, fault_points: FaultPoints, story: Story) -> None:
        self._name, self._reads, self._faults, self._fault_points, self._story = (
            name,
            reads,
            faults,
            fault_points,
            story,
        )
        self._rng = fault_points.rng("facts", name)
        self._wrong_about: set[str] = set()
        self.on_effect: Callable[[str, Mapping[str, str]], None] = lambda name, args: None
        """Told of every effect before it begins."""

    def effects(self) -> dict[str, FactFunction]:
        """Name of the effect -> function: late, in vain, or done without an answer."""
        functions = StoreEffects(self._reads, BUCKET).functions
        return {name: self._told(name, self._of_store(name, function)) for name, function in functions.items()}

    def facts(self, prediction: FactFunction, **others: FactFunction) -> dict[str, FactFunction]:
        """Name of the fact -> function: all that StoreFacts knows, the prediction, and others that may be late."""
        functions = StoreFacts(self._reads, BUCKET).functions
        found = {name: self._of_store(name, function) for name, function in functions.items()}
        late = {name: self._late(name, function) for name, function in others.items()}
        return {**found, "prediction": self._of_server(prediction), **late}

    def post(self, progress: ProgressStore, caller: Caller, status: TrainerStatus) -> None:
        """What a pod posts: lost, told twice, of another run's pod, or absurd."""
        way = self._way("progress", WRONG_POSTS)
        if way == "another":
            caller = replace(caller, run="0" * len(caller.run), pod_uid="another")
        if way == "shapeless":
            status = self._rng.choice(ABSURD)
        if way != "missing":
            progress.post(caller, status)
        if way == "stale":
            asyncio.get_running_loop().call_later(self._rng.uniform(1.0, 20.0), progress.post, caller, status)

    def _told(self, name: str, deed: FactFunction) -> FactFunction:
        async def do(args: Mapping[str, str]) -> Any:
            self.on_effect(name, args)
            return await deed(args)

        return do

    def _of_store(self, name: str, question: Callable[[Mapping[str, str]], Any]) -> FactFunction:
        async def ask(args: Mapping[str, str]) -> Any:
            await self._wait(name)
            if self._faults.store_down:
                raise Unavailable("the store is down")
            if self._fault_points.strikes(self._faults.store_flaky / 2, "unasked", self._name, name):
                raise Unavailable("the store gave no answer")
            self._reads.ask_wrongly(self._way_of_store(name, f"{name} {sorted(args.items())}"))
            try:
                answer = question(args)
            finally:
                self._reads.ask_wrongly("")
            await self._lose(name, self._faults.store_flaky / 2)
            return answer

        return ask

    def _of_server(self, prediction: Callable[[Mapping[str, str]], Awaitable[Any]]) -> FactFunction:
        async def ask(args: Mapping[str, str]) -> Any:
            await self._wait("prediction")
            answer = await prediction(args)
            if self._way("prediction", ("shapeless",)):
                return self._rng.choice(WRONG_SHAPES)
            await self._lose("prediction", self._faults.server_silent)
            return answer

        return ask

    def _late(self, name: str, known: FactFunction) -> FactFunction:
        async def ask(args: Mapping[str, str]) -> Any:
            await self._wait(name)
            return await known(args)

        return ask

    async def _wait(self, name: str) -> None:
        late = self._fault_points.strikes(self._faults.late_fact, "late-fact", name, self._name)
        await asyncio.sleep(self._rng.uniform(5.0, 40.0) if late else self._rng.uniform(0.002, 0.05))

    async def _lose(self, name: str, probability: float) -> None:
        if self._fault_points.strikes(probability, "unanswered-fact", name, self._name):
            self._story.tell("%s: %s asked, but no answer", self._name, name)
            await asyncio.sleep(self._rng.uniform(1.0, 10.0))
            raise Unavailable("no answer in time")

    def _way_of_store(self, name: str, about: str) -> str:
        way = self._way(name, WRONG_BYTES)
        if about in self._wrong_about:
            self._wrong_about.remove(about)
            return ""
        if way:
            self._wrong_about.add(about)
        return way

    def _way(self, name: str, ways: tuple[str, ...]) -> str:
        way = self._rng.choice(ways)
        return way if self._fault_points.strikes(self._faults.wrong_fact, "wrong-fact", name, way, self._name) else ""
