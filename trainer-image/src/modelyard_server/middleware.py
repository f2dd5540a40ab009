"""Around every HTTP request: a limit on the body, the version in a header, figures for /metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from modelyard_server import metrics

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
PREDICTIONS = {":predict": "v1", "/infer": "v2", "/completions": "openai"}
DISCARDED = 64 << 20


class BodyTooLargeError(Exception):
    """The body is larger than allowed."""


class Gate:
    """ASGI middleware; `max_body` in bytes, `leaving` once the server is about to end."""

    def __init__(self, app: ASGIApp, max_body: int, version: str, leaving: Callable[[], bool] = lambda: False) -> None:
        self._app = app
        self._max_body = max_body
        self._version = version.encode()
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A kept connection is given up with its last answer: closed under a client, it costs a request.
        told = [(b"connection", b"close")] if self._leaving() else []
        exchange = Exchange(receive, send, self._max_body, [(b"x-modelyard-version", self._version), *told])
        started = time.perf_counter()
        try:
            await self._answer(scope, exchange)
        finally:
            _count(scope["path"], exchange.code, time.perf_counter() - started)

    async def _answer(self, scope: Scope, exchange: Exchange) -> None:
        if _declared(scope) <= self._max_body:
            with suppress(BodyTooLargeError):
                await self._app(scope, exchange.receive, exchange.send)
            if not exchange.too_large:
                return
        await exchange.refuse()


class Exchange:
    """One request and its answer as they pass by."""

    def __init__(self, receive: Receive, send: Send, max_body: int, added: list[tuple[bytes, bytes]]) -> None:
        self.code = 500
        self.too_large = False
        self._receive = receive
        self._send = send
        self._max_body = max_body
        self._added = added
        self._seen = 0
        self._more = True

    async def receive(self) -> Message:
        """The next part of the body; BodyTooLargeError once there was too much of it."""
        message = await self._next()
        if self._seen > self._max_body:
            self.too_large = True
            raise BodyTooLargeError
        return message

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on, with what is added to its headers; of one to half a body nothing."""
        if not self.too_large:
            await self._pass(message)

    async def refuse(self) -> None:
        """Answer 413, after the rest of the body as most clients read no answer before they have sent all."""
        while self._more and self._seen < DISCARDED:
            await self._next()
        error = f"the body is larger than {self._max_body} bytes: send fewer or shorter rows at once"
        body = json.dumps({"error": error}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers.append((b"connection", b"close"))
        await self._pass({"type": "http.response.start", "status": 413, "headers": headers})
        await self._pass({"type": "http.response.body", "body": body})

    async def _next(self) -> Message:
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        self._more = message.get("more_body", False)
        return message

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.code = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._added]}
        await self._send(message)


def _declared(scope: Scope) -> int:
    headers: dict[bytes, Any] = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _count(path: str, code: int, seconds: float) -> None:
    protocol = next((name for tail, name in PREDICTIONS.items() if path.endswith(tail)), None)
    if protocol:
        metrics.count(protocol, str(code), seconds)
