"""Rows of a text and its translation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import normal
from modelyard_trainer.data.rows import same_text
from modelyard_trainer.tasks.cells import plain
from modelyard_trainer.tasks.protocols import Fields, Instance

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("source", "target")


def schema() -> pa.Schema:
    """Text and translation."""
    import pyarrow as pa

    return pa.schema([(column, pa.string()) for column in COLUMNS])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | None:
    """The row of a record; None without text or translation."""
    row = {column: plain(columns[column], record.get(columns[column])) for column in COLUMNS}
    return row if all(text.strip() for text in row.values()) else None


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """Both texts in the step's Unicode form, or why the row is removed."""
    found = {column: normal(row[column], step) for column in COLUMNS}
    if not all(found.values()):
        return "empty"
    return "short" if len(found["source"]) < step.min_chars else {**row, **found}


def same(row: Fields) -> bytes:
    """Texts that differ only in case, spacing or Unicode form ask the same."""
    return same_text(row["source"]).encode()


def classes(row: Fields) -> tuple[str, ...]:
    """None: translations have no classes."""
    return ()


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row as it is."""
    return row


def instance(row: Fields) -> Instance:
    """The text."""
    return {"text": row["source"]}
