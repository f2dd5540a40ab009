"""A listing costs one page of memory, however heavy its objects are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import kopf
import pytest
from aiohttp import ClientResponseError, web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from dev.localcluster.children import free_port
from modelyard.engine.kube import Kube, WentBackError
from modelyard.engine.paging import HEAVY, Pages, TooHeavyError
from modelyard.engine.session import Session
from modelyard.engine.slim import BARE_KINDS

HEAVY_ONE = 200_000


class Server:
    """Lists Jobs of a given weight, and remembers what it was asked."""

    def __init__(self, weights: list[int]) -> None:
        self.weights = weights
        self.asked: list[int] = []
        self.accepted: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        limit, at = int(request.query["limit"]), int(request.query.get("continue", "0"))
        self.asked.append(limit)
        self.accepted.add(request.headers["Accept"])
        end = min(at + limit, len(self.weights))
        token = str(end) if end < len(self.weights) else ""
        page = {"items": [self._job(at + n, w) for n, w in enumerate(self.weights[at:end])] or None}
        return web.json_response({**page, "metadata": {"resourceVersion": "9", "continue": token}})

    def _job(self, number: int, weight: int) -> dict[str, Any]:
        meta = {"name": f"j{number}", "namespace": "team", "resourceVersion": "1"}
        return {"metadata": meta, "spec": {"suspend": True, "template": "x" * weight}}


@pytest.fixture
async def serve() -> AsyncIterator[Any]:
    runners: list[web.AppRunner] = []

    async def start(weights: list[int]) -> tuple[str, Server]:
        server, app, port = Server(weights), web.Application(), free_port()
        app.router.add_get("/{path:.*}", server.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        runners.append(runner)
        return f"http://127.0.0.1:{port}", server

    yield start
    for runner in runners:
        await runner.cleanup()


async def listed(url: str, kind: str = "Job") -> list[dict[str, Any]]:
    kube = Kube(ApiClient(Configuration(host=url)))
    try:
        return await kube.list(kind)
    finally:
        await kube.close()


@pytest.mark.parametrize("seen", [9, 10])
async def test_a_listing_older_than_what_was_seen(serve: Any, seen: int) -> None:
    url, _ = await serve([1] * 150)
    kube = Kube(ApiClient(Configuration(host=url)))
    kube.newest = {"Job": seen}.__getitem__
    try:
        if seen == 9:
            assert len(await kube.list("Job")) == 150
        else:
            with pytest.raises(WentBackError, match="Job: resource version 9 is listed, 10 was seen"):
                await kube.list("Job")
    finally:
        await kube.close()


async def test_heavy_objects_come_in_small_pages_and_slim(serve: Any) -> None:
    url, server = await serve([HEAVY_ONE] * 20)
    found = await listed(url)
    assert [obj["metadata"]["name"] for obj in found] == [f"j{number}" for number in range(20)]
    assert found[0]["spec"] == {"suspend": True} and found[0]["kind"] == "Job"
    assert server.asked[0] == 100 and min(server.asked) * HEAVY_ONE < HEAVY


async def test_one_object_may_be_heavier_than_a_page(serve: Any) -> None:
    url, server = await serve([10, 2 * HEAVY, 10])
    assert len(await listed(url)) == 3
    assert min(server.asked) == 1


async def test_light_objects_come_in_whole_pages(serve: Any) -> None:
    url, server = await serve([10] * 250)
    assert len(await listed(url)) == 250
    assert server.asked == [100] * 3


async def test_an_empty_list_comes_as_null(serve: Any) -> None:
    url, _ = await serve([])
    assert await listed(url) == []
    session = Session(kopf.ConnectionInfo(server=url))
    page = await session.request(method="get", url=f"{url}/api/v1/configmaps?limit=100", json=None)
    assert (await page.json())["items"] == []
    await session.close()


async def test_pages_grow_again_behind_the_heavy_ones(serve: Any) -> None:
    url, server = await serve([HEAVY_ONE] * 6 + [10] * 600)
    assert len(await listed(url)) == 606
    assert server.asked[-1] > min(server.asked)


@pytest.mark.parametrize("kind", BARE_KINDS)
async def test_of_some_kinds_only_metadata_is_asked_for(serve: Any, kind: str) -> None:
    url, server = await serve([1])
    assert (await listed(url, kind))[0]["kind"] == kind
    assert server.accepted == {"application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}


async def test_kopf_lists_in_such_pages_too(serve: Any) -> None:
    url, server = await serve([HEAVY_ONE] * 20)
    session = Session(kopf.ConnectionInfo(server=url))
    page = await session.request(method="get", url=f"{url}/apis/batch/v1/jobs?limit=100&labelSelector=a", json=None)
    async with page:
        found = await page.json()
    assert page.status == 200 and found["metadata"]["continue"]
    assert len(found["items"]) * HEAVY_ONE < HEAVY
    await session.request(method="get", url=f"{url}/api/v1/configmaps?limit=100", json=None)
    assert any("PartialObjectMetadataList" in accepted for accepted in server.accepted)
    await session.close()
    assert session.closed


async def test_kopf_gets_a_refusal_as_it_is() -> None:
    app, port = web.Application(), free_port()
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    url = f"http://127.0.0.1:{port}"
    session = Session(kopf.ConnectionInfo(server=url))
    refusal = await session.request(method="get", url=f"{url}/api/v1/pods?limit=1", json=None)
    with pytest.raises(ClientResponseError):
        refusal.raise_for_status()
    await session.close()
    await runner.cleanup()


async def test_a_page_that_never_fits_is_asked_for_alone() -> None:
    async def ask(limit: int, most: int | None) -> str:
        if most is not None:
            raise TooHeavyError
        return json.dumps(limit)

    assert await Pages(50).read(ask) == "1"
