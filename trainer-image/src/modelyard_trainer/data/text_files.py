"""Reads records of JSON and CSV files as a stream; every fault names file, line and what was wrong."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from modelyard_trainer.errors import bad_data

CELL_LIMIT = 16 << 20
"""Characters of one CSV cell."""
PIECE, ITEM_LIMIT = 1 << 20, 64 << 20
"""Characters of a JSON list that are read at once, and that one of its items may have."""
SPACE = re.compile(r"[ \t\n\r]*")
DECODER = json.JSONDecoder()
Records = Iterator[tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Twice:
    """In place of a cell: several columns have this name, and nobody may ask for it."""

    times: int


def guarded(path: Path, read: Callable[[Path], Records]) -> Records:
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


def first_character(path: Path) -> str:
    """The first character that is no space, empty if there is none or it cannot be read: the reader says why."""
    try:
        with _open(path) as stream:
            return stream.read(1024).lstrip()[:1]
    except (UnicodeDecodeError, EOFError, OSError, zlib.error):
        return ""


def json_lines(path: Path) -> Records:
    """An object per line."""
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield number, _json_object(path, number, line)


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise bad_data(
            f"{path.name} line {number} is not JSON ({fault}): {shown(line)}: "
            "each line must be one JSON object; spec.source.format says what else a file may be"
        ) from fault
    if not isinstance(value, dict):
        raise bad_data(f"{path.name} line {number} is {kind_of(value)}, not a JSON object: {shown(line)}")
    return value


def json_array(path: Path) -> Records:
    """A list of objects, or an object per line under the name of a list."""
    with _open(path) as stream:
        text = stream.read(PIECE)
        while text.isspace():
            text = stream.read(PIECE)
        start = SPACE.match(text).end()  # type: ignore[union-attr]  # it matches nothing, too
        if text[start : start + 1] != "[":
            yield from json_lines(path)
            return
        try:
            for number, value in enumerate(_items(stream, text, start + 1), 1):
                if not isinstance(value, dict):
                    raise bad_data(
                        f"{path.name} item {number} is {kind_of(value)}, not a JSON object: {shown(repr(value))}"
                    )
                yield number, value
        except (json.JSONDecodeError, RecursionError) as fault:
            raise bad_data(
                f"{path.name} is not a JSON list ({fault}): each row must be an object in one list"
            ) from fault


def _items(stream: io.TextIOBase, text: str, at: int) -> Iterator[Any]:
    """Values of a JSON list that goes on in `stream` after `text`, of which the value at `at` comes first."""
    mark = ""
    while True:
        try:
            end = SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
            if text[end : end + 1] == "]":
                break
            if not text.startswith(mark, end):
                raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
            begin = SPACE.match(text, end + len(mark)).end()  # type: ignore[union-attr]
            value, at = DECODER.raw_decode(text, begin)
        except json.JSONDecodeError:
            more = stream.read(max(PIECE, len(text) - at)) if len(text) - at < ITEM_LIMIT else ""
            if not more:
                raise
            text, at = text[at:] + more, 0
        else:
            mark = ","
            yield value
    rest = text[end + 1 :] + stream.read(PIECE)
    if rest.strip():
        raise json.JSONDecodeError("Extra data", rest, 0)


def csv_lines(path: Path) -> Records:
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


def kind_of(value: Any) -> str:
    """What JSON calls the value, with its article."""
    return {list: "a list", dict: "an object", str: "a string", bool: "a boolean", type(None): "null"}.get(
        type(value), "a number"
    )


def shown(line: str) -> str:
    """The beginning of a line, quoted."""
    text = line.strip()
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
