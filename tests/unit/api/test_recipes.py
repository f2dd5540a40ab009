"""What a recipe fills, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api import recipes
from modelyard.api.hyperparameters import Hyperparameters, Method, Train
from modelyard.api.recipes import RECIPES, Resolved, resolved

FILLED = ("batchSize", "epochs", "learningRate", "linearProbe", "maxLength", "schedule", "warmup", "weightDecay")


def made(
    train: dict[str, Any] | None = None,
    method: dict[str, Any] | None = None,
    rows: int = 6400,
    most_epochs: int | None = None,
) -> Resolved:
    asked = Train.model_validate(train or {})
    return resolved("text-classification", Method.model_validate(method or {}), asked, rows, most_epochs)


def test_nothing_is_left_open_and_what_was_filled_is_named() -> None:
    for method in ("full", "lora"):
        found = made(method={"type": method})
        assert set(found.train.dump()) == {*FILLED, "gradientAccumulation", "precision", "seed", "byRecipe"}
        assert found.train.by_recipe == FILLED
    assert set(made().method.dump()) == {"type", "rank", "alpha", "dropout", "targets"}
    assert set(made(method={"type": "full"}).method.dump()) == {"type"}


@pytest.mark.parametrize("field", FILLED)
def test_what_is_asked_for_stands(field: str) -> None:
    values = {"learningRate": 0.7, "warmup": 0.0, "weightDecay": 0.0, "schedule": "constant", "linearProbe": False}
    value = values.get(field, 9)
    found = made({field: value}).train
    assert found.dump()[field] == value
    assert found.by_recipe == tuple(name for name in FILLED if name != field)


def test_zero_is_no_omission() -> None:
    assert made(method={"type": "lora", "dropout": 0.0, "rank": 4}).method.dump() == {
        "type": "lora", "rank": 4, "alpha": 8, "dropout": 0, "targets": "all-linear",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "train", "most", "epochs"),
    [
        (1_000_000, {}, None, 1),
        (0, {}, None, 1),  # not known
        (1, {}, None, 50),
        (1000, {}, 5, 5),
        (1000, {"epochs": 9}, None, 9),
    ],
)
def test_epochs(rows: int, train: dict[str, Any], most: int | None, epochs: int) -> None:
    assert made(train, rows=rows, most_epochs=most).train.epochs == epochs


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("train", [{}, {"batchSize": 8}, {"batchSize": 8, "gradientAccumulation": 4}], ids=str)
@pytest.mark.parametrize("rows", [100, 700, 2000, 4800, 9000])
def test_small_data_is_gone_through_until_there_are_enough_steps(method: str, train: dict[str, Any], rows: int) -> None:
    recipe = RECIPES["text-classification", method][max(RECIPES["text-classification", method])]
    found = made(train, {"type": method}, rows).train
    steps = found.epochs * -(-rows // (found.batch_size * found.gradient_accumulation))
    assert steps > recipe.steps * 2 / 3 or found.epochs == recipe.most_epochs


def test_the_newest_recipe_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    old = RECIPES["text-classification", "lora"]
    monkeypatch.setitem(RECIPES, ("text-classification", "lora"), {**old, 99: replace(old[1], learning_rate=0.5)})
    assert (made().recipe, made().train.learning_rate) == (99, 0.5)
    assert made(method={"type": "full"}).recipe != 99


def test_every_task_and_method_has_one() -> None:
    kinds = Method.model_json_schema()["properties"]["type"]["enum"]
    assert {method for _, method in recipes.RECIPES} == set(kinds)


def test_no_hyper_parameter_is_forgotten() -> None:
    assert set(Hyperparameters.model_fields) - {"by_recipe"} == set(Train.model_fields)
