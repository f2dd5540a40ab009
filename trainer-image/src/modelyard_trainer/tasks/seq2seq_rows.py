"""Rows of a text that is read and one that is written: what the tasks share whose models write."""

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


class PairRows:
    """Rows by the names of their two columns."""

    def __init__(self, source: str, target: str) -> None:
        self._source = source
        self._columns = (source, target)

    def schema(self) -> pa.Schema:
        """Both texts."""
        import pyarrow as pa

        return pa.schema([(column, pa.string()) for column in self._columns])

    def fields(self, record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | None:
        """The row of a record; None without one of the texts."""
        row = {column: plain(columns[column], record.get(columns[column])) for column in self._columns}
        return row if all(text.strip() for text in row.values()) else None

    def cleaned(self, row: Fields, step: Clean) -> Fields | str:
        """Both texts in the step's Unicode form, or why the row is removed."""
        found = {column: normal(row[column], step) for column in self._columns}
        if not all(found.values()):
            return "empty"
        return "short" if len(found[self._source]) < step.min_chars else {**row, **found}

    def same(self, row: Fields) -> bytes:
        """Texts that differ only in case, spacing or Unicode form ask the same."""
        return same_text(row[self._source]).encode()

    def classes(self, row: Fields) -> tuple[str, ...]:
        """None: what is written has no classes."""
        return ()

    def relabelled(self, row: Fields, spelt: Mapping[str, str]) -> Fields:
        """The row as it is."""
        return row

    def instance(self, row: Fields) -> Instance:
        """The text that is read."""
        return {"text": row[self._source]}
