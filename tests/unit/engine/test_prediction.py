"""A server that a tenant put behind our Service must not hurt the operator: no endless body, no redirect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web

from modelyard import names
from modelyard.engine.facts import FactError
from modelyard.engine.facts.prediction import MOST_BYTES, prediction

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Handler], Awaitable[str]]]:
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


Serve = Callable[[Handler], Awaitable[str]]


async def ask(url: str) -> object:
    return await prediction({"url": url, "model": "m", "sample": '{"text": "good"}'})


async def test_an_honest_answer(serve: Serve) -> None:
    async def honest(request: web.Request) -> web.Response:
        assert request.path == "/v2/models/m/infer"
        return web.json_response({"model_version": "7", "outputs": [1]})

    assert await ask(await serve(honest)) == {"version": "7", "prediction": [1]}


async def test_a_body_without_end(serve: Serve) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 64 * MOST_BYTES:
            await response.write(b" " * (1 << 16))
            sent += 1 << 16
        return response

    with pytest.raises(FactError, match="no JSON of at most"):
        await ask(await serve(endless))
    assert sent < 32 * MOST_BYTES


async def test_a_redirect_is_not_followed(serve: Serve) -> None:
    async def secret(request: web.Request) -> web.Response:
        raise AssertionError("the operator was sent elsewhere")

    elsewhere = await serve(secret)

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{elsewhere}/latest/meta-data"})

    with pytest.raises(FactError, match="answered 307"):
        await ask(await serve(redirect))


@pytest.mark.parametrize(
    ("status", "reason"), [(429, names.SERVER_BUSY), (400, names.PROBE_FAILED), (503, "PredictionFailed")]
)
async def test_busy_is_another_reason_than_wrong(serve: Serve, status: int, reason: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": "100 requests are waiting"}, status=status, headers={"Retry-After": "1"})

    with pytest.raises(FactError, match="100 requests are waiting") as refused:
        await ask(await serve(refuse))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("status", "text"),
    [(403, "RBAC: access denied"), (401, "Jwt is missing"), (503, "upstream connect error or disconnect/reset")],
)
async def test_a_mesh_that_refuses_is_no_bad_answer(serve: Serve, status: int, text: str) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    with pytest.raises(FactError, match=text) as refused:
        await ask(await serve(refuse))
    assert refused.value.reason == names.SERVER_UNREACHABLE


@pytest.mark.parametrize("how", ["closed", "hangs up", "silent"])
async def test_a_server_that_nothing_reaches(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed port, a mesh that takes no plain text, packets that are dropped."""
    monkeypatch.setattr("modelyard.engine.facts.prediction.TIMEOUT", aiohttp.ClientTimeout(total=0.5))
    monkeypatch.setattr("modelyard.engine.facts.prediction.KNOCK", aiohttp.ClientTimeout(total=0.5))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if how == "silent":
            await asyncio.sleep(2)
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if how == "closed":
        server.close()
    with pytest.raises(FactError, match="gave no answer") as kept_out:
        await ask(f"http://127.0.0.1:{port}")
    assert kept_out.value.reason == names.SERVER_UNREACHABLE
    server.close()


async def test_a_prediction_without_end_is_the_servers_own(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelyard.engine.facts.prediction.TIMEOUT", aiohttp.ClientTimeout(total=0.3))

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(1 if request.path.endswith("infer") else 0)
        return web.Response(text="{}")

    with pytest.raises(FactError, match="gave no answer") as late:
        await ask(await serve(slow))
    assert late.value.reason == names.PROBE_FAILED


@pytest.mark.parametrize("body", ["nonsense", "[1]", "[" * 100_000, ""])
async def test_answers_that_are_none(serve: Serve, body: str) -> None:
    async def odd(request: web.Request) -> web.Response:
        return web.Response(text=body)

    with pytest.raises(FactError, match="gave no JSON"):
        await ask(await serve(odd))
