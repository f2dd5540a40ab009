"""Facts: one small function per question to the world outside, remembered for as long as the asker allows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelyard import names
from modelyard.decision import Answer, Fact
from modelyard.engine import metrics
from modelyard.storage.errors import StoreError

log = logging.getLogger(__name__)
FactFunction = Callable[[Mapping[str, str]], Awaitable[Any]]
BRIEF_AGE = 2.0
LIMIT = 1000
"""Answers kept at most, a few KB each; the oldest go first."""
Asked = tuple[str, tuple[tuple[str, str], ...]]


class FactError(Exception):
    """A question could not be answered: a reason of names.py and a message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True, slots=True)
class Known:
    """An answer, when it was given, and for how long (s) its asker may use it."""

    at: float
    max_age: float
    answer: Answer

    @property
    def end(self) -> float:
        """When it is of no use any more."""
        return self.at + self.max_age


class Facts:
    """Asks, merges equal questions that are under way, and remembers answers."""

    def __init__(self, functions: Mapping[str, FactFunction], clock: Callable[[], float] = time.monotonic) -> None:
        self._functions, self._clock = functions, clock
        self._known: dict[Asked, Known] = {}
        self._under_way: dict[Asked, asyncio.Future[Answer]] = {}

    async def ask(self, fact: Fact) -> Answer:
        """An answer at most `max_age` seconds old (a failed one, or that there is nothing yet, at most two)."""
        asked = (fact.name, fact.args)
        known = self._known.get(asked)
        if known is not None:
            answer = known.answer
            brief = answer.failed or answer.value is None
            if self._clock() - known.at <= (min(fact.max_age, BRIEF_AGE) if brief else fact.max_age):
                return answer
        if asked not in self._under_way:
            self._under_way[asked] = asyncio.ensure_future(self._find_out(asked, fact.max_age))
        return await asyncio.shield(self._under_way[asked])

    async def _find_out(self, asked: Asked, max_age: float) -> Answer:
        name, args = asked
        try:
            with metrics.timed(metrics.FACT_SECONDS.labels(name)):
                answer = await answer_of(self._functions[name], dict(args))
            metrics.FACTS.labels(name, answer.reason or "ok").inc()
        finally:
            self._under_way.pop(asked, None)
        self._remember(asked, Known(self._clock(), max_age, answer))
        return answer

    def _remember(self, asked: Asked, known: Known) -> None:
        """In the order of asking; what is of no use any more goes, and what is beyond LIMIT."""
        self._known.pop(asked, None)
        self._known[asked] = known
        while self._known[oldest := next(iter(self._known))].end < known.at or len(self._known) > LIMIT:
            del self._known[oldest]


async def answer_of(function: FactFunction, args: Mapping[str, str]) -> Answer:
    """What a function gives, or the fault that it met."""
    try:
        return Answer(value=await function(args))
    except (StoreError, FactError) as fault:
        return Answer(reason=fault.reason, message=fault.message)
    except Exception as fault:
        log.exception("fact failed")
        return Answer(reason=names.INTERNAL, message=f"{type(fault).__name__}: {fault}")
