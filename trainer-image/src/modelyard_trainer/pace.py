"""How far a run is over all of its stages, and how long the rest takes, from what it took so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

GUESSES = {
    "fetch_source": 10.0,
    "prepare": 10.0,
    "fetch": 10.0,
    "hand_over": 2.0,
    "load": 10.0,
    "adapt": 2.0,
    "train": 300.0,
    "collect": 5.0,
    "receive": 5.0,
    "accept": 2.0,
    "evaluate": 20.0,
    "export": 20.0,
    "publish": 10.0,
}
"""Seconds of a stage before anything of the run was measured: a small base on two cores, a few thousand rows."""
LIKE = {"load": ("export",), "fetch": ("publish",)}
"""Stage -> stages that are as much slower than guessed as it was: both read and write the whole model."""
SCALES = (0.2, 30.0)
NEVER_WHOLE = 0.97
"""A stage that takes longer than expected stays at this part of itself until it ends."""


class Pace:
    """Expected seconds of each stage: measured where it has ended, else by steps or like those that have."""

    def __init__(self, stages: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stages = tuple(stages)
        self._expected = {stage: GUESSES.get(stage, 10.0) for stage in stages}
        self._at = 0
        self._began = clock()
        self._counted: float | None = None
        self._highest = 0.0

    def enter(self, stage: str) -> None:
        """The stage before has ended; `stage` begins."""
        now = self._clock()
        if stage in self._stages and (after := self._stages.index(stage)) > self._at:
            self._ended(self._stages[self._at], now - self._began)
            self._at, self._began, self._counted = after, now, None

    def steps(self, step: int, steps: int, seconds_left: float | None) -> None:
        """Of the present stage `step` of `steps` are done; earlier pods may have done some of them."""
        if not self._stages or steps <= 0:
            return
        self._counted = min(1.0, step / steps)
        if seconds_left and step < steps:
            self._expected[self._stages[self._at]] = seconds_left / (1 - self._counted)

    def expect(self, stage: str, seconds: float) -> None:
        """What a stage to come will take at least, where something better than a guess is known."""
        if stage in self._stages and self._stages.index(stage) > self._at:
            self._expected[stage] = seconds

    @property
    def planned(self) -> bool:
        """Whether it is known which stages there are."""
        return bool(self._stages)

    @property
    def seconds_left(self) -> float:
        """Until the last stage ends."""
        done, whole = self._sums()
        return whole - done

    @property
    def share(self) -> float:
        """Done part of the whole run, 0 to 1; it never falls."""
        done, whole = self._sums()
        self._highest = max(self._highest, done / whole if whole else 0.0)
        return self._highest

    def _sums(self) -> tuple[float, float]:
        if not self._stages:
            return 0.0, 0.0
        expected = [self._expected[stage] for stage in self._stages]
        inside, passed = self._counted, self._clock() - self._began
        if inside is None:
            expected[self._at] = max(expected[self._at], passed / NEVER_WHOLE)
            inside = passed / expected[self._at] if expected[self._at] else 0.0
        return sum(expected[: self._at]) + inside * expected[self._at], sum(expected)

    def _ended(self, stage: str, seconds: float) -> None:
        slower = min(SCALES[1], max(SCALES[0], seconds / GUESSES.get(stage, 10.0)))
        for like in LIKE.get(stage, ()):
            self.expect(like, slower * GUESSES[like])
        if self._counted is None:  # of counted steps, other pods may have done a part
            self._expected[stage] = seconds
