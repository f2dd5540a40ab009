"""Step split: by class, and from a hash of text (or group) and seed, so that a row stays where it is."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from modelyard.api.dataset import Split
from modelyard_trainer.data import sort
from modelyard_trainer.data.rows import SPLITS, Record
from modelyard_trainer.data.spill import Bucket, Spill, decoded

if TYPE_CHECKING:
    from modelyard_trainer.tasks.protocols import Fields, RowKind

RANK = ("test", "validation", "train")
"""Where a text stays that groups would put into several splits: the first of these."""
PARTS = 8
"""Records that are sorted take this much more memory than their bytes, about."""
NO_CLASS = ""
"""Stands for the classes of a row that has none, so that each split gets its share of such rows too."""


_NO_CLASSES = frozenset((NO_CLASS,))


class Unit(NamedTuple):
    """What stays together: a group, or the rows of one text."""

    share: float
    key: bytes
    labels: frozenset[str]


def keyed(record: Record, kind: RowKind, step: Split) -> Record:
    """The record with its key and share, where no earlier step has set them."""
    if record.key:
        return record
    same = kind.same(record.row)
    share = _share(b"text\0" + same, step)
    return Record(record.row, record.group, hashlib.sha256(same).digest(), share)


def grouped(record: Record, step: Split) -> tuple[bytes, float]:
    """Key and share of the unit of a record: of its group if it has one, else of its text."""
    if not (step.group_by and record.group):
        return record.key, record.share
    name = b"group\0" + record.group.encode()
    return hashlib.sha256(name).digest(), _share(name, step)


def _share(name: bytes, step: Split) -> float:
    """A number in [0, 1) that is as good as random and always the same for a name and a seed."""
    return int.from_bytes(hashlib.sha256(b"%d\0" % step.seed + name).digest()[:8]) / 2**64


def units(spill: Spill, kind: RowKind, step: Split) -> Iterator[Unit]:
    """The units of records that lie by the key of their unit."""
    for bucket in spill.buckets():
        labels: dict[bytes, frozenset[str]] = {}
        shares: dict[bytes, float] = {}
        for record in map(decoded, bucket):
            key, share = grouped(record, step)
            found = frozenset(kind.classes(record.row)) or _NO_CLASSES
            labels[key] = labels[key] | found if key in labels else found
            shares[key] = share
        yield from (Unit(shares[key], key, labels[key]) for key in labels)


class Places:
    """The split of each unit: a hash decides, whatever other rows there are.

    Only where that leaves a class with less than half of its share of test or validation rows, units of it are moved
    there from the training rows, those next to the border first. Only units of such classes, which are small, are
    held in memory; `units` gives all of them anew at each call.
    """

    def __init__(self, units: Callable[[], Iterable[Unit]], step: Split) -> None:
        self._units, self._step = units, step
        self._moved: dict[bytes, str] = {}
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        for unit in units():
            split = self.of(unit.key, unit.share)
            for label in unit.labels:
                self.counts[label][split] += 1

    def of(self, key: bytes, share: float) -> str:
        """The split of a unit."""
        return self._moved.get(key) or self._hashed(share)

    def fill(self) -> None:
        """Give each class what it lacks, small ones first: test rows, validation rows, and rows to learn from."""
        members = self._members({label for label in self.counts if self._lacking(label)})
        for label in sorted(self.counts, key=self._size):
            for split, least in self._least(label).items():
                if self.counts[label][split] < least:
                    if label not in members:  # units that it shares with smaller classes were moved
                        members |= self._members({label})
                    self._move(members[label], label, split, least)

    def _hashed(self, share: float) -> str:
        if share < self._step.test:
            return "test"
        return "validation" if share < self._step.test + self._step.validation else "train"

    def _least(self, label: str) -> dict[str, int]:
        """Units of a class that each split must have, in the order in which they are given."""
        count = self.counts[label].total()
        test, validation = (int(share * count / 2) for share in (self._step.test, self._step.validation))
        return {"train": 1, "test": max(int(count > 1), test), "validation": max(int(count > 2), validation)}

    def _lacking(self, label: str) -> bool:
        return any(self.counts[label][split] < least for split, least in self._least(label).items())

    def _members(self, labels: set[str]) -> dict[str, list[Unit]]:
        """The units of each of the classes, next to the border first."""
        members: dict[str, list[Unit]] = {label: [] for label in labels}
        for unit in self._units() if labels else ():
            for label in unit.labels & labels:
                members[label].append(unit)
        for found in members.values():
            found.sort(key=lambda unit: unit[:2])
        return members

    def _move(self, members: list[Unit], label: str, to: str, least: int) -> None:
        """Bring a split up to `least` units of a class, from the training rows first.

        The last one of a split stays in it, unless it is needed to learn from; and none is taken that a smaller class,
        which was filled before, has alone to learn from.
        """
        for split in SPLITS:
            there = [unit for unit in members if self.of(unit.key, unit.share) == split != to]
            left = len(there) - (to != "train")
            for unit in there:
                if left <= 0 or self.counts[label][to] >= least:
                    break
                if split == "train" and not self._spared(unit, label):
                    continue
                left -= 1
                self._moved[unit.key] = to
                for other in unit.labels:
                    self.counts[other].update({split: -1, to: 1})

    def _spared(self, unit: Unit, label: str) -> bool:
        """Whether the smaller classes of a unit that is learnt from have more such units."""
        return all(self.counts[other]["train"] > 1 for other in unit.labels if self._size(other) < self._size(label))

    def _size(self, label: str) -> tuple[int, str]:
        """By which classes are filled, small ones first."""
        return self.counts[label].total(), label


def in_order(bucket: Bucket, memory: int) -> Iterator[Record]:
    """The bucket's records in the order of keys and content."""
    return sort.in_order(bucket, bucket.scratch, memory // PARTS)


def without_leaks(spill: Spill, removed: Counter[str]) -> Iterator[tuple[str, Fields]]:
    """Rows and their splits, in order, but for those whose text is also in a split that judges.

    Memory and disk are given back.
    """
    for bucket in spill.buckets(last=True):
        kept: dict[bytes, str] = {}
        for record in map(decoded, bucket):
            kept[record.key] = min(kept.get(record.key, RANK[-1]), record.split, key=RANK.index)
        for record in in_order(bucket, spill.memory):
            if record.split == kept[record.key]:
                yield record.split, record.row
            else:
                removed["leaked"] += 1


def relabelled(spill: Spill, kind: RowKind, spelt: Mapping[str, str]) -> Iterator[Record]:
    """All records with their classes as they are spelt; memory and disk are given back."""
    for bucket in spill.buckets(last=True):
        for record in map(decoded, bucket):
            yield record._replace(row=kind.relabelled(record.row, spelt)) if spelt else record
