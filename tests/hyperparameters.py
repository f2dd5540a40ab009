"""Methods and hyper-parameters of RunConfigs in tests: what a test does not care for, the recipe fills."""

from __future__ import annotations

from typing import Any

from modelyard.api import recipes
from modelyard.api.hyperparameters import Method, Train

ROWS = 800


def completed(fields: dict[str, Any], rows: int = ROWS) -> dict[str, Any]:
    """Fields of a TrainConfig with `method` and `train` as a run gets them for so many training rows."""
    method, train = Method.model_validate(fields.get("method", {})), Train.model_validate(fields.get("train", {}))
    found = recipes.resolved(fields["task"], method, train, rows)
    return {**fields, "method": found.method.dump(), "train": found.train.dump()}
