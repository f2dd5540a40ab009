"""Runs an operator, of whatever release stands on PYTHONPATH, in a world where names lead to ports of this machine.

MODELYARD_TEST_HOSTS is `suffix=port,...`: a host that ends so is this machine at that port. What the baseline recorded
has addresses that last; stores and servers of tests have free ports.
"""

from __future__ import annotations

import os
import runpy
import socket
import sys
from typing import Any

import aiohttp.resolver

HOSTS = dict(pair.rsplit("=", 1) for pair in os.environ["MODELYARD_TEST_HOSTS"].split(","))


def port_of(host: object) -> int | None:
    """Where a host leads, None for one that is what it is."""
    return next((int(port) for suffix, port in HOSTS.items() if str(host).endswith(suffix)), None)


def patch_sockets() -> None:
    """For clients that resolve by the standard library (the store's)."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        mapped = port_of(host)
        return real("127.0.0.1", mapped, *args, **more) if mapped else real(host, port, *args, **more)

    socket.getaddrinfo = resolve


def patch_aiohttp() -> None:
    """For the probes, whose event loop resolves by itself."""
    real = aiohttp.resolver.ThreadedResolver.resolve

    async def resolve(self: Any, host: str, port: int = 0, *args: Any, **more: Any) -> Any:
        mapped = port_of(host)
        return (
            await real(self, "127.0.0.1", mapped, *args, **more)
            if mapped
            else await real(self, host, port, *args, **more)
        )

    aiohttp.resolver.ThreadedResolver.resolve = resolve  # type: ignore[method-assign]
    if aiohttp.resolver.DefaultResolver is not aiohttp.resolver.ThreadedResolver:
        raise SystemExit("the probes do not resolve as this launcher expects")


if __name__ == "__main__":
    patch_sockets()
    patch_aiohttp()
    sys.argv = ["modelyard", *sys.argv[1:]]
    runpy.run_module("modelyard", run_name="__main__", alter_sys=True)
