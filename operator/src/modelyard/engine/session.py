"""The HTTP session that kopf watches with: listings in pages of bounded weight, and of some kinds only metadata."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Self

import aiohttp
import kopf
from yarl import URL

from modelyard.engine.kube import RESOURCES
from modelyard.engine.paging import Pages, accept, read_at_most
from modelyard.engine.slim import BARE_KINDS

BARE = {f"{RESOURCES[kind].root}/{RESOURCES[kind].plural}": kind for kind in BARE_KINDS}


class Listed:
    """One page as kopf reads it."""

    status = HTTPStatus.OK

    def __init__(self, body: bytearray) -> None:
        self._body = body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def json(self) -> Any:
        """The page, parsed; an empty list of metadata comes as null."""
        page = json.loads(self._body)
        return {**page, "items": page.get("items") or []}


class Session:
    """An aiohttp session, as far as kopf uses it; made in the loop in which it is used."""

    def __init__(self, info: kopf.ConnectionInfo, on_refusal: Callable[[], None] = lambda: None) -> None:
        self._on_refusal = on_refusal
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            proxy=info.proxy_url,
            trust_env=info.trust_env,
        )
        self._pages: dict[str, Pages] = {}

    @property
    def headers(self) -> Any:
        """Headers of every request."""
        return self._session.headers

    @property
    def closed(self) -> bool:
        """True once it was closed."""
        return self._session.closed

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def request(self, *, url: str, headers: dict[str, str] | None = None, **options: Any) -> Any:
        """One request; the answer is read by whoever asked, but for a listing."""
        place, kind = URL(url), _kind(URL(url).path)
        if "limit" not in place.query:
            shown = {**(headers or {}), "Accept": accept(kind)}
            response = await self._session.request(url=place, headers=shown, **options)
            if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                self._on_refusal()
            return response
        shown = {**(headers or {}), "Accept": accept(kind, "List")}
        pages = self._pages.setdefault(place.path, Pages(int(place.query["limit"])))

        async def ask(limit: int, most: int | None) -> Listed | aiohttp.ClientResponse:
            sized = place.update_query(limit=limit)
            response = await self._session.request(url=sized, headers=shown, **options)
            if response.status != HTTPStatus.OK:
                return response
            async with response:
                return Listed(await read_at_most(response, most))

        return await pages.read(ask)


def _kind(path: str) -> str:
    return next((kind for end, kind in BARE.items() if path.endswith(end)), "")
