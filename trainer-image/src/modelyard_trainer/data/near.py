"""Near copies: rows with the same answer whose texts share most of their groups of letters; the first of them is kept.

MinHash in bands finds candidates (Broder, 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3),
the groups themselves decide. Records, and a number per row and band, lie on disk; in memory is one band at a time.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from modelyard_trainer.data.dedupe import answer
from modelyard_trainer.data.rows import Record
from modelyard_trainer.data.spill import decoded, encoded

if TYPE_CHECKING:
    from modelyard_trainer.tasks.protocols import RowKind

GRAM = 5
"""Letters per group: of short texts, too, one other word leaves most groups as they are."""
BANDS, PER_BAND = 20, 5
"""Of two texts that share 0.8 of their groups, 99.96 of 100 pairs meet in a band; of 0.5, 47."""
LETTERS = 1 << 19
"""Letters of texts that are worked on at once."""
PAIRS = 1 << 12
"""Pairs that are compared at once."""
BEFORE = 4
"""Rows of a band's group that each of its rows is compared with, beside the first."""
_DRAW = np.random.default_rng(5)
_FACTORS = _DRAW.integers(1, 2**63, BANDS * PER_BAND, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_TERMS = _DRAW.integers(0, 2**63, BANDS * PER_BAND, dtype=np.uint64)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


class Grams(NamedTuple):
    """Groups of letters of several texts: hashes, sorted and once per text, one text after the other."""

    hashes: np.ndarray
    counts: np.ndarray
    """Of each text, at least one."""


def grams(texts: Sequence[str]) -> Grams:
    """The groups of each text; one that is shorter than a group is filled with spaces."""
    filled = [text.ljust(GRAM) for text in texts]
    letters = np.frombuffer("".join(filled).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    windows = len(letters) - GRAM + 1
    found: np.ndarray = np.zeros(windows, dtype=np.uint64)
    for place in range(GRAM):
        found = (found + letters[place : place + windows]) * _MIX
        found ^= found >> _HALF
    lengths: np.ndarray = np.array([len(text) for text in filled])
    inside: np.ndarray = np.repeat(np.arange(len(filled)), lengths)[:windows]
    inside_still = np.arange(windows) + GRAM <= np.cumsum(lengths)[inside]
    by_text = np.sort((inside[inside_still].astype(np.uint64) << _HALF) | (found[inside_still] >> _HALF))
    by_text = by_text[np.concatenate([[True], by_text[1:] != by_text[:-1]])]
    counts = np.bincount((by_text >> _HALF).astype(np.int64), minlength=len(filled))
    return Grams(by_text & np.uint64(0xFFFFFFFF), counts)


def bands(found: Grams) -> np.ndarray:
    """A number per text and band, of shape (texts, bands): texts that are alike have some of them in common."""
    starts = np.cumsum(found.counts) - found.counts
    numbers: np.ndarray = np.zeros((len(found.counts), BANDS), dtype=np.uint64)
    for draw, (factor, term) in enumerate(zip(_FACTORS, _TERMS, strict=True)):
        least = np.minimum.reduceat((found.hashes * factor + term) >> _HALF, starts)
        band = draw // PER_BAND
        numbers[:, band] = (numbers[:, band] ^ least) * _MIX
        numbers[:, band] ^= numbers[:, band] >> _HALF
    return numbers


def alike(first: Grams, second: Grams) -> np.ndarray:
    """Jaccard similarity of the first texts' groups with those of the second ones."""
    number: np.ndarray = np.arange(len(first.counts), dtype=np.uint64)
    both = [(np.repeat(number, one.counts) << _HALF) | one.hashes for one in (first, second)]
    together = np.sort(np.concatenate(both))
    shared = together[1:][together[1:] == together[:-1]] >> _HALF
    common = np.bincount(shared.astype(np.int64), minlength=len(number))
    found: np.ndarray = common / (first.counts + second.counts - common)
    return found


def without_near(
    records: Iterable[Record], kind: RowKind, threshold: float, folder: Path, removed: Counter[str]
) -> Iterator[Record]:
    """The records, but for those of which an earlier one with the same answer is a near copy.

    A chain of near copies leaves its first record. The order of the records decides, nothing else.
    """
    kept = _Kept(folder, kind)
    kept.take(records)
    gone = kept.copies(threshold)
    removed["near"] += int(gone.sum())
    yield from kept.records(~gone)
    shutil.rmtree(folder)


class _Kept:
    """Records on disk, read by their number."""

    def __init__(self, folder: Path, kind: RowKind) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._kind, self._file = kind, folder / "records"
        self._bands = [folder / f"band-{number}" for number in range(BANDS)]
        self._ends: np.ndarray = np.zeros(0, dtype=np.int64)

    def take(self, records: Iterable[Record]) -> None:
        """Write all records, and their bands."""
        sizes, waiting, held = list[int](), list[Record](), 0
        files = [path.open("wb") for path in self._bands]
        with self._file.open("wb") as file:
            for record in records:
                sizes.append(file.write(encoded(record)))
                waiting.append(record)
                held += len(self._text(record))
                if held > LETTERS:
                    self._write_bands(waiting, files)
                    waiting, held = [], 0
        self._write_bands(waiting, files)
        for file in files:
            file.close()
        self._ends = np.cumsum(np.array(sizes, dtype=np.int64))

    def copies(self, threshold: float) -> np.ndarray:
        """Whether each record has a near copy before it."""
        gone: np.ndarray = np.zeros(len(self._ends), dtype=bool)
        for path in self._bands:
            for first, second in _pairs(np.fromfile(path, dtype=np.uint64)):
                new = ~gone[second]
                self._compare(first[new], second[new], threshold, gone)
        return gone

    def records(self, wanted: np.ndarray) -> Iterator[Record]:
        """Records whose number is wanted, in their order."""
        with self._file.open("rb") as file:
            for number in np.flatnonzero(wanted):
                yield self._read(file, int(number))

    def _compare(self, first: np.ndarray, second: np.ndarray, threshold: float, gone: np.ndarray) -> None:
        with self._file.open("rb") as file:
            for at in range(0, len(first), PAIRS):
                ones, others = first[at : at + PAIRS], second[at : at + PAIRS]
                found = alike(self._grams(file, ones), self._grams(file, others))
                gone[others[found >= threshold]] = True

    def _grams(self, file: IO[bytes], numbers: np.ndarray) -> Grams:
        return grams([self._text(self._read(file, int(number))) for number in numbers])

    def _read(self, file: IO[bytes], number: int) -> Record:
        begin = int(self._ends[number - 1]) if number else 0
        file.seek(begin)
        return decoded(file.read(int(self._ends[number]) - begin))

    def _text(self, record: Record) -> str:
        return self._kind.same(record.row).decode(errors="surrogateescape")

    def _write_bands(self, records: Sequence[Record], files: Sequence[IO[bytes]]) -> None:
        if not records:
            return
        numbers = bands(grams([self._text(record) for record in records]))
        answers = [_number(answer(self._kind, record.row)) for record in records]
        numbers ^= np.array(answers, dtype=np.uint64)[:, None]
        for band, file in enumerate(files):
            numbers[:, band].tofile(file)


def _number(what: bytes) -> int:
    return int.from_bytes(hashlib.sha256(what).digest()[:8])


def _pairs(numbers: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows with the same number, the earlier one first: each with the first of them and some before it."""
    order = np.argsort(numbers, kind="stable")
    ranked = numbers[order]
    fresh = np.concatenate([[True], ranked[1:] != ranked[:-1]])[: len(ranked)]
    begins = np.maximum.accumulate(np.where(fresh, np.arange(len(ranked)), 0))
    others = np.flatnonzero(~fresh)
    yield order[begins[others]], order[others]
    for back in range(1, BEFORE + 1):
        near = others[others - back > begins[others]]
        yield order[near - back], order[near]
