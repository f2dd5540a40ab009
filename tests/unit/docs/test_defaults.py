"""docs/defaults.md shows the recipes as they are."""

from __future__ import annotations

from modelyard.api.recipes import LOW_RANK, RECIPES, Recipe
from modelyard.api.tasks import TASKS
from tests.docs import ROOT


def line(task: str, start: str, method: str, number: int, recipe: Recipe) -> str:
    lora = f"rank {recipe.rank}, alpha {recipe.alpha * recipe.rank:g}, {recipe.targets}" if method in LOW_RANK else ""
    cells: list[object] = [task, start, method, number, f"{recipe.learning_rate:g}", recipe.schedule, recipe.warmup]
    cells += ["yes" if recipe.linear_probe else "no"]
    length = recipe.max_length if TASKS[task].reads == "text" else "-"
    cells += [recipe.weight_decay, recipe.batch_size, length, recipe.steps, lora]
    return "| " + " | ".join(str(cell) for cell in cells).rstrip() + " |"


def test_the_table_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "defaults.md").read_text()
    for (task, start, method), numbered in RECIPES.items():
        for number, recipe in numbered.items():
            assert line(task, start, method, number, recipe) in page
