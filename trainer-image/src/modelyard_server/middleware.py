"""Around every HTTP request: a limit on the body, the version in a header, figures for /metrics."""

from __future__ import annotations

import json
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard_server import metrics

PREDICTIONS = {":predict": "v1", "/infer": "v2"}


class BodyTooLargeError(Exception):
    """The body is larger than allowed."""


class Gate:
    """ASGI middleware; `max_body` in bytes."""

    def __init__(self, app: ASGIApp, max_body: int, version: str) -> None:
        self._app = app
        self._max_body = max_body
        self._version = version.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(receive, send, self._max_body, self._version)
        started = time.perf_counter()
        try:
            await self._answer(scope, exchange)
        finally:
            _count(scope["path"], exchange.code, time.perf_counter() - started)

    async def _answer(self, scope: Scope, exchange: Exchange) -> None:
        try:
            if _declared(scope) > self._max_body:
                raise BodyTooLargeError
            await self._app(scope, exchange.receive, exchange.send)
        except BodyTooLargeError:
            await exchange.refuse()


class Exchange:
    """One request and its answer as they pass by."""

    def __init__(self, receive: Receive, send: Send, max_body: int, version: bytes) -> None:
        self.code = 500
        self._receive = receive
        self._send = send
        self._max_body = max_body
        self._version = version
        self._seen = 0

    async def receive(self) -> Message:
        """The next part of the body; BodyTooLargeError once there was too much of it."""
        message = await self._receive()
        self._seen += len(message.get("body", b""))
        if self._seen > self._max_body:
            raise BodyTooLargeError
        return message

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on, with the version in its headers."""
        if message["type"] == "http.response.start":
            self.code = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), (b"x-modelyard-version", self._version)]}
        await self._send(message)

    async def refuse(self) -> None:
        """Answer 413; the connection is closed since the rest of the body was not read."""
        error = f"the body is larger than {self._max_body} bytes: send fewer or shorter rows at once"
        body = json.dumps({"error": error}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": 413, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _declared(scope: Scope) -> int:
    headers: dict[bytes, Any] = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _count(path: str, code: int, seconds: float) -> None:
    protocol = next((name for tail, name in PREDICTIONS.items() if path.endswith(tail)), None)
    if protocol:
        metrics.REQUESTS.labels(protocol, str(code)).inc()
        metrics.SECONDS.labels(protocol).observe(seconds)
