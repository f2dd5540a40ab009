"""Splits that a column of the source tells: by name, or by time."""

from __future__ import annotations

import math
from array import array
from datetime import UTC, datetime

import numpy as np

from modelyard.api.dataset import Split
from modelyard_trainer.errors import bad_data

NAMES = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test",
}  # fmt: skip


def named_split(value: str, field: str) -> str:
    """The split that a cell names; BAD_DATA for another word."""
    split = NAMES.get(value.strip().casefold())
    if split is None:
        raise bad_data(f"{field}: '{value[:80]}' is no split: write train, validation (valid, val, dev) or test")
    return split


class Times:
    """Times of all rows, and from which on they validate and test: rows of one time stay together."""

    def __init__(self, step: Split, field: str) -> None:
        self._step, self._field = step, field
        self._seen = array("d")
        self._starts: tuple[float, float] | None = None

    def add(self, value: str) -> float:
        """A row's time in seconds, or as the number that it is; BAD_DATA for a cell that holds none."""
        time = _time(value)
        if time is None:
            raise bad_data(
                f"{self._field}: '{value[:80]}' is no time: write ISO dates (2026-11-28, 2026-11-28T10:00:00Z) or "
                "numbers"
            )
        self._seen.append(time)
        return time

    def split(self, time: float) -> str:
        """The split of a row, once all times are known."""
        if self._starts is None:
            self._starts = self._found()
        validation, test = self._starts
        return "test" if time >= test else "validation" if time >= validation else "train"

    def _found(self) -> tuple[float, float]:
        """The times at which validation and test begin; BAD_DATA if one of three splits would be empty."""
        ordered = np.sort(np.frombuffer(self._seen, dtype=np.float64))
        test = self._start(ordered, self._step.test)
        validation = self._start(ordered[ordered < test], self._step.validation / (1 - self._step.test))
        if not ordered[0] < validation < test:
            raise bad_data(
                f"{self._field}: {len(ordered)} rows have {len(np.unique(ordered))} different times, too few to tell "
                "training, validation and test rows apart: name a finer column, or leave spec.prepare's split.time out"
            )
        return validation, test

    @staticmethod
    def _start(ordered: np.ndarray, share: float) -> float:
        count = min(max(1, round(len(ordered) * share)), len(ordered))
        return float(ordered[-count]) if count else math.inf


def _time(value: str) -> float | None:
    text = value.strip()
    try:
        number = float(text)
        return number if math.isfinite(number) else None
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
