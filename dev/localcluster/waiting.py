"""Waiting for something to become true."""

import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path


class NotReadyError(TimeoutError):
    """Something did not become ready in time."""


def wait_until(condition: Callable[[], bool], what: str, seconds: float, pause: float = 0.1) -> None:
    """Ask again until it holds; fail with a sentence after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise NotReadyError(f"{what} is not ready after {seconds:.0f} s")
        time.sleep(pause)


def answers(url: str, authority: Path | None = None) -> bool:
    """Whether a URL answers with success; without an authority its certificate is not checked."""
    if authority and not authority.exists():
        return False
    trust = ssl.create_default_context(cafile=str(authority) if authority else None)
    if not authority:
        trust.check_hostname = False
        trust.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    try:
        with opener.open(url, timeout=2) as reply:
            return bool(reply.status < 300)
    except (OSError, urllib.error.URLError, ValueError):
        return False
