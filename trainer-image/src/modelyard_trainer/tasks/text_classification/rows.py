"""Rows of a text and its class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import normal
from modelyard_trainer.data.labels import label_of
from modelyard_trainer.data.rows import same_text
from modelyard_trainer.tasks.cells import plain
from modelyard_trainer.tasks.protocols import Fields, Instance

if TYPE_CHECKING:
    import pyarrow as pa


def schema() -> pa.Schema:
    """Text and class."""
    import pyarrow as pa

    return pa.schema([("label", pa.string()), ("text", pa.string())])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | None:
    """The row of a record; None without text or class."""
    text = plain(columns["text"], record.get(columns["text"]))
    label = label_of(plain(columns["label"], record.get(columns["label"])))
    return {"text": text, "label": label} if text.strip() and label else None


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """Text and class in the step's Unicode form, or why the row is removed."""
    text, label = normal(row["text"], step), normal(row["label"], step)
    if not text or not label:
        return "empty"
    return "short" if len(text) < step.min_chars else {**row, "text": text, "label": label}


def same(row: Fields) -> bytes:
    """Texts that differ only in case, spacing or Unicode form ask the same."""
    return same_text(row["text"]).encode()


def classes(row: Fields) -> tuple[str, ...]:
    """The one class."""
    return (row["label"],)


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row with its class as it is spelt."""
    return {**row, "label": spelt.get(row["label"], row["label"])}


def instance(row: Fields) -> Instance:
    """The text."""
    return {"text": row["text"]}
