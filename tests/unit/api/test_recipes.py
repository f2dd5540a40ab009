"""What a recipe fills, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api import recipes
from modelyard.api.hyperparameters import Hyperparameters, Input, Method, Train
from modelyard.api.recipes import LOW_RANK, RECIPES, Asked, Resolved, resolved
from modelyard.api.tasks import BASE, METHODS, TASKS

LORA = ("rank", "alpha", "dropout", "targets")
FILLED = ("batchSize", "epochs", "learningRate", "linearProbe", "schedule", "warmup", "weightDecay")


def made(
    train: dict[str, Any] | None = None,
    method: dict[str, Any] | None = None,
    rows: int = 6400,
    most_epochs: int | None = None,
    input_: dict[str, Any] | None = None,
) -> Resolved:
    asked = Train.model_validate(train or {})
    how = Method.model_validate(method or {"lora": {}})
    return resolved(Asked("text-classification", how, Input.model_validate(input_ or {}), asked), rows, most_epochs)


def test_nothing_is_left_open_and_what_was_filled_is_named() -> None:
    for method in TASKS["text-classification"].starting(BASE).methods:
        found = made(method={method: {}})
        assert set(found.train.dump()) == {*FILLED, "precision", "seed"}
        lora = {f"method.{method}.{name}" for name in LORA} if method in LOW_RANK else set()
        assert set(found.by_recipe) == {*lora, "input.text.maxLength", *(f"train.{name}" for name in FILLED)}
    assert set(made().method.dump()["lora"]) == set(LORA)
    assert made(method={"full": {}}).method.dump() == {"full": {}}


@pytest.mark.parametrize("field", FILLED)
def test_what_is_asked_for_stands(field: str) -> None:
    values = {"learningRate": 0.7, "warmup": 0.0, "weightDecay": 0.0, "schedule": "constant", "linearProbe": False}
    value = values.get(field, 9)
    found, bare = made({field: value}), made()
    assert found.train.dump()[field] == value
    assert set(bare.by_recipe) - set(found.by_recipe) == {f"train.{field}"}


def test_a_length_that_is_asked_for_stands() -> None:
    found = made(input_={"text": {"maxLength": 77}})
    assert found.input.dump() == {"text": {"maxLength": 77}}
    assert "input.text.maxLength" not in found.by_recipe


def test_zero_is_no_omission() -> None:
    assert made(method={"lora": {"dropout": 0.0, "rank": 4}}).method.dump() == {
        "lora": {"rank": 4, "alpha": 8, "dropout": 0, "targets": "all-linear"}
    }


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
@pytest.mark.parametrize("train", [{}, {"batchSize": 8}], ids=str)
@pytest.mark.parametrize("rows", [100, 700, 2000, 4800, 9000])
def test_small_data_is_gone_through_until_there_are_enough_steps(method: str, train: dict[str, Any], rows: int) -> None:
    recipe = RECIPES["text-classification", BASE, method][max(RECIPES["text-classification", BASE, method])]
    found = made(train, {method: {}}, rows).train
    steps = found.epochs * -(-rows // found.batch_size)
    assert steps > recipe.steps * 2 / 3 or found.epochs == recipe.most_epochs


def test_the_newest_recipe_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    old = RECIPES["text-classification", BASE, "lora"]
    monkeypatch.setitem(RECIPES, ("text-classification", BASE, "lora"), {**old, 99: replace(old[1], learning_rate=0.5)})
    assert (made().recipe, made().train.learning_rate) == (99, 0.5)
    assert made(method={"full": {}}).recipe != 99


def test_every_task_and_method_has_one() -> None:
    assert {method for _, _, method in recipes.RECIPES} == set(METHODS)
    offered = {field.alias or name for name, field in Method.model_fields.items()}
    assert offered == set(METHODS)


def test_no_hyper_parameter_is_forgotten() -> None:
    assert set(Hyperparameters.model_fields) == set(Train.model_fields)


@pytest.mark.parametrize("start", ["cnn", "resnet", "vit"])
def test_pictures_have_an_input_of_their_own(start: str) -> None:
    def pictures(input_: dict[str, Any]) -> Resolved:
        return resolved(Asked("image-classification", None, Input.model_validate(input_), Train(), start), 3500)

    found = pictures({})
    assert found.input.dump() == {"image": {"augment": "move"}}
    assert found.method.dump() == {"full": {}}
    assert set(found.by_recipe) == {"input.image.augment", *(f"train.{name}" for name in FILLED)}
    asked = {"image": {"size": 64, "augment": "none"}}
    assert pictures(asked).input.dump() == asked
    assert recipes.at_once("image-classification", start, "full", found.recipe) == (start == "resnet")
    assert not recipes.at_once("image-classification", start, "full", 999)
