"""Reads rows of JSON lines or CSV files as a stream; every fault names file, line and what was wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.api.dataset import Columns
from modelyard_trainer.data.rows import Row
from modelyard_trainer.errors import TrainerError, bad_data

CELL_LIMIT = 16 << 20
"""Characters of one CSV cell."""
Records = Iterator[tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Wanted:
    """Columns to take, and the field of the spec that named each."""

    text: str
    label: str
    group: str | None = None
    group_field: str = "spec.prepare.split.groupBy"

    @classmethod
    def of(cls, columns: Columns, group: str | None, group_field: str) -> Wanted:
        """From the user's columns and the split's groupBy."""
        return cls(columns.text, columns.label, group, group_field)

    def fields(self) -> dict[str, str]:
        """Field of the spec -> column."""
        fields = {"spec.source.columns.text": self.text, "spec.source.columns.label": self.label}
        return {**fields, self.group_field: self.group} if self.group else fields


def read_files(files: list[Path], format: str, wanted: Wanted, removed: Counter[str]) -> Iterator[Row]:
    """Rows of all files; rows without text or class are counted as removed['empty']."""
    for path in files:
        yield from _read_file(path, format, wanted, removed)


def _read_file(path: Path, format: str, wanted: Wanted, removed: Counter[str]) -> Iterator[Row]:
    records = {"jsonl": _json_lines, "csv": _csv_lines}[format]
    seen, keys, count = set[str](), set[str](), 0
    for number, record in _guarded(path, records):
        count += 1
        for column in wanted.fields().values():
            if column in record:
                seen.add(column)
        if len(keys) < 100:
            keys.update(record)
        row = _row(path, number, record, wanted)
        if row is None:
            removed["empty"] += 1
        else:
            yield row
    if count:
        _check_columns(path, wanted, seen, keys)


def _guarded(path: Path, read: Callable[[Path], Records]) -> Records:
    """The records, with the faults of decoding in our words."""
    try:
        yield from read(path)
    except UnicodeDecodeError as fault:
        raise bad_data(
            f"{path.name} is not UTF-8 text ({fault.reason} at byte {fault.start}): "
            "store it as UTF-8, and check spec.source.format"
        ) from fault
    except (gzip.BadGzipFile, EOFError, zlib.error) as fault:
        raise bad_data(f"{path.name} is not a complete gzip file ({fault}): upload it again") from fault


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _json_lines(path: Path) -> Records:
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, _json_object(path, number, line)


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise bad_data(
            f"{path.name} line {number} is not JSON ({fault}): {_shown(line)}. "
            "Each line must be one JSON object; for CSV set spec.source.format to csv"
        ) from fault
    if not isinstance(value, dict):
        raise bad_data(f"{path.name} line {number} is {_kind(value)}, not a JSON object: {_shown(line)}")
    return value


def _csv_lines(path: Path) -> Records:
    csv.field_size_limit(CELL_LIMIT)
    with _open(path) as stream:
        reader = csv.DictReader(stream, strict=True)
        try:
            for record in reader:
                yield reader.line_num, _csv_record(path, reader, record)
        except csv.Error as fault:
            raise bad_data(
                f"{path.name} line {reader.reader.line_num} is not CSV ({fault}): correct or quote it"
            ) from fault


def _csv_record(path: Path, reader: csv.DictReader[str], record: dict[str | Any, Any]) -> dict[str, Any]:
    cells = len(record.get(None, ())) + sum(value is not None for key, value in record.items() if key is not None)
    columns = len(reader.fieldnames or ())
    if cells != columns:
        raise bad_data(
            f"{path.name} line {reader.line_num} has {cells} cells, but the header has {columns} columns: "
            "quote cells that contain a comma or a line break"
        )
    return record


def _row(path: Path, number: int, record: dict[str, Any], wanted: Wanted) -> Row | None:
    text = _string(path, number, wanted.text, record.get(wanted.text))
    label = _string(path, number, wanted.label, record.get(wanted.label)).strip()
    group = _string(path, number, wanted.group, record.get(wanted.group)) if wanted.group else ""
    return Row(text, label, group) if text.strip() and label else None


def _string(path: Path, number: int, column: str, value: Any) -> str:
    """The value as text; null and NaN are empty, numbers and booleans are written out."""
    if value is None or value != value:
        return ""
    if isinstance(value, list | dict):
        raise bad_data(
            f"{path.name} line {number}: column {column} is {_kind(value)}, not text or a number: "
            "spec.source.columns must name columns of plain values"
        )
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


def _check_columns(path: Path, wanted: Wanted, seen: set[str], keys: set[str]) -> None:
    for field, column in wanted.fields().items():
        if column not in seen:
            raise _no_column(path, field, column, keys)


def _no_column(path: Path, field: str, column: str, keys: set[str]) -> TrainerError:
    found = ", ".join(sorted(str(key) for key in keys)) or "none"
    return bad_data(f"{field} is '{column}', but {path.name} has the columns {found}: set {field} to one of them")


def _kind(value: Any) -> str:
    return {list: "a list", dict: "an object", str: "a string", bool: "a boolean", type(None): "null"}.get(
        type(value), "a number"
    )


def _shown(line: str) -> str:
    text = line.strip()
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
