"""Methods and hyper-parameters of RunConfigs in tests: what a test does not care for, the recipe fills."""

from __future__ import annotations

from typing import Any

from modelyard.api import recipes
from modelyard.api.hyperparameters import Input, Method, Train
from modelyard.api.tasks import BASE, VERSION

ROWS = 800


def completed(fields: dict[str, Any], rows: int = ROWS) -> dict[str, Any]:
    """Fields of a TrainConfig, method, input and train as a run gets them for so many training rows."""
    found = recipes.resolved(
        recipes.Asked(
            fields["task"],
            Method.model_validate(fields["method"]) if "method" in fields else None,
            Input.model_validate(fields.get("input", {})),
            Train.model_validate(fields.get("train", {})),
            fields.get("scratch") or (VERSION if "version" in (fields.get("base") or {}) else BASE),
        ),
        rows,
    )
    return {
        "objective": {"fineTune": {}},
        "microBatch": found.train.batch_size,
        **fields,
        "method": found.method.dump(),
        "input": found.input.dump(),
        "train": found.train.dump(),
        "byRecipe": list(found.by_recipe),
    }


def resolved_method(method: dict[str, Any]) -> Any:
    """A method as a run of a text classifier gets it."""
    asked = recipes.Asked("text-classification", Method.model_validate(method), Input(), Train())
    return recipes.resolved(asked, ROWS).method
