"""Records by a hash of their key: in memory while they are few, else on disk, to be worked on bucket by bucket.

Everything that must see all rows of one text (or one group) together sees them so with a bucket in memory at a time.
Buckets follow the order of the keys, so what is sorted within each bucket is sorted as a whole.
"""

from __future__ import annotations

import marshal
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard_trainer.data.rows import Record

BITS = 10
"""Leading bits of the key that choose the bucket: of 10 million texts each holds about 10,000."""
MEMORY = 64 << 20
"""Bytes of records that wait in memory before they are written to the buckets' files."""
OVERHEAD = 64
"""Bytes that a record takes beside its own."""
VERSION = 2
"""Of the encoding: equal records give equal bytes. Nothing outlives the process that wrote it."""


def encoded(record: Record) -> bytes:
    """Bytes of a record, equal for equal ones."""
    return marshal.dumps(tuple(record), VERSION)


def decoded(data: bytes) -> Record:
    """The record of `encoded`."""
    return Record(*marshal.loads(data))


def add_piece(file: Path, items: list[Any]) -> None:
    """Append items to a file, which does not stay open."""
    data = marshal.dumps(items, VERSION)
    with file.open("ab") as stream:
        stream.write(len(data).to_bytes(8) + data)


def pieces(file: Path) -> Iterator[Any]:
    """All items of a file, with a piece of them in memory at a time."""
    with file.open("rb") as stream:
        while head := stream.read(8):
            yield from marshal.loads(stream.read(int.from_bytes(head)))


class Bucket:
    """Encoded records whose keys begin alike; they may be gone through several times."""

    def __init__(self, waiting: list[bytes], file: Path | None, scratch: Path) -> None:
        self._waiting, self._file = waiting, file
        self.scratch = scratch
        """A folder that is not there."""

    def __iter__(self) -> Iterator[bytes]:
        if self._file:
            yield from pieces(self._file)
        yield from self._waiting


class Spill:
    """Records below a folder, which is emptied first: an earlier process may have been killed here."""

    def __init__(self, folder: Path, memory: int = MEMORY) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder, self.memory, self._held = folder, memory, 0
        self._waiting: dict[int, list[bytes]] = {}
        self._written = set[int]()

    def add(self, key: bytes, record: Record) -> None:
        """Put a record where others of its key are; keys are hashes of at least two bytes."""
        data = encoded(record)
        self._waiting.setdefault(int.from_bytes(key[:2]) >> (16 - BITS), []).append(data)
        self._held += len(data) + OVERHEAD
        if self._held > self.memory:
            self._write()

    def buckets(self, last: bool = False) -> Iterator[Bucket]:
        """Encoded records, bucket by bucket in the order of keys; `last` gives memory and disk back on the way."""
        for number in sorted(self._written | self._waiting.keys()):
            path = self._path(number)
            file = path if number in self._written else None
            yield Bucket(self._waiting.get(number, []), file, path.with_suffix(".sorted"))
            if last:
                self._waiting.pop(number, None)
                path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:03x}"

    def _write(self) -> None:
        """One piece per bucket: no file stays open, however many buckets there are."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for number, waiting in self._waiting.items():
            add_piece(self._path(number), waiting)
        self._written |= self._waiting.keys()
        self._waiting, self._held = {}, 0
