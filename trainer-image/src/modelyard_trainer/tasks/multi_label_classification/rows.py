"""Rows of a text and its labels, of which there may be none."""

from __future__ import annotations

import json
import re
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

BETWEEN = re.compile(r"[,;|]")
"""What separates labels that are written as one text."""


def schema() -> pa.Schema:
    """Labels in alphabetical order, and the text."""
    import pyarrow as pa

    return pa.schema([("labels", pa.list_(pa.string())), ("text", pa.string())])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | None:
    """The row of a record; None without a text. A row without labels has none of them."""
    text = plain(columns["text"], record.get(columns["text"]))
    labels = _labels(columns["labels"], record.get(columns["labels"]))
    return {"labels": labels, "text": text} if text.strip() else None


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """Text and labels in the step's Unicode form, or why the row is removed."""
    text = normal(row["text"], step)
    if not text:
        return "empty"
    labels = _distinct([normal(label, step) for label in row["labels"]])
    return "short" if len(text) < step.min_chars else {**row, "labels": labels, "text": text}


def same(row: Fields) -> bytes:
    """Texts that differ only in case, spacing or Unicode form ask the same."""
    return same_text(row["text"]).encode()


def classes(row: Fields) -> tuple[str, ...]:
    """The labels."""
    return tuple(row["labels"])


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row with its labels as they are spelt."""
    return {**row, "labels": _distinct([spelt.get(label, label) for label in row["labels"]])}


def instance(row: Fields) -> Instance:
    """The text."""
    return {"text": row["text"]}


def _labels(column: str, value: Any) -> list[str]:
    """A list as it is, as JSON in a text, or a text with commas, semicolons or bars between the labels."""
    if value is None or value != value:
        return []
    if isinstance(value, str):
        value = _parsed(value) if value.lstrip().startswith("[") else BETWEEN.split(value)
    parts = value if isinstance(value, list) else [value]
    if any(isinstance(part, list | dict) for part in parts):
        raise ValueError(
            f"column {column} is no list of labels: give a list of texts, as JSON in CSV, or labels with commas, "
            "semicolons or bars between them"
        )
    return _distinct([label_of(plain(column, part)) for part in parts])


def _parsed(text: str) -> Any:
    """JSON, or the labels of a text that only looks like it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return BETWEEN.split(text)


def _distinct(labels: list[str]) -> list[str]:
    return sorted({label for label in labels if label})
