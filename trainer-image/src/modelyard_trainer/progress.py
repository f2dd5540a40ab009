"""Progress for the operator: the newest state, posted every few seconds by a background thread."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from modelyard.api.run import ProgressReport
from modelyard_trainer.background import Repeating

INTERVAL = 5.0
"""Seconds between two posts."""


class Progress:
    """Holds the newest state; `write` gets the body of a post whenever it changed."""

    def __init__(self, write: Callable[[bytes], Any], interval: float = INTERVAL) -> None:
        self._lock = threading.Lock()
        self._write = write
        self._changed = False
        self._report = ProgressReport(run="")
        self._thread = Repeating("progress", interval, self._flush)

    @property
    def report(self) -> ProgressReport:
        """The newest state."""
        return self._report

    def update(self, **changes: Any) -> None:
        """Change fields of the state; returns at once."""
        with self._lock:
            self._report = self._report.model_copy(update=changes)
            self._changed = True

    def close(self) -> None:
        """Post the last state."""
        self._thread.close()

    def _flush(self) -> None:
        with self._lock:
            report, changed, self._changed = self._report, self._changed, False
        if changed:
            self._write(body_of(report))


def body_of(report: ProgressReport) -> bytes:
    """The state in the protocol of stock Hugging Face Trainer, with stage and resumedFrom beside it."""
    values = {
        "loss": report.loss,
        "current_step": report.step if report.steps else None,
        "total_steps": report.steps or None,
        "current_epoch": report.epoch,
    }
    told = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}
    status = {
        "lastUpdatedTime": datetime.now(UTC).isoformat(),
        "progressPercentage": None if report.share is None else int(100 * report.share),
        "metrics": [{"name": name, "value": str(value)} for name, value in told.items()],
        "stage": report.stage or None,
        "resumedFrom": report.resumed_from,
    }
    return json.dumps({"trainerStatus": status}).encode()
