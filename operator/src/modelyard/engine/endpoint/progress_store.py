"""The newest progress per run, in memory; shown to the reconcilers at most every few seconds, whatever pods send.

All runs together are shown at most BUDGET times a second: with 1,000 at work each waits 20 s for its turn, not 5.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelyard.api.progress import TrainerStatus
from modelyard.api.run import ProgressReport
from modelyard.engine.cache import Key
from modelyard.engine.endpoint.callers import Caller

EVERY = 5.0
"""Seconds between two states of one run that the reconcilers get to see."""
BUDGET = 50.0
"""States per second of all runs together; each is one write to the API server."""
FETCHED, TRAINED = 2, 80
"""Percent of a run before and after the part that stock Trainer counts; the trainer image guesses the same."""
REMEMBERED = 10_000
Run = tuple[str, str]
"""Namespace and name of the run's Job."""


@dataclass
class Entry:
    """What one run told: the newest report, the one that is shown, and since when the present pod makes steps."""

    owner: Key
    pod_uid: str
    latest: ProgressReport
    shown: ProgressReport | None = None
    shown_at: float = float("-inf")
    timer: asyncio.TimerHandle | None = None
    first: tuple[float, float] | None = None
    """Time and share of the first post of this pod that named a share."""


class ProgressStore:
    """Takes posts, answers the fact `progress`, wakes the owner when there is something new to show."""

    def __init__(self, wake: Callable[[Key], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._wake, self._clock = wake, clock
        self._entries: OrderedDict[Run, Entry] = OrderedDict()
        self._free = float("-inf")
        """When the next state may be shown."""

    def post(self, caller: Caller, status: TrainerStatus) -> None:
        """Remember a state; another pod starts from nothing."""
        key, now = (caller.namespace, caller.job), self._clock()
        entry = self._entries.get(key)
        if entry is None or entry.pod_uid != caller.pod_uid:
            before = entry
            entry = Entry(caller.owner, caller.pod_uid, ProgressReport(run=caller.run, pod=caller.pod, stage="train"))
            if before is not None:
                entry.shown_at, entry.timer = before.shown_at, before.timer
            self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > REMEMBERED:
            self._drop()
        entry.latest = merged(entry.latest, status)
        if status.stage is None or status.estimated_remaining_seconds is None:
            self._estimate(entry, now)
        if entry.timer is None:
            pause = max(0.0, entry.shown_at + EVERY - now)
            entry.timer = asyncio.get_running_loop().call_later(pause, self._queue, key)

    async def read(self, args: Mapping[str, str]) -> dict[str, Any] | None:
        """Fact: the state of the run of a `job` in a `namespace`, None before its first post."""
        entry = self._entries.get((args["namespace"], args["job"]))
        return None if entry is None or entry.shown is None else entry.shown.dump()

    def _drop(self) -> None:
        _, oldest = self._entries.popitem(last=False)
        if oldest.timer is not None:
            oldest.timer.cancel()

    def _queue(self, key: Run) -> None:
        """Show it in its turn."""
        entry, now = self._entries.get(key), self._clock()
        if entry is None:
            return
        turn = max(now, self._free)
        self._free = turn + 1 / BUDGET
        if turn <= now:
            self._show(key)
        else:
            entry.timer = asyncio.get_running_loop().call_later(turn - now, self._show, key)

    def _show(self, key: Run) -> None:
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.timer, entry.shown_at = None, self._clock()
        if entry.shown != entry.latest:
            entry.shown = entry.latest
            self._wake(entry.owner)

    def _estimate(self, entry: Entry, now: float) -> None:
        """Time left by our own clock: how long the present pod took for the share it did."""
        report, left = entry.latest, None
        share = report.share
        if share is not None and (entry.first is None or share < entry.first[1]):
            entry.first = (now, share)
        if share is not None and entry.first is not None and share > entry.first[1]:
            began, at_first = entry.first
            left = round((now - began) / (share - at_first) * (1.0 - share), 1)
        entry.latest = report.model_copy(update={"seconds_left": left})


def _of_all_stages(status: TrainerStatus) -> int | None:
    """Stock Trainer counts its own part alone; ours come before and after it."""
    share, step, steps = status.progress_percentage, status.count("current_step"), status.count("total_steps")
    if step is not None and steps:
        share = min(100, 100 * step // steps)
    return None if share is None else FETCHED + share * (TRAINED - FETCHED) // 100


def merged(report: ProgressReport, status: TrainerStatus) -> ProgressReport:
    """The report with what the post says; a field that it leaves out stays as it was."""
    told = {
        "stage": status.stage or "train",  # stock Trainer names none, and posts while it trains
        "percent": status.progress_percentage if status.stage else _of_all_stages(status),
        "seconds_left": None if status.stage is None else status.estimated_remaining_seconds,
        "step": status.count("current_step"),
        "steps": status.count("total_steps"),
        "epoch": status.metric("current_epoch"),
        "loss": status.metric("loss"),
        "resumed_from": status.resumed_from,
    }
    return report.model_copy(update={name: value for name, value in told.items() if value is not None})
