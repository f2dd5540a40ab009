"""When a run is worse than guessing in its first half: its rate is too high, and more steps would not fix it."""

from __future__ import annotations

import math
import statistics
from typing import Any, NamedTuple

LOWER_BY = 5.0
"""What the rate is divided by, once."""
WINDOW = 20
"""Optimizer steps that are looked at together, and again as many before them."""
ABOVE = 1.1
"""Share of the loss of guessing from which on a loss counts as above it; that of a hard task swings around 1."""
FALLING = 0.9
"""A loss that falls faster than this between two windows may start as high as it likes."""
EXPLODED = 1e4
"""Norm of the gradient, before it is clipped, that no training recovers from."""


class Diverged(Exception):
    """The run has to start again at a lower rate; the message says what was seen."""


class Logged(NamedTuple):
    """One line of the log: mean loss of the optimizer steps since the line before, and the last gradient's norm."""

    step: int
    loss: float
    grad_norm: float


def divergence(log_history: list[dict[str, Any]], guessing: float, warmup: int, max_steps: int) -> str | None:
    """What shows that training diverged, None while nothing does; `guessing` is the loss of guessing."""
    lines = _lines(log_history)
    if not lines or lines[-1].step > max(max_steps // 2, warmup + 2 * WINDOW):
        return None
    last = lines[-1]
    if not (math.isfinite(last.loss) and math.isfinite(last.grad_norm)):
        return f"the loss is {last.loss:g} and the gradient's norm {last.grad_norm:g} at step {last.step}"
    if last.grad_norm > EXPLODED:
        return f"the gradient's norm is {last.grad_norm:.3g} at step {last.step}"
    return _above_guessing(lines, guessing, warmup)


def _above_guessing(lines: list[Logged], guessing: float, warmup: int) -> str | None:
    end = lines[-1].step
    if end < warmup + WINDOW:
        return None
    now, before = _median(lines, end - WINDOW, end), _median(lines, end - 2 * WINDOW, end - WINDOW)
    if now <= ABOVE * guessing or now < FALLING * before:
        return None
    return f"the loss of {WINDOW} steps up to step {end} is {now:.3g}, above that of guessing ({guessing:.3g})"


def _median(lines: list[Logged], after: int, until: int) -> float:
    """Median loss of the steps in (after, until], which one bad batch does not move; infinite if there are none."""
    within = [line.loss for line in lines if after < line.step <= until]
    return statistics.median(within) if within else math.inf


def _lines(log_history: list[dict[str, Any]]) -> list[Logged]:
    return [
        Logged(int(line["step"]), line["loss"], float(line.get("grad_norm", 0.0)))
        for line in log_history
        if "loss" in line
    ]
