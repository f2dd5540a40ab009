"""Facts: one small function per question to the world outside, remembered for as long as the asker allows."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from modelyard import names
from modelyard.decision import Answer, Fact
from modelyard.engine import metrics
from modelyard.storage.errors import StoreError

log = logging.getLogger(__name__)
FactFunction = Callable[[Mapping[str, str]], Awaitable[Any]]
BRIEF_AGE = 2.0
LIMIT = 5000
Asked = tuple[str, tuple[tuple[str, str], ...]]


class FactError(Exception):
    """A question could not be answered: a reason of names.py and a message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class Facts:
    """Asks, merges equal questions that are under way, and remembers answers."""

    def __init__(self, functions: Mapping[str, FactFunction], clock: Callable[[], float] = time.monotonic) -> None:
        self._functions, self._clock = functions, clock
        self._known: OrderedDict[Asked, tuple[float, Answer]] = OrderedDict()
        self._under_way: dict[Asked, asyncio.Future[Answer]] = {}

    async def ask(self, fact: Fact) -> Answer:
        """An answer at most `max_age` seconds old (a failed one, or that there is nothing yet, at most two)."""
        asked = (fact.name, fact.args)
        known = self._known.get(asked)
        if known is not None:
            at, answer = known
            brief = answer.failed or answer.value is None
            if self._clock() - at <= (min(fact.max_age, BRIEF_AGE) if brief else fact.max_age):
                return answer
        if asked not in self._under_way:
            self._under_way[asked] = asyncio.ensure_future(self._find_out(asked))
        return await asyncio.shield(self._under_way[asked])

    async def _find_out(self, asked: Asked) -> Answer:
        name, args = asked
        try:
            with metrics.timed(metrics.FACT_SECONDS.labels(name)):
                answer = await _answer(self._functions[name], dict(args))
            metrics.FACTS.labels(name, answer.reason or "ok").inc()
        finally:
            self._under_way.pop(asked, None)
        self._known[asked] = (self._clock(), answer)
        self._known.move_to_end(asked)
        while len(self._known) > LIMIT:
            self._known.popitem(last=False)
        return answer


async def _answer(function: FactFunction, args: Mapping[str, str]) -> Answer:
    try:
        return Answer(value=await function(args))
    except (StoreError, FactError) as fault:
        return Answer(reason=fault.reason, message=fault.message)
    except Exception as fault:
        log.exception("fact failed")
        return Answer(reason=names.INTERNAL, message=f"{type(fault).__name__}: {fault}")
