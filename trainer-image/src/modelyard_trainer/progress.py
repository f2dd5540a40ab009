"""Progress for the operator: the newest state, written to the store at most every 3 s by a background thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from modelyard.api.run import ProgressReport
from modelyard_trainer.background import Repeating

INTERVAL = 3.0
"""Seconds between two writes."""


class Progress:
    """Holds the newest ProgressReport; `write` gets its JSON whenever it changed."""

    def __init__(self, run: str, pod: str, write: Callable[[bytes], Any], interval: float = INTERVAL) -> None:
        self._lock = threading.Lock()
        self._write = write
        self._changed = False
        self._report = ProgressReport(run=run, pod=pod, stage="", at=_now())
        self._thread = Repeating("progress", interval, self._flush)

    @property
    def report(self) -> ProgressReport:
        """The newest state."""
        return self._report

    def update(self, **changes: Any) -> None:
        """Change fields of the report; returns at once."""
        with self._lock:
            self._report = self._report.model_copy(update={**changes, "at": _now()})
            self._changed = True

    def close(self) -> None:
        """Write the last state."""
        self._thread.close()

    def _flush(self) -> None:
        with self._lock:
            report, changed, self._changed = self._report, self._changed, False
        if changed:
            self._write(json.dumps(report.dump()).encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
