"""A thread that repeats something unimportant: it never blocks and never fails the run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Repeating:
    """Calls `call` every `interval` seconds until closed, and once more at the end; faults are logged once."""

    def __init__(self, name: str, interval: float, call: Callable[[], None]) -> None:
        self._call = call
        self._interval = interval
        self._closed = threading.Event()
        self._complained = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def close(self, timeout: float = 3.0) -> None:
        """Ask for the last call and wait for it, at most `timeout` seconds."""
        self._closed.set()
        self._thread.join(timeout)

    def _loop(self) -> None:
        while not self._closed.wait(self._interval):
            self._once()
        self._once()

    def _once(self) -> None:
        try:
            self._call()
            self._complained = False
        except Exception as fault:
            if not self._complained:
                log.warning("%s: %s (training goes on)", self._thread.name, fault)
            self._complained = True
