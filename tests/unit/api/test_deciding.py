"""Every field of FineTuneJob and Dataset is said to decide a run or not; one that is added later moves no hash."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from modelyard.api.dataset import DatasetSpec
from modelyard.api.deciding import ALWAYS, DATASET, FINETUNEJOB, Table
from modelyard.api.finetunejob import FineTuneJobSpec

TABLES = [(FineTuneJobSpec, FINETUNEJOB), (DatasetSpec, DATASET)]


def fields(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, bool]]:
    """Dotted path of each field below, and whether it is a block."""
    for name, field in model.model_fields.items():
        path = f"{above}{field.alias or name}"
        inner, suffix = block(field.annotation)
        yield path, inner is not None
        if inner is not None:
            yield from fields(inner, f"{path}{suffix}.")


def block(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The model of a block, or of a list's items, which are marked."""
    if get_origin(annotation) is Annotated:
        return block(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        found = [part for part in get_args(annotation) if part is not type(None)]
        return block(found[0]) if len(found) == 1 else (None, "")
    if get_origin(annotation) is list:
        inner, _ = block(get_args(annotation)[0])
        return inner, "[]"
    return (annotation, "") if isinstance(annotation, type) and issubclass(annotation, BaseModel) else (None, "")


def faults(model: type[BaseModel], table: Table) -> list[str]:
    """Fields that are in neither half or in both, and rows without a field."""
    known = dict(fields(model))
    rows = [*table.deciding, *table.other]
    found = [f"{path}: in both halves" for path in set(table.deciding) & table.other]
    found += [f"{row}: no such field" for row in rows if row not in known]
    for path, is_block in known.items():
        covering = [row for row in rows if path == row or path.startswith((f"{row}.", f"{row}[]."))]
        below = any(row.startswith((f"{path}.", f"{path}[].")) for row in rows)
        if not covering and not (is_block and below):
            found.append(f"{path}: neither deciding nor not")
        if not is_block and path not in rows and any(row in table.deciding for row in covering):
            found.append(f"{path}: a deciding block's fields are named one by one")
    return found


@pytest.mark.parametrize(("model", "table"), TABLES)
def test_every_field_is_in_exactly_one_half(model: type[BaseModel], table: Table) -> None:
    assert faults(model, table) == []


@pytest.mark.parametrize("path", ["train.seed", "method.lora.rank", "resources", "dataset.inline.revision", "attempt"])
def test_a_field_that_is_left_out_is_noticed(path: str) -> None:
    deciding = {row: birth for row, birth in FINETUNEJOB.deciding.items() if row != path}
    assert any(path in fault for fault in faults(FineTuneJobSpec, Table(deciding, FINETUNEJOB.other - {path})))


def test_rows_without_a_field_and_fields_in_both_halves_are_noticed() -> None:
    assert faults(DatasetSpec, replace(DATASET, other=DATASET.other | {"colour"})) == ["colour: no such field"]
    assert faults(DatasetSpec, replace(DATASET, other=DATASET.other | {"task"})) == ["task: in both halves"]


PLAIN: dict[str, Any] = {"task": "t", "prepare": [{"clean": {}}, {"split": {"seed": 7}}], "resources": {"cpu": 1}}


def test_what_decides_is_named_by_path_and_a_block_counts_by_being_there() -> None:
    assert DATASET.decisive(PLAIN) == {
        "task": "t", "prepare[0].clean": {}, "prepare[1].split": {}, "prepare[1].split.seed": 7
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "birth", "spec", "as_before"),
    [
        ("dialect", "any", {**PLAIN, "dialect": "any"}, True),
        ("dialect", "any", {**PLAIN, "dialect": "swiss"}, False),
        ("prepare[].clean.html", False, {**PLAIN, "prepare": [{"clean": {"html": False}}, PLAIN["prepare"][1]]}, True),
        ("prepare[].clean.html", False, {**PLAIN, "prepare": [{"clean": {"html": True}}, PLAIN["prepare"][1]]}, False),
        ("sample.rows", 0, {**PLAIN, "sample": {"rows": 0}}, True),
        ("sample.rows", 0, {**PLAIN, "sample": {"rows": 5}}, False),
    ],
)
def test_a_field_that_is_added_later_is_left_out_at_its_birth_value(
    path: str, birth: Any, spec: dict[str, Any], as_before: bool
) -> None:
    grown = Table({**DATASET.deciding, path: birth}, DATASET.other)
    assert grown.decisive(PLAIN) == DATASET.decisive(PLAIN)
    assert (grown.decisive(spec) == DATASET.decisive(PLAIN)) == as_before


def test_the_first_release_leaves_nothing_out() -> None:
    assert {*FINETUNEJOB.deciding.values(), *DATASET.deciding.values()} == {ALWAYS}
