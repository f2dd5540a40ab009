"""Numbered recipes: what fills the hyper-parameters that a job leaves out, per task and method.

A released recipe never changes. A better one gets the next number, counts for runs that start after it, and starts none
by itself. docs/defaults.md says where the numbers come from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelyard.api.common import Task
from modelyard.api.hyperparameters import Hyperparameters, Method, ResolvedMethod, Schedule, Targets, Train


@dataclass(frozen=True)
class Recipe:
    """One set of defaults."""

    learning_rate: float
    schedule: Schedule = "linear"
    warmup: float = 0.06
    weight_decay: float = 0.01
    linear_probe: bool = True
    batch_size: int = 32
    max_length: int = 128
    steps: int = 200
    """Optimizer steps that training should have, about; small data is gone through more often to get there."""
    most_epochs: int = 50
    rank: int = 8
    alpha: float = 2.0
    """Of LoRA, per rank."""
    dropout: float = 0.0
    targets: Targets = "all-linear"


RECIPES: dict[tuple[str, str], dict[int, Recipe]] = {
    ("text-classification", "full"): {1: Recipe(learning_rate=1e-4)},
    ("text-classification", "lora"): {1: Recipe(learning_rate=3e-3)},
}


@dataclass(frozen=True)
class Resolved:
    """Method and hyper-parameters of a run, complete, and the number of the recipe that filled them."""

    recipe: int
    method: ResolvedMethod
    train: Hyperparameters


def newest(task: Task, method: Method) -> int:
    """The recipe that a run takes which starts now."""
    return max(RECIPES[task, method.type])


def resolved(task: Task, method: Method, train: Train, rows: int, most_epochs: int | None = None) -> Resolved:
    """What is asked for, completed by the newest recipe for so many training rows.

    The recipe never takes more than `most_epochs`, the limit of the TrainingProfile.
    """
    number = newest(task, method)
    recipe = RECIPES[task, method.type][number]
    return Resolved(number, _method(method, recipe), _train(train, recipe, rows, most_epochs))


def _method(asked: Method, recipe: Recipe) -> ResolvedMethod:
    if asked.type != "lora":
        return ResolvedMethod(type=asked.type)
    rank = recipe.rank if asked.rank is None else asked.rank
    return ResolvedMethod(
        type=asked.type,
        rank=rank,
        alpha=recipe.alpha * rank if asked.alpha is None else asked.alpha,
        dropout=recipe.dropout if asked.dropout is None else asked.dropout,
        targets=asked.targets or recipe.targets,
    )


def _train(asked: Train, recipe: Recipe, rows: int, most_epochs: int | None) -> Hyperparameters:
    given = asked.model_dump(exclude_none=True)
    defaults = {
        "learning_rate": recipe.learning_rate,
        "schedule": recipe.schedule,
        "warmup": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "linear_probe": recipe.linear_probe,
        "batch_size": recipe.batch_size,
        "max_length": recipe.max_length,
    }
    fields = {**defaults, **given}
    fields.setdefault("epochs", _epochs(recipe, rows, fields["batch_size"] * asked.gradient_accumulation, most_epochs))
    filled = sorted(name for name in fields if name not in given)
    return Hyperparameters(**fields, by_recipe=tuple(_api_name(name) for name in filled))


def _epochs(recipe: Recipe, rows: int, rows_per_step: int, most_epochs: int | None) -> int:
    """Epochs that come nearest to the recipe's number of steps; 1 at least."""
    per_epoch = max(1, math.ceil(rows / rows_per_step))
    wanted = max(1, math.floor(recipe.steps / per_epoch + 0.5)) if rows else 1
    return min(wanted, recipe.most_epochs, most_epochs or wanted)


def _api_name(field: str) -> str:
    alias = Train.model_fields[field].alias
    return alias or field
