"""Probes: /healthz fails when the queue stands still; /readyz until the operator acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

STALE = 60.0


class Health:
    """Serves the probes; `beat` gives the loop time of the queue's last sign of life."""

    def __init__(self, port: int, beat: Callable[[], float], ready: Callable[[], bool]) -> None:
        self._port, self._beat, self._ready = port, beat, ready
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on all addresses (the kubelet asks the pod's)."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "0.0.0.0", self._port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        age = asyncio.get_running_loop().time() - self._beat()
        if self._beat() and age > STALE:
            return web.Response(status=500, text=f"the work queue has stood still for {age:.0f} s")
        return web.Response(text="ok")

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok") if self._ready() else web.Response(status=503, text="not leading yet")
