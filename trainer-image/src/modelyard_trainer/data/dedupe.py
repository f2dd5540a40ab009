"""Step dedupe: one row per text; texts that appear with different classes are dropped altogether."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelyard_trainer.data.rows import Record, canonical
from modelyard_trainer.data.spill import Spill, decoded

if TYPE_CHECKING:
    from modelyard_trainer.tasks.protocols import Fields, RowKind


@dataclass(slots=True)
class _Kept:
    """What is known of the rows of one text: the one that sorts first, their number, whether they disagree."""

    first: Record
    rows: int = 1
    conflicting: bool = False

    def add(self, record: Record, kind: RowKind) -> None:
        """One more row of the text."""
        self.rows += 1
        if self.conflicting or answer(kind, self.first.row) != answer(kind, record.row):
            self.conflicting = True
        elif record != self.first:
            self.first = min(self.first, record, key=_order)


def dedupe(spill: Spill, kind: RowKind, spelt: Mapping[str, str], removed: Counter[str]) -> Iterator[Record]:
    """The records to keep in the order of their keys, whatever order they came in; `spelt` renames classes first."""
    for bucket in spill.buckets(last=True):
        found: dict[bytes, _Kept] = {}
        for record in map(decoded, bucket):
            if spelt:
                record = record._replace(row=kind.relabelled(record.row, spelt))
            kept = found.get(record.key)
            if kept is None:
                found[record.key] = _Kept(record)
            else:
                kept.add(record, kind)
        for key in sorted(found):
            kept = found[key]
            removed["conflicting"] += kept.rows if kept.conflicting else 0
            removed["duplicate"] += 0 if kept.conflicting else kept.rows - 1
            if not kept.conflicting:
                yield kept.first


def answer(kind: RowKind, row: Fields) -> bytes:
    """What the row says is right, where a task has classes; other tasks may have several right answers."""
    if not kind.classes(row):
        return b""
    asked = kind.instance(row)
    return canonical({name: value for name, value in row.items() if name not in asked})


def _order(record: Record) -> tuple[bytes, str]:
    return canonical(record.row), record.group
