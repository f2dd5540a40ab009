"""Probes and metrics: /healthz fails when the queue stands still or a watch is stale; /readyz until we act."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from modelyard.engine import metrics
from modelyard.listening import listening_socket

STALE = 60.0
STALE = 150.0
"""Seconds; kopf opens a silent watch again after 70."""


class Health:
    """Serves /healthz, /readyz and /metrics.

    `beat` gives the loop time of the queue's last sign of life, `lag` the seconds that a watch is behind.
    """

    def __init__(
        self, port: int, beat: Callable[[], float], lag: Callable[[], float], ready: Callable[[], bool]
    ) -> None:
        self._port, self._beat, self._lag, self._ready = port, beat, lag, ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on all addresses (the kubelet asks the pod's)."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", make_aiohttp_handler(metrics.REGISTRY))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, listening_socket(self._port)).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        age = asyncio.get_running_loop().time() - self._beat()
        if self._beat() and age > STALE:
            return web.Response(status=500, text=f"the work queue has stood still for {age:.0f} s")
        if (lag := self._lag()) > STALE:
            return web.Response(status=500, text=f"a watch has shown nothing for {lag:.0f} s though there is news")
        return web.Response(text="ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok") if self._ready() else web.Response(status=503, text="not leading yet")
