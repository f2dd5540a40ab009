"""Reads rows of a source's files as a stream; every fault names file, line and what was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from modelyard_trainer.data import pictures, text_files
from modelyard_trainer.data.notes import EMPTY, Notes
from modelyard_trainer.data.parquet import MAGIC, read_parquet
from modelyard_trainer.data.rows import Record
from modelyard_trainer.data.text_files import Records, Twice
from modelyard_trainer.errors import TrainerError, bad_data
from modelyard_trainer.tasks.cells import plain

if TYPE_CHECKING:
    from modelyard_trainer.tasks.protocols import RowKind

FORMATS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".txt": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
TEXT_READERS: dict[str, Callable[[Path], Records]] = {
    "jsonl": text_files.json_lines,
    "json": text_files.json_array,
    "csv": text_files.csv_lines,
    "tsv": text_files.csv_lines,
}
FIRST = 100
"""Records of a file whose columns are remembered, to be named when one is missing."""


@dataclass(frozen=True)
class Wanted:
    """Columns to take, and the field of the spec that named each."""

    columns: Mapping[str, str]
    """The source's column per column of the task; none for a task whose rows have all columns of the source."""
    splitting: str | None = None
    """The column that decides the split of a row."""
    splitting_field: str = "spec.prepare.split.groupBy"
    picture: str = ""
    """The task's column of pictures, if it has one."""

    @property
    def cells(self) -> set[str]:
        """The source's columns that are read."""
        return {*self.columns.values(), *([self.splitting] if self.splitting else [])}

    def fields(self) -> dict[str, str]:
        """Field of the spec -> column."""
        fields = {f"spec.source.columns.{name}": column for name, column in self.columns.items()}
        return {**fields, self.splitting_field: self.splitting} if self.splitting else fields


def read_files(
    files: Mapping[str, Path], format: str, kind: RowKind, wanted: Wanted, removed: Counter[str], notes: Notes
) -> Iterator[Record]:
    """Rows of all files, by their keys below the source; rows that are left out are counted by reason, most as 'empty'.

    The first ones of each reason are noted.
    """
    if format == "imagefolder" or (format == "auto" and wanted.picture and any(map(pictures.is_picture, files))):
        tables = {key: _records(path, "auto", wanted) for key, path in files.items() if pictures.is_table(key)}
        sources = pictures.read_folder(files, tables, wanted, notes)
        yield from _rows(sources, kind, wanted, removed, notes)
        return
    for path in files.values():
        yield from _rows(_checked(path, _records(path, format, wanted), wanted), kind, wanted, removed, notes)


def _rows(
    records: Iterator[tuple[str, int, dict[str, Any]]],
    kind: RowKind,
    wanted: Wanted,
    removed: Counter[str],
    notes: Notes,
) -> Iterator[Record]:
    splitting = wanted.splitting
    for name, number, record in records:
        try:
            row = kind.fields(record, wanted.columns)
            if isinstance(row, dict):
                yield Record(row, plain(splitting, record.get(splitting)) if splitting else "")
                continue
        except ValueError as fault:
            raise bad_data(f"{name} line {number}: {fault}") from fault
        removed[row or EMPTY] += 1
        notes.saw(row or EMPTY, name, number)


def _records(path: Path, format: str, wanted: Wanted) -> Records:
    kind = _format(path) if format == "auto" else format
    if kind == "parquet":
        cells = wanted.cells if wanted.columns else None
        return read_parquet(path, cells, wanted.columns.get(wanted.picture))
    return text_files.guarded(path, TEXT_READERS[kind])


def _checked(path: Path, records: Records, wanted: Wanted) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """The records of a file; BAD_DATA if it has a wanted column twice, or lacks one that a source must have."""
    cells, seen, keys, count = wanted.cells, set[str](), set[str](), 0
    for number, record in records:
        count += 1
        if len(seen) < len(cells):
            seen.update(cells & record.keys())
        if count <= FIRST:
            keys.update(record)
            _check_names(path, cells if wanted.columns else record, record)
        yield path.name, number, record
    for field, column in wanted.fields().items() if count else ():
        if column not in seen:
            raise _no_column(path, field, column, keys)


def _check_names(path: Path, cells: Collection[str], record: Mapping[str, Any]) -> None:
    for column in cells:
        twice = record.get(column)
        if isinstance(twice, Twice):
            raise bad_data(
                f"the header of {path.name} has the column {column} {twice.times} times: give each a name of its own"
            )


def _format(path: Path) -> str:
    """By the file's name, else by its first character."""
    suffix = PurePath(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    with path.open("rb") as stream:
        if stream.read(len(MAGIC)) == MAGIC:
            return "parquet"
    start = text_files.first_character(path)
    return {"{": "jsonl", "[": "json"}.get(start, "csv")


def _no_column(path: Path, field: str, column: str, keys: set[str]) -> TrainerError:
    found = ", ".join(sorted(str(key) for key in keys)) or "none"
    return bad_data(f"{field} is '{column}', but {path.name} has the columns {found}: set {field} to one of them")
