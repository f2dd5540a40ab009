"""Paging: what a listing costs in memory is one page, whatever its objects weigh."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

from modelyard.engine.slim import BARE_KINDS

PAGE = 100
"""Objects of one answer to a listing."""
HEAVY = 1 << 20
"""Bytes of one answer to a listing; parsed it may take twenty times as much. One object alone may weigh more."""
STEADY = 8
"""Pages that fit before larger ones are tried again."""
Page = TypeVar("Page")


class TooHeavyError(Exception):
    """An answer is larger than was allowed; what came of it is dropped."""


class Pages:
    """Asks for fewer objects at once where they are heavy, and for more again where they are light."""

    def __init__(self, limit: int = PAGE) -> None:
        self._limit = self._most = limit
        self._fitted = 0

    async def read(self, ask: Callable[[int, int | None], Awaitable[Page]]) -> Page:
        """The page that `ask` gives for a number of objects and of bytes (None: any); it raises TooHeavyError."""
        while True:
            try:
                page = await ask(self._limit, HEAVY if self._limit > 1 else None)
            except TooHeavyError:
                self._limit, self._fitted = max(1, self._limit // 4), 0
                continue
            self._fitted += 1
            if self._fitted % STEADY == 0:
                self._limit = min(self._most, self._limit * 2)
            return page


async def read_at_most(response: aiohttp.ClientResponse, most: int | None) -> bytearray:
    """The body, decompressed; TooHeavyError if it has more than `most` bytes."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if most is not None and len(data) > most:
            response.close()
            raise TooHeavyError
    return data


def accept(kind: str, what: str = "") -> str:
    """The header Accept for a kind; `what` is List for a listing. Of some kinds only metadata is wanted."""
    if kind not in BARE_KINDS:
        return "application/json"
    return f"application/json;as=PartialObjectMetadata{what};g=meta.k8s.io;v=v1"
