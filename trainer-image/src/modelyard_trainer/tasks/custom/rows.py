"""Rows with the columns of their source, whatever these are; one is kept as the JSON text of its cells."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import normal
from modelyard_trainer.tasks.protocols import Fields, Instance

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "row"


def schema() -> pa.Schema:
    """The row's JSON."""
    import pyarrow as pa

    return pa.schema([(ROW, pa.string())])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | None:
    """All cells of a record; None if there is nothing in any of them."""
    cells = {str(name): _finite(value) for name, value in record.items()}
    return _row(cells) if any(_texts(cells)) or any(map(_is_value, cells.values())) else None


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """Every text in the step's Unicode form; a row is short if all of its texts together are."""
    cells = {name: _changed(value, lambda text: normal(text, step)) for name, value in instance(row).items()}
    if any(map(_is_value, cells.values())):
        return _row(cells)
    length = sum(map(len, _texts(cells)))
    return "empty" if not length else "short" if length < step.min_chars else _row(cells)


def same(row: Fields) -> bytes:
    """Only equal rows ask the same: which columns are asked about is not known."""
    return str(row[ROW]).encode()


def classes(row: Fields) -> tuple[str, ...]:
    """None that is known."""
    return ()


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row as it is."""
    return row


def instance(row: Fields) -> Instance:
    """The cells by column."""
    return dict(json.loads(row[ROW]))


def _row(cells: Mapping[str, Any]) -> Fields:
    text = json.dumps(cells, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return {ROW: text.encode("utf-8", "replace").decode()}


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with its texts changed, in lists and objects, too."""
    if isinstance(value, list):
        return [_changed(one, change) for one in value]
    if isinstance(value, dict):
        return {name: _changed(one, change) for name, one in value.items()}
    return change(value) if isinstance(value, str) else value


def _finite(value: Any) -> Any:
    """What JSON can hold: a number that is none is null."""
    if isinstance(value, list):
        return [_finite(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _finite(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _texts(cells: Mapping[str, Any]) -> list[str]:
    return [value.strip() for value in cells.values() if isinstance(value, str)]


def _is_value(value: Any) -> bool:
    """Whether a cell holds something other than a text."""
    return value is not None and not isinstance(value, str) and value not in ([], {})
