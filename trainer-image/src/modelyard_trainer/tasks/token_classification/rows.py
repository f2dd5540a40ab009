"""Rows of words and their tags (IOB2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import normal
from modelyard_trainer.data.labels import label_of
from modelyard_trainer.tasks.cells import plain
from modelyard_trainer.tasks.protocols import Fields, Instance
from modelyard_trainer.tasks.token_classification.words import OUTSIDE, fault_of, spans_of, tags_of

if TYPE_CHECKING:
    import pyarrow as pa

FORM = Clean()
"""How words are compared."""


def schema() -> pa.Schema:
    """Words, and a tag for each."""
    import pyarrow as pa

    return pa.schema([("tags", pa.list_(pa.string())), ("tokens", pa.list_(pa.string()))])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | None:
    """Words and tags of a record; None without words or tags."""
    cells = {name: record.get(columns[name]) for name in ("tokens", "tags")}
    if any(cell is None or cell != cell or cell == "" for cell in cells.values()):
        return None
    tokens, tags = (_list(columns[name], cell) for name, cell in cells.items())
    if not any(token.strip() for token in tokens):
        return None
    tags = [label_of(tag) for tag in tags]
    if fault := fault_of(tokens, tags):
        raise ValueError(f"columns {columns['tokens']} and {columns['tags']}: {fault}")
    return {"tags": tags, "tokens": tokens}


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """Each word in the step's Unicode form, in its place; or why the row is removed."""
    tokens = [normal(token, step) for token in row["tokens"]]
    tags = [normal(tag, step) for tag in row["tags"]]
    if any(not token and tag != OUTSIDE for token, tag in zip(tokens, tags, strict=True)) or not any(tokens):
        return "empty"
    if len(" ".join(tokens)) < step.min_chars:
        return "short"
    return {**row, "tokens": tokens, "tags": tags}


def same(row: Fields) -> bytes:
    """Words that differ only in Unicode form or in spaces inside ask the same; of names the case tells a lot."""
    return "\0".join(" ".join(normal(token, FORM).split()) for token in row["tokens"]).encode()


def classes(row: Fields) -> tuple[str, ...]:
    """Types of the row's entities."""
    return tuple(sorted({span.label for span in spans_of(row["tags"])}))


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row with types of entities as they are spelt."""
    spans = [span._replace(label=spelt.get(span.label, span.label)) for span in spans_of(row["tags"])]
    return {**row, "tags": tags_of(spans, len(row["tags"]))}


def instance(row: Fields) -> Instance:
    """The words."""
    return {"text": row["tokens"]}


def _list(column: str, value: Any) -> list[str]:
    """A list of texts: as it is, as JSON in a text, or as a text with spaces between the words."""
    if isinstance(value, str):
        value = _parsed(value) if value.lstrip().startswith("[") else value.split()
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError(
            f"column {column} is no list of texts: give a list, as JSON in CSV, or words with spaces between them; "
            "tags are words such as B-PER, not numbers"
        )
    return [plain(column, part) for part in value]


def _parsed(text: str) -> Any:
    """JSON, or the words of a text that only looks like it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.split()
