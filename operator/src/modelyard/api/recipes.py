"""Numbered recipes: what fills the hyper-parameters that a job leaves out, per task, start and method.

A released recipe never changes. A better one gets the next number, counts for runs that start after it, and starts none
by itself. docs/defaults.md says where the numbers come from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from modelyard.api.common import ApiModel, Task
from modelyard.api.hyperparameters import (
    Augment,
    Hyperparameters,
    Input,
    Method,
    ResolvedImage,
    ResolvedInput,
    ResolvedMethod,
    ResolvedText,
    Schedule,
    Targets,
    Train,
)
from modelyard.api.tasks import BASE, OWN, TASKS, VERSION


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
    augment: Augment = "none"
    whole_batch: bool = False
    """Whether all rows of a batch are computed at once whatever the memory: what a model with statistics over the batch
    learns would else follow from the memory."""


PICTURES = Recipe(
    learning_rate=3e-3,
    schedule="cosine",
    warmup=0.1,
    linear_probe=False,
    batch_size=64,
    most_epochs=100,
    augment="move",
)
"""What the recipes of tasks with pictures share."""
LOW_RANK = ("lora", "adaLora")
"""Methods whose rank, scale, dropout and layers the recipe fills."""
CHAT = Recipe(learning_rate=1e-3, schedule="cosine", linear_probe=False, batch_size=16, max_length=512, most_epochs=5)
"""What the recipes of conversations share: a language model knows the language already, and many epochs over few
answers only teach it these by heart."""
UNKNOWN = Recipe(learning_rate=1e-3, linear_probe=False, steps=1)
"""For a trainer that nothing is known of: what it is told when the job says nothing, and may pass over."""
SUMMARY = Recipe(learning_rate=3e-4, linear_probe=False, max_length=256, steps=1000)
"""What the recipes of summaries share."""
ANSWERS = Recipe(learning_rate=3e-4, warmup=0.1, linear_probe=False, batch_size=16, max_length=256, steps=600)
"""What the recipes of questions share: a row takes twice the tokens of other texts, so a batch has half the rows."""
RECIPES: dict[tuple[str, str, str], dict[int, Recipe]] = {
    ("text-classification", BASE, "full"): {1: Recipe(learning_rate=1e-4)},
    ("text-classification", BASE, "lora"): {1: Recipe(learning_rate=3e-3)},
    ("token-classification", BASE, "full"): {1: Recipe(learning_rate=3e-4, linear_probe=False, steps=400)},
    ("token-classification", BASE, "lora"): {1: Recipe(learning_rate=3e-3, linear_probe=False, steps=400)},
    **{
        (task, start, method): {1: recipe}
        for task, steps, probe in (
            ("text-classification", 200, True),
            ("multi-label-classification", 400, True),
            ("token-classification", 400, False),
        )
        for start in (BASE, VERSION)
        for method, recipe in {
            "head": Recipe(learning_rate=1e-2, linear_probe=probe, steps=steps),
            "layerNorm": Recipe(learning_rate=3e-3, linear_probe=probe, steps=steps),
            "ia3": Recipe(learning_rate=1e-2, linear_probe=probe, steps=steps),
            "adaLora": Recipe(learning_rate=3e-3, linear_probe=probe, steps=steps),
        }.items()
    },
    ("image-classification", "cnn", "full"): {1: replace(PICTURES, steps=500)},
    ("image-classification", "resnet", "full"): {1: replace(PICTURES, steps=800, whole_batch=True)},
    ("image-classification", "vit", "full"): {1: replace(PICTURES, learning_rate=1e-3, steps=2000)},
    ("object-detection", "dense", "full"): {1: replace(PICTURES, learning_rate=2e-3, batch_size=16, steps=1500)},
    ("text-classification", VERSION, "full"): {1: Recipe(learning_rate=1e-4)},
    ("text-classification", VERSION, "lora"): {1: Recipe(learning_rate=3e-3)},
    ("token-classification", VERSION, "full"): {1: Recipe(learning_rate=3e-4, linear_probe=False, steps=400)},
    ("token-classification", VERSION, "lora"): {1: Recipe(learning_rate=3e-3, linear_probe=False, steps=400)},
    ("image-classification", VERSION, "full"): {1: replace(PICTURES, learning_rate=1e-3, steps=500, whole_batch=True)},
    ("object-detection", VERSION, "full"): {1: replace(PICTURES, learning_rate=1e-3, batch_size=16, steps=1500)},
    **{
        ("question-answering", start, method): {1: replace(ANSWERS, learning_rate=rate)}
        for start in (BASE, VERSION)
        for method, rate in (("full", 3e-4), ("lora", 3e-3))
    },
    ("translation", VERSION, "full"): {1: Recipe(learning_rate=3e-4, linear_probe=False, steps=1000)},
    ("translation", VERSION, "lora"): {1: Recipe(learning_rate=1e-3, linear_probe=False, steps=1000)},
    ("translation", BASE, "full"): {1: Recipe(learning_rate=3e-4, linear_probe=False, steps=1000)},
    ("translation", BASE, "lora"): {1: Recipe(learning_rate=1e-3, linear_probe=False, steps=1000)},
    ("translation", "transformer", "full"): {
        1: Recipe(learning_rate=1e-3, linear_probe=False, batch_size=64, max_length=64, steps=3000)
    },
    **{("multi-label-classification", start, "full"): {1: Recipe(1e-4, steps=400)} for start in (BASE, VERSION)},
    **{("multi-label-classification", start, "lora"): {1: Recipe(3e-3, steps=400)} for start in (BASE, VERSION)},
    ("text-generation", BASE, "lora"): {1: replace(CHAT, learning_rate=1e-3)},
    ("text-generation", BASE, "full"): {1: replace(CHAT, learning_rate=1e-4)},
    ("text-generation", VERSION, "lora"): {1: replace(CHAT, learning_rate=1e-3)},
    ("text-generation", VERSION, "full"): {1: replace(CHAT, learning_rate=1e-4)},
    **{("summarization", start, "full"): {1: SUMMARY} for start in (BASE, VERSION)},
    **{("summarization", start, "lora"): {1: replace(SUMMARY, learning_rate=1e-3)} for start in (BASE, VERSION)},
    ("summarization", "transformer", "full"): {
        1: replace(SUMMARY, learning_rate=1e-3, batch_size=64, max_length=128, steps=3000)
    },
    ("custom", BASE, "full"): {1: UNKNOWN},
    ("custom", OWN, "full"): {1: UNKNOWN},
}
"""By task, start (BASE, VERSION, or the architecture that begins with random weights) and method."""


@dataclass(frozen=True)
class Asked:
    """What a job says about training; each block may leave all to the recipe."""

    task: Task
    method: Method | None
    input: Input
    train: Train
    start: str = BASE
    """BASE, VERSION, or the architecture that begins with random weights."""
    max_length: int | None = None
    """Tokens per row of the version that the job goes on from, in place of the recipe's number."""


