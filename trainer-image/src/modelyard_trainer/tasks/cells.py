"""Cells of a source as the values of a row; ValueError says what is wrong with a column, the reader where."""

from __future__ import annotations

import json
from typing import Any


def plain(column: str, value: Any) -> str:
    """The value as text; null and NaN are empty, numbers and booleans are written out."""
    if value is None or value != value:
        return ""
    if isinstance(value, list | dict):
        kind = "a list" if isinstance(value, list) else "an object"
        raise ValueError(
            f"column {column} is {kind}, not text or a number: spec.source.columns must name columns of plain values"
        )
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()
