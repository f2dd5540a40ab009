"""All weights are trained."""

from __future__ import annotations

from typing import Any

from modelyard.api.finetunejob import Method

LEARNING_RATE = 1e-4
"""Peak rate where the user gives none."""


def adapt(model: Any, method: Method, fresh: list[str], task: str) -> Any:
    """The model as it is."""
    return model


def finish(model: Any) -> Any:
    """The trained model."""
    return model