@dataclass(frozen=True)
class Resolved:
    """Method, input and hyper-parameters of a run, complete, and the number of the recipe that filled them."""

    recipe: int
    method: ResolvedMethod
    input: ResolvedInput
    train: Hyperparameters
    by_recipe: tuple[str, ...]
    """Fields of the spec that the recipe filled, dotted."""


def method_of(task: Task, start: str, method: Method | None) -> Method:
    """The method that is asked for, or the one that the task takes from this start where a job names none."""
    return method or Method.model_validate({TASKS[task].starting(start).methods[0]: {}})


def resolved(asked: Asked, rows: int, most_epochs: int | None = None) -> Resolved:
    """What is asked for, completed by the newest recipe for so many training rows.

    The recipe never takes more than `most_epochs`, the limit of the TrainingProfile.
    """
    how = method_of(asked.task, asked.start, asked.method)
    number, recipe = max(RECIPES[asked.task, asked.start, how.kind].items())
    method, input_ = _method(how, recipe), _input(asked, recipe)
    train = _train(asked.train, recipe, rows, most_epochs)
    given, found = _fields(how, asked.input, asked.train), _fields(method, input_, train)
    return Resolved(number, method, input_, train, tuple(sorted(found - given)))


def at_once(task: str, start: str, method: str, number: int) -> bool:
    """Whether the recipe asks for all rows of a batch to be computed at once; not known of another release's."""
    recipe = RECIPES.get((task, start, method), {}).get(number)
    return recipe is not None and recipe.whole_batch


def _method(asked: Method, recipe: Recipe) -> ResolvedMethod:
    given = asked.dump()
    if asked.kind in LOW_RANK:
        block = {"rank": recipe.rank, "dropout": recipe.dropout, "targets": recipe.targets, **given[asked.kind]}
        given = {asked.kind: {"alpha": recipe.alpha * block["rank"], **block}}
    return ResolvedMethod.model_validate(given)


def _input(asked: Asked, recipe: Recipe) -> ResolvedInput:
    if not TASKS[asked.task].reads:
        return ResolvedInput()
    if TASKS[asked.task].reads == "image":
        given = asked.input.image.model_dump(exclude_none=True) if asked.input.image else {}
        return ResolvedInput(image=ResolvedImage(**{"augment": recipe.augment, **given}))
    length = asked.input.text.max_length if asked.input.text else None
    return ResolvedInput(text=ResolvedText(max_length=length or asked.max_length or recipe.max_length))


def _train(asked: Train, recipe: Recipe, rows: int, most_epochs: int | None) -> Hyperparameters:
    defaults = {
        "learning_rate": recipe.learning_rate,
        "schedule": recipe.schedule,
        "warmup": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "linear_probe": recipe.linear_probe,
        "batch_size": recipe.batch_size,
    }
    fields = {**defaults, **asked.model_dump(exclude_none=True)}
    fields.setdefault("epochs", _epochs(recipe, rows, fields["batch_size"], most_epochs))
    return Hyperparameters(**fields)


def _fields(method: ApiModel, input_: ApiModel, train: ApiModel) -> set[str]:
    """Dotted names of the fields that have a value."""
    return set(_paths({"method": method.dump(), "input": input_.dump(), "train": train.dump()}, ""))


def _paths(block: dict[str, Any], above: str) -> Iterator[str]:
    for name, value in block.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{above}{name}.")
        else:
            yield above + name


def _epochs(recipe: Recipe, rows: int, rows_per_step: int, most_epochs: int | None) -> int:
    """Epochs that come nearest to the recipe's number of steps; 1 at least."""
    per_epoch = max(1, math.ceil(rows / rows_per_step))
    wanted = max(1, math.floor(recipe.steps / per_epoch + 0.5)) if rows else 1
    return min(wanted, recipe.most_epochs, most_epochs or wanted)
