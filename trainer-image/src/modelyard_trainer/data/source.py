"""Reads rows of files, as a stream but for JSON lists; every fault names file, line and what was wrong."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any, cast

from modelyard_trainer.data.labels import label_of
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.parquet import MAGIC, read_parquet
from modelyard_trainer.data.rows import Row
from modelyard_trainer.errors import TrainerError, bad_data

CELL_LIMIT = 16 << 20
"""Characters of one CSV cell."""
Records = Iterator[tuple[int, dict[str, Any]]]


FORMATS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".txt": "csv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip


@dataclass(frozen=True)
class Twice:
    """In place of a cell: several columns have this name, and nobody may ask for it."""

    times: int


@dataclass(frozen=True)
class Wanted:
    """Columns to take, and the field of the spec that named each."""

    text: str
    label: str
    group: str | None = None
    group_field: str = "spec.prepare.split.groupBy"

    @classmethod
    def of(cls, columns: dict[str, str], group: str | None, group_field: str) -> Wanted:
        """From the user's columns and the split's groupBy."""
        return cls(columns["text"], columns["label"], group, group_field)

    def fields(self) -> dict[str, str]:
        """Field of the spec -> column."""
        fields = {"spec.source.columns.text": self.text, "spec.source.columns.label": self.label}
        return {**fields, self.group_field: self.group} if self.group else fields


def read_files(files: list[Path], format: str, wanted: Wanted, removed: Counter[str], notes: Notes) -> Iterator[Row]:
    """Rows of all files; rows without text or class are counted as removed['empty'], the first are noted."""
    for path in files:
        yield from _read_file(path, format, wanted, removed, notes)


def _read_file(path: Path, format: str, wanted: Wanted, removed: Counter[str], notes: Notes) -> Iterator[Row]:
    kind = _format(path) if format == "auto" else format
    records = _reader(kind, wanted)
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
            notes.saw_empty(path.name, number)
        else:
            yield row
    if count:
        _check_columns(path, wanted, seen, keys)


def _reader(kind: str, wanted: Wanted) -> Callable[[Path], Records]:
    if kind == "parquet":
        return lambda path: read_parquet(path, set(wanted.fields().values()))
    return {"jsonl": _json_lines, "json": _json_array, "csv": _csv_lines, "tsv": _csv_lines}[kind]


def _guarded(path: Path, read: Callable[[Path], Records]) -> Records:
    """The records, with the faults of decoding in our words."""
    try:
        yield from read(path)
    except UnicodeDecodeError as fault:
        raise bad_data(_bad_byte(path)) from fault
    except (gzip.BadGzipFile, EOFError, zlib.error) as fault:
        raise bad_data(f"{path.name} is not a complete gzip file ({fault}): upload it again") from fault


def _bad_byte(path: Path) -> str:
    """Which byte is no UTF-8, what the file probably is, and the command that fixes it."""
    with _open_bytes(path) as stream:
        start = stream.read(4)
        if start == b"PK\x03\x04":
            return f"{path.name} is a spreadsheet or a zip file: save it as CSV in UTF-8"
        if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in start:
            return f"{path.name} is UTF-16, not UTF-8: convert it with `iconv -f UTF-16 -t UTF-8`"
        decoder, at, line, chunk = codecs.getincrementaldecoder("utf-8")(), 0, 1, start
        while chunk:
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as fault:
                byte, line = fault.object[fault.start], line + chunk[: max(0, fault.start - held)].count(b"\n")
                return (
                    f"{path.name} is not UTF-8: byte 0x{byte:02x} at offset {at - held + fault.start} (line {line}) "
                    f"{_as_latin(byte)}: convert it with `iconv -f CP1252 -t UTF-8`, and check spec.source.format"
                )
            at, line, chunk = at + len(chunk), line + chunk.count(b"\n"), stream.read(1 << 16)
    return f"{path.name} ends in the midst of a UTF-8 character: upload it again"


def _as_latin(byte: int) -> str:
    return f"would be '{bytes([byte]).decode('cp1252', 'replace')}' in Latin-1 or Windows-1252"


def _open_bytes(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _open(path: Path) -> io.TextIOBase:
    return io.TextIOWrapper(_open_bytes(path), encoding="utf-8-sig", newline="")


def _format(path: Path) -> str:
    """By the file's name, else by its first character."""
    suffix = PurePath(path.name.removesuffix(".gz")).suffix.lower()
    if suffix in FORMATS:
        return FORMATS[suffix]
    with path.open("rb") as stream:
        if stream.read(len(MAGIC)) == MAGIC:
            return "parquet"
    start = _first_character(path)
    return {"{": "jsonl", "[": "json"}.get(start, "csv")


