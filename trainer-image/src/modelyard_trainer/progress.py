"""Progress for the operator: the newest state, posted every few seconds by a background thread."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from modelyard.api.run import ProgressReport
from modelyard_trainer.background import Repeating
from modelyard_trainer.pace import Pace

INTERVAL = 5.0
"""Seconds between two posts."""


class Progress:
    """Holds the newest state; `write` gets the body of a post whenever it changed."""

    def __init__(self, write: Callable[[bytes], Any], interval: float = INTERVAL) -> None:
        self._lock = threading.Lock()
        self._write = write
        self._changed = False
        self._report = ProgressReport(run="")
        self._pace = Pace(())
        self._thread = Repeating("progress", interval, self._flush)

    @property
    def report(self) -> ProgressReport:
        """The newest state."""
        return self._report

    def plan(self, stages: Sequence[str]) -> None:
        """The stages that percent and time left are about, in order."""
        with self._lock:
            self._pace = Pace(stages)

    def expect(self, **seconds: float) -> None:
        """What stages to come will take."""
        with self._lock:
            for stage, expected in seconds.items():
                self._pace.expect(stage, expected)

    def update(self, **changes: Any) -> None:
        """Change fields of the state; returns at once."""
        with self._lock:
            if "stage" in changes:
                self._pace.enter(changes["stage"])
            self._report = self._report.model_copy(update=changes)
            if "step" in changes:
                self._pace.steps(self._report.step, self._report.steps, changes.get("seconds_left"))
            self._changed = True

    def close(self) -> None:
        """Post the last state."""
        self._thread.close()

    def _flush(self) -> None:
        with self._lock:
            before = self._report.percent
            if self._pace.planned:
                told = {"percent": int(100 * self._pace.share), "seconds_left": round(self._pace.seconds_left, 1)}
                self._report = self._report.model_copy(update=told)
            report, changed, self._changed = self._report, self._changed or self._report.percent != before, False
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
        "progressPercentage": report.percent,
        "estimatedRemainingSeconds": None if report.seconds_left is None else int(report.seconds_left),
        "metrics": [{"name": name, "value": str(value)} for name, value in told.items()],
        "stage": report.stage or None,
        "resumedFrom": report.resumed_from,
    }
    return json.dumps({"trainerStatus": status}).encode()
