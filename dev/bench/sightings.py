"""A watch of its own on one kind: when was which object first seen?"""

from __future__ import annotations

import asyncio
import json
import time
from types import TracebackType
from typing import Self

import aiohttp

from modelyard.engine.kube import path_of

PATIENCE = 60.0
SLIM = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class Sightings:
    """Notes the moment of each new name; the API server sends metadata only, so that watching costs little."""

    def __init__(self, session: aiohttp.ClientSession, host: str, kind: str, namespace: str) -> None:
        self._session, self._url = session, host + path_of(kind, namespace)
        self.seen: dict[str, float] = {}
        self.reopened = 0
        self._waiting: dict[str, asyncio.Event] = {}
        self._open = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        await asyncio.wait_for(self._open.wait(), 10)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def first(self, prefix: str) -> float:
        """When an object whose name begins so was seen, waiting for it."""
        event = self._waiting.setdefault(prefix, asyncio.Event())
        if (moment := self._found(prefix)) is None:
            await asyncio.wait_for(event.wait(), PATIENCE)
            moment = self._found(prefix)
        if moment is None:
            raise RuntimeError(f"{prefix} was announced, but not seen")
        return moment

    async def count(self, number: int) -> float:
        """When the last of `number` objects was seen, waiting for it."""
        end = time.monotonic() + 5 * PATIENCE
        while len(self.seen) < number:
            self._check()
            if time.monotonic() > end:
                raise TimeoutError(f"seen {len(self.seen)} of {number}, watch opened again {self.reopened} times")
            await asyncio.sleep(0.01)
        return max(self.seen.values())

    def _check(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()

    def _found(self, prefix: str) -> float | None:
        return next((moment for name, moment in self.seen.items() if name.startswith(prefix)), None)

    async def _watch(self) -> None:
        """The API server may end a stream that is read too slowly: another one begins with what there is."""
        while True:
            await self._stream()
            self.reopened += 1

    async def _stream(self) -> None:
        query = {"watch": "true", "timeoutSeconds": "600", "resourceVersion": "0"}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(self._url, params=query, headers={"Accept": SLIM}, timeout=timeout) as stream:
            stream.raise_for_status()
            self._open.set()
            async for line in stream.content:
                self._note(json.loads(line)["object"]["metadata"]["name"], time.perf_counter())

    def _note(self, name: str, moment: float) -> None:
        if name in self.seen:
            return
        self.seen[name] = moment
        for prefix in [prefix for prefix in self._waiting if name.startswith(prefix)]:
            self._waiting.pop(prefix).set()