def _first_character(path: Path) -> str:
    """The first character that is no space, empty if there is none or it cannot be read: the reader says why."""
    try:
        with _open(path) as stream:
            return stream.read(1024).lstrip()[:1]
    except (UnicodeDecodeError, EOFError, OSError, zlib.error):
        return ""


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
            f"{path.name} line {number} is not JSON ({fault}): {_shown(line)}: "
            "each line must be one JSON object; spec.source.format says what else a file may be"
        ) from fault
    if not isinstance(value, dict):
        raise bad_data(f"{path.name} line {number} is {_kind(value)}, not a JSON object: {_shown(line)}")
    return value


def _json_array(path: Path) -> Records:
    """A list of objects, or an object per line under the name of a list."""
    with _open(path) as stream:
        text = stream.read()
    if not text.lstrip().startswith("["):
        yield from _json_lines(path)
        return
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise bad_data(f"{path.name} is not a JSON list ({fault}): each row must be an object in one list") from fault
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise bad_data(f"{path.name} item {number} is {_kind(value)}, not a JSON object: {_shown(repr(value))}")
        yield number, value


def _csv_lines(path: Path) -> Records:
    """Cells by column; columns without a name, which spreadsheets leave, are passed over."""
    csv.field_size_limit(CELL_LIMIT)
    with _open(path) as stream:
        head = stream.readline()
        stream.seek(0)
        reader = csv.reader(stream, strict=True, delimiter=_delimiter(head))
        try:
            header = [name.strip() for name in next(reader, [])]
            for cells in reader:
                if any(cells):
                    yield reader.line_num, _csv_record(path, reader.line_num, header, cells)
        except csv.Error as fault:
            raise bad_data(f"{path.name} line {reader.line_num} is not CSV ({fault}): correct or quote it") from fault


def _delimiter(head: str) -> str:
    """The one that the header has most of, outside of quotes; a comma if it has none."""
    bare = re.sub(r'"[^"]*"', "", head)
    return max(",;\t|", key=lambda mark: (bare.count(mark), mark == ","))


def _csv_record(path: Path, line: int, header: list[str], cells: list[str]) -> dict[str, Any]:
    if len(cells) < len(header) or any(cells[len(header) :]):
        raise bad_data(
            f"{path.name} line {line} has {len(cells)} cells, but the header has {len(header)} columns: "
            "quote cells that contain a comma or a line break"
        )
    named = [(name, cell) for name, cell in zip(header, cells, strict=False) if name]
    record: dict[str, Any] = dict(named)
    if len(record) < len(named):
        record |= {name: Twice(header.count(name)) for name in record if header.count(name) > 1}
    return record


def _row(path: Path, number: int, record: dict[str, Any], wanted: Wanted) -> Row | None:
    text = _string(path, number, wanted.text, record.get(wanted.text))
    label = label_of(_string(path, number, wanted.label, record.get(wanted.label)))
    group = _string(path, number, wanted.group, record.get(wanted.group)) if wanted.group else ""
    return Row(text, label, group) if text.strip() and label else None


def _string(path: Path, number: int, column: str, value: Any) -> str:
    """The value as text; null and NaN are empty, numbers and booleans are written out."""
    if value is None or value != value:
        return ""
    if isinstance(value, Twice):
        raise bad_data(
            f"the header of {path.name} has the column {column} {value.times} times: give each a name of its own"
        )
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
