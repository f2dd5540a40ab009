"""A port on every address of the machine, IPv6 and IPv4, whichever of them there are."""

from __future__ import annotations

import contextlib
import socket


def listening_socket(port: int, backlog: int = 512) -> socket.socket:
    """A TCP socket that listens on all addresses; OSError if the port is taken."""
    if socket.has_dualstack_ipv6():
        # A kernel that knows IPv6 may still have no address of it.
        with contextlib.suppress(OSError):
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog)
    return socket.create_server(("0.0.0.0", port), backlog=backlog)
