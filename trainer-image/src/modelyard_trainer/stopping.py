"""What SIGTERM does: raise Interrupted at once, or let training save and publishing finish, and always end in time."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from types import FrameType

from modelyard_trainer.errors import Interrupted

log = logging.getLogger(__name__)
GRACE = 60
"""Seconds between SIGTERM and SIGKILL where the pod does not say (MODELYARD_GRACE)."""
HARD = 6
"""Seconds between Interrupted and the end of the process, whatever it is doing."""
RESERVE = 4
"""Seconds that the kubelet may lose."""


class Stop:
    """The pod's wish to end; `graceful` while training looks at `requested` itself, or publishing may finish."""

    def __init__(self) -> None:
        self.requested = False
        self.graceful = False
        self._raised = False
        self._saving = max(1, int(os.environ.get("MODELYARD_GRACE", GRACE)) - HARD - RESERVE)
        self._last_words: Callable[[], None] = lambda: None

    def install(self, last_words: Callable[[], None]) -> None:
        """Take over SIGTERM and SIGALRM; `last_words` runs right before a forced end."""
        self._last_words = last_words
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGALRM, self._on_alarm)

    def disarm(self) -> None:
        """From here on the process ends by itself."""
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def check(self) -> None:
        """Raise Interrupted if the pod was asked to stop."""
        if self.requested:
            raise Interrupted

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            return
        self.requested = True
        log.warning("asked to stop")
        if self.graceful:
            signal.alarm(self._saving)
        else:
            self._raise()

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if self._raised:
            self._last_words()
            os._exit(143)
        self._raise()

    def _raise(self) -> None:
        self._raised = True
        signal.alarm(HARD)
        raise Interrupted
