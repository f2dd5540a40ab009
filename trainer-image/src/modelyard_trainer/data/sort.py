"""Records in the order of their keys and content, however many they are: sorted parts wait on disk to be merged."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from modelyard_trainer.data.rows import Record, canonical
from modelyard_trainer.data.spill import add_piece, decoded, encoded, pieces

PIECE = 1 << 16
"""Bytes of each part that are in memory while parts are merged."""
Counted = tuple[Record, int]
"""A record, and how many there are of it."""


def in_order(records: Iterable[bytes], folder: Path, memory: int) -> Iterator[Record]:
    """Encoded records, sorted; about so many bytes of them are in memory at once. Equal ones are held once."""
    parts = _parts(records, memory)
    first, second = next(parts, {}), next(parts, None)
    found = _sorted(first) if second is None else _merged(chain((first, second), parts), folder)
    for record, count in found:
        for _ in range(count):
            yield record


def _parts(records: Iterable[bytes], memory: int) -> Iterator[Mapping[bytes, int]]:
    counts, held = Counter[bytes](), 0
    for data in records:
        counts[data] += 1
        held += len(data) if counts[data] == 1 else 0
        if held > memory:
            yield counts
            counts, held = Counter(), 0
    if counts:
        yield counts


def _sorted(counts: Mapping[bytes, int]) -> Iterator[Counted]:
    by_key: dict[bytes, list[Counted]] = defaultdict(list)
    for data, count in counts.items():
        record = decoded(data)
        by_key[record.key].append((record, count))
    for key in sorted(by_key):
        found = by_key[key]
        yield from sorted(found, key=_order) if len(found) > 1 else found


def _merged(parts: Iterable[Mapping[bytes, int]], folder: Path) -> Iterator[Counted]:
    folder.mkdir(parents=True)
    files = []
    for number, part in enumerate(parts):
        files.append(folder / str(number))
        _write(files[-1], _sorted(part))
    yield from heapq.merge(*map(_counted, files), key=_order)
    for file in files:
        file.unlink()
    folder.rmdir()


def _write(file: Path, found: Iterable[Counted]) -> None:
    waiting, held = list[tuple[bytes, int]](), 0
    for record, count in found:
        waiting.append((encoded(record), count))
        held += len(waiting[-1][0])
        if held > PIECE:
            add_piece(file, waiting)
            waiting, held = [], 0
    add_piece(file, waiting)


def _counted(file: Path) -> Iterator[Counted]:
    return ((decoded(data), count) for data, count in pieces(file))


def _order(counted: Counted) -> tuple[bytes, bytes, str]:
    record, _ = counted
    return record.key, canonical(record.row), record.group
