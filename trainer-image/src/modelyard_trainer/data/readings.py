"""What the model reads of each row: read once, by all CPUs, and kept in files that are mapped into memory.

A file's name is the digest of all that decides its content, so a pod that starts again in the same work folder reads
nothing twice, and never takes what was read otherwise. A file gets its name once it is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

import numpy as np

from modelyard_trainer.data.mapped import Mapped, MappedRows
from modelyard_trainer.tasks import load_codec, rows_of
from modelyard_trainer.tasks.protocols import Codec, Fields, KeepingCodec, Reading

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)
FORMAT = 1
"""Of the files, and of how a row becomes a request: a change of either gives all files other names."""
CHUNK = 4096
"""Rows that are in memory at once, in each process."""
PIECE = 32 * CHUNK
"""Rows of a file: what a process that is killed has to do again at most."""
MOST_PROCESSES = 8
"""Each takes about 100 MiB."""
WORTH_PROCESSES = 32 << 20
"""Bytes of rows from which other processes are started: it takes each of them a second."""
SIZE, CUT = "size", "cut"
Check = Callable[[], None]
"""Called now and then; what it raises ends the reading."""


class Readings(Sequence[Reading]):
    """One for each row of a split."""

    sizes: np.ndarray
    """Size of each row."""
    cut: int
    """Rows of which the model reads less than they hold."""

    def __init__(self, codec: Codec, rows: Sequence[Fields], task: str) -> None:
        self._codec, self._rows, self._instance = codec, rows, rows_of(task).instance

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Reading: ...
    @overload
    def __getitem__(self, at: slice) -> list[Reading]: ...
    def __getitem__(self, at: int | slice) -> Reading | list[Reading]:
        if isinstance(at, slice):
            return [self._reading(row) for row in range(*at.indices(len(self)))]
        return self._reading(at)

    def _reading(self, row: int) -> Reading:
        raise NotImplementedError


class Anew(Readings):
    """Each row is read whenever it is asked for."""

    def __init__(self, codec: Codec, rows: Sequence[Fields], task: str) -> None:
        super().__init__(codec, rows, task)
        self.sizes, self.cut = np.full(len(rows), codec.one_size), 0

    def _reading(self, row: int) -> Reading:
        return self._codec.read([self._instance(self._rows[row])])[0]


class Kept(Readings):
    """All rows are read, and lie in files."""

    def __init__(self, codec: KeepingCodec, rows: Sequence[Fields], task: str, files: Sequence[Path]) -> None:
        super().__init__(codec, rows, task)
        self._unpacked = codec.unpacked
        self._files = Mapped(files)
        columns = [_columns(batch) for batch in self._files.batches]
        self._columns = [{name: lists for name, lists in one.items() if isinstance(lists, _Lists)} for one in columns]
        sizes, cuts = ([one[name] for one in columns] for name in (SIZE, CUT))
        self.sizes, self._cut = np.concatenate([[], *sizes]).astype(np.int32), np.concatenate([[], *cuts]) > 0
        self.cut = int(self._cut.sum())

    def _reading(self, row: int) -> Reading:
        batch, at = self._files.place(row)
        packed = {name: lists.of(at) for name, lists in self._columns[batch].items()}
        found = self._unpacked(packed, lambda: self._instance(self._rows[row]))
        return replace(found, cut=True) if self._cut[row] else found


class _Lists(NamedTuple):
    """A column of lists, as the file has it."""

    values: np.ndarray
    starts: np.ndarray

    def of(self, row: int) -> np.ndarray:
        found: np.ndarray = self.values[self.starts[row] : self.starts[row + 1]]
        return found


def _columns(batch: pa.RecordBatch) -> dict[str, Any]:
    """Views of the mapped file: nothing is copied."""
    import pyarrow as pa

    return {
        name: _Lists(column.values.to_numpy(), column.offsets.to_numpy())
        if pa.types.is_list(column.type)
        else column.to_numpy()
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }


@dataclass(frozen=True)
class Reader:
    """Reads rows of the splits, in any process."""

    task: str
    codec: KeepingCodec
    rows: Mapping[str, MappedRows]

    def read(self, part: Part) -> pa.RecordBatch:
        """Rows as they are kept."""
        import pyarrow as pa

        rows, instance = self.rows[part.split][part.start : part.stop], rows_of(self.task).instance
        readings = self.codec.read([instance(row) for row in rows])
        packed = [self.codec.packed(reading, row) for reading, row in zip(readings, rows, strict=True)]
        columns: dict[str, Any] = {name: _lists([one[name] for one in packed]) for name in packed[0]}
        columns[SIZE] = pa.array([reading.size for reading in readings], pa.int32())
        columns[CUT] = pa.array([int(reading.cut) for reading in readings], pa.uint8())
        return pa.RecordBatch.from_pydict(columns)


def _lists(values: Sequence[np.ndarray]) -> pa.ListArray:
    import pyarrow as pa

    ends: np.ndarray = np.cumsum([0, *map(len, values)], dtype=np.int32)
    joined: np.ndarray = np.concatenate(values).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(joined))


class Part(NamedTuple):
    """Rows of a split that follow one another."""

    split: str
    start: int
    stop: int

    def parts(self, rows: int) -> list[Part]:
        """Of so many rows at most."""
        starts = range(self.start, self.stop, rows)
        return [Part(self.split, start, min(start + rows, self.stop)) for start in starts]


@dataclass(frozen=True)
class Saved:
    """A codec in files, from which a process makes it: a tokenizer that is pickled forgets some of its settings."""

    folder: Path
    settings: dict[str, Any]
    labels: list[str]

    def digest(self) -> str:
        """Of all that it says."""
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(self.folder.iterdir())}
        return _digest(self.settings, files)

    def load(self, task: str) -> KeepingCodec:
        """The codec."""
        return cast(KeepingCodec, load_codec(task, self.folder, self.settings, self.labels))


def _digest(*what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def kept(reader: Reader, saved: Saved, known_as: str, folder: Path, processes: int, check: Check) -> dict[str, Kept]:
    """All rows of all splits, read by so many processes at most.

    `known_as` is the digest of the rows and of the program that reads them. `folder` holds nothing else: what is not
    asked for is removed from it.
    """
    known = _digest(FORMAT, version("tokenizers"), reader.task, known_as, saved.digest())
    pieces = [piece for split, rows in reader.rows.items() for piece in Part(split, 0, len(rows)).parts(PIECE)]
    paths = {piece: folder / f"{_digest(known, piece)}.arrow" for piece in pieces}
    for path in set(folder.iterdir()) - set(paths.values()):
        path.unlink()
    missing = [piece for piece, path in paths.items() if not _whole(path, piece)]
    log.info("%d of %d files of rows are to be read", len(missing), len(pieces))
    with _Processes(reader, saved, min(processes, MOST_PROCESSES) if _worth(reader, missing) else 1) as made:
        batches = made.read(chunk for piece in missing for chunk in piece.parts(CHUNK))
        for piece in missing:
            _write(paths[piece], islice(batches, len(piece.parts(CHUNK))), check)
    files = {split: [paths[piece] for piece in pieces if piece.split == split] for split in reader.rows}
    return {split: Kept(reader.codec, rows, reader.task, files[split]) for split, rows in reader.rows.items()}


def _worth(reader: Reader, missing: Sequence[Part]) -> bool:
    sizes = {split: rows.size / max(1, len(rows)) for split, rows in reader.rows.items()}
    return sum(sizes[piece.split] * (piece.stop - piece.start) for piece in missing) >= WORTH_PROCESSES


def _whole(path: Path, piece: Part) -> bool:
    """Whether a file holds all of its rows."""
    import pyarrow as pa

    try:
        return len(Mapped([path])) == piece.stop - piece.start
    except (pa.ArrowException, OSError):
        return False


def _write(path: Path, batches: Iterable[pa.RecordBatch], check: Check) -> None:
    """A file is there whole or not at all, even if the machine fails."""
    import pyarrow as pa

    half = path.with_suffix(".half")
    with half.open("wb") as out:
        writer = None
        for batch in batches:
            check()
            writer = writer or pa.ipc.new_file(out, batch.schema)
            writer.write_batch(batch)
        if writer:
            writer.close()
        out.flush()
        os.fsync(out.fileno())
    half.replace(path)


class _Processes:
    """Other processes that read, or this one alone."""

    def __init__(self, reader: Reader, saved: Saved, number: int) -> None:
        self._reader, self._number = reader, number
        self._pool: ProcessPoolExecutor | None = None
        if number > 1:
            # A forked process would wait for ever for locks that threads of this one hold.
            context = multiprocessing.get_context("spawn")
            given = (reader.task, saved, reader.rows)
            self._pool = ProcessPoolExecutor(number, context, initializer=_begin, initargs=given)

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *fault: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def read(self, parts: Iterable[Part]) -> Iterator[pa.RecordBatch]:
        """In their order, and not many more than are asked for."""
        if self._pool is None:
            yield from map(self._reader.read, parts)
            return
        waiting = deque[Future[Any]]()
        for part in parts:
            waiting.append(self._pool.submit(_read, part))
            if len(waiting) > 2 * self._number:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


_READERS: list[Reader] = []
"""The one of this process, where it was started to read."""


def _begin(task: str, saved: Saved, rows: Mapping[str, MappedRows]) -> None:
    _READERS[:] = [Reader(task, saved.load(task), rows)]


def _read(part: Part) -> pa.RecordBatch:
    return _READERS[0].read(part)
