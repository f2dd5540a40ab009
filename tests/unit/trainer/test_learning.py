"""The rules of training that need no torch: which evaluation is the best, and when a run diverges."""

from __future__ import annotations

import math
from typing import Any

import pytest

from modelyard_trainer.best import METRIC, evaluations, without_progress
from modelyard_trainer.diverging import WINDOW, divergence


def evaluated(*metrics: float, losses: tuple[float, ...] = ()) -> list[dict[str, Any]]:
    given = losses or (1.0,) * len(metrics)
    return [
        {METRIC: metric, "eval_loss": loss, "step": 10 * (number + 1)}
        for number, (metric, loss) in enumerate(zip(metrics, given, strict=True))
    ]


def test_the_greatest_metric_is_the_best() -> None:
    assert max(evaluations(evaluated(0.5, 0.8, 0.7))).step == 20


def test_the_lower_loss_decides_between_equals_then_the_earlier() -> None:
    assert max(evaluations(evaluated(0.8, 0.8, 0.8, losses=(0.5, 0.4, 0.4)))).step == 20


def test_evaluations_since_the_best() -> None:
    assert without_progress([]) == 0
    assert without_progress(evaluated(0.5, 0.8)) == 0
    assert without_progress(evaluated(0.5, 0.8, 0.8, 0.7)) == 2


def logged(losses: list[float], norm: float = 1.0, every: int = 5) -> list[dict[str, Any]]:
    return [{"loss": loss, "grad_norm": norm, "step": every * (at + 1)} for at, loss in enumerate(losses)]


def seen(losses: list[float], norm: float = 1.0, classes: int = 4, max_steps: int = 400) -> str | None:
    """The first divergence that a run with these losses shows."""
    lines = logged(losses, norm)
    found = (divergence(lines[: end + 1], math.log(classes), 12, max_steps) for end in range(len(lines)))
    return next((message for message in found if message), None)


GUESSING = math.log(4)


def test_a_run_that_learns_does_not_diverge() -> None:
    assert seen([1.4, 1.3, 1.1, 0.8, 0.6, 0.5, 0.7, 0.4] * 5) is None


def test_nor_one_that_learns_nothing_at_all() -> None:
    assert seen([GUESSING * (1.05 if at % 2 else 0.98) for at in range(40)]) is None


def test_nor_one_that_starts_high_and_falls() -> None:
    assert seen([8.0 * 0.85**at for at in range(40)]) is None


def test_a_single_bad_batch_is_no_divergence() -> None:
    assert seen([1.3, 1.0, 0.8, 0.6, 5.0, 0.5, 0.5, 0.5, 0.4, 0.4]) is None


@pytest.mark.parametrize("losses", [[1.4, 1.0, 0.2, 0.8, 2.6, 3.4, 3.0, 2.9, 2.5, 2.0], [1.4, 2.0, 3.0] + [2.6] * 20])
def test_worse_than_guessing_for_many_steps(losses: list[float]) -> None:
    message = seen(losses)
    assert message is not None
    assert "above that of guessing (1.39)" in message
    assert f"{WINDOW} steps" in message


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.inf), (1.0, 1e6)])
def test_numbers_that_explode(loss: float, norm: float) -> None:
    assert seen([1.4, 1.2, loss], norm) is not None


def test_only_the_start_of_a_run_is_watched() -> None:
    assert seen([1.3, 1.0, 0.5, 0.4] * 20 + [3.0] * 20, max_steps=500) is None
