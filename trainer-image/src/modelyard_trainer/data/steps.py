"""Runs the preparation steps in the order of the spec, with a bounded part of the rows in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from modelyard.api.dataset import Split, Step
from modelyard_trainer.data import spill as spills
from modelyard_trainer.data.checks import check_number
from modelyard_trainer.data.clean import clean
from modelyard_trainer.data.dedupe import dedupe
from modelyard_trainer.data.labels import one_spelling
from modelyard_trainer.data.near import without_near
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import Record
from modelyard_trainer.data.spill import Spill
from modelyard_trainer.data.split import Places, grouped, in_order, keyed, relabelled, units, without_leaks
from modelyard_trainer.data.told import Times, named_split
from modelyard_trainer.errors import bad_config

if TYPE_CHECKING:
    from modelyard_trainer.tasks.protocols import Fields, RowKind

NEAR = 0.8
"""Share of groups of letters that near copies have in common, where the step names none."""
SPELLINGS = 100_000
"""Classes that are counted at most before their spelling is looked at."""


class Steps:
    """One preparation: `removed` counts dropped rows by reason, `scratch` is a folder that may be emptied."""

    def __init__(
        self, kind: RowKind, steps: list[Step], removed: Counter[str], notes: Notes, scratch: Path, memory: int = 0
    ) -> None:
        self._kind, self._steps, self._removed, self._notes = kind, steps, removed, notes
        self._scratch, self._memory, self._folders = scratch, memory or spills.MEMORY, 0
        self._last = split_step(steps)

    def apply(self, records: Iterable[Record]) -> Iterator[tuple[str, Fields]]:
        """Rows after all steps with their splits, in the order of what they ask and of their content.

        Nothing comes before the source was read to its end.
        """
        spelt: dict[str, str] | None = None
        for step in self._steps[:-1]:
            if step.clean:
                records = clean(records, self._kind, step.clean, self._removed)
            else:
                spill, found = self._gathered(records, count=spelt is None)
                spelt = one_spelling(found, self._notes) if spelt is None else {}
                records = dedupe(spill, self._kind, spelt, self._removed)
                if step.dedupe and step.dedupe.method == "near":
                    alike = step.dedupe.threshold or NEAR
                    records = without_near(records, self._kind, alike, self._folder(), self._removed)
        if spelt is None:
            spill, found = self._gathered(records, count=True)
            records = relabelled(spill, self._kind, one_spelling(found, self._notes))
        return self._split(records)

    def _gathered(self, records: Iterable[Record], count: bool) -> tuple[Spill, Counter[str]]:
        """Records by what they ask, and rows by class as it is written in them."""
        spill, found = self._spill(), Counter[str]()
        for record in records:
            record = keyed(record, self._kind, self._last)
            spill.add(record.key, record)
            for label in self._kind.classes(record.row) if count else ():
                found[label] += 1
            if len(found) > SPELLINGS:
                check_number(found, self._notes, SPELLINGS)
        return spill, found

    def _split(self, records: Iterable[Record]) -> Iterator[tuple[str, Fields]]:
        """By the key of their units, which decides the splits, and for groups then by what they ask.

        Or by what a column of the source says.
        """
        if self._last.column or self._last.time:
            yield from self._told(records)
            return
        spill = self._spill()
        for record in records:
            record = keyed(record, self._kind, self._last)
            spill.add(grouped(record, self._last)[0], record)
        places = Places(lambda: units(spill, self._kind, self._last), self._last)
        check_number(places.counts, self._notes)
        places.fill()
        if not self._last.group_by:
            for bucket in spill.buckets(last=True):
                for record in in_order(bucket, spill.memory):
                    yield places.of(record.key, record.share), record.row
            return
        by_text = self._spill()
        for bucket in spill.buckets(last=True):
            for record in map(spills.decoded, bucket):
                by_text.add(record.key, record._replace(split=places.of(*grouped(record, self._last))))
        yield from without_leaks(by_text, self._removed)

    def _told(self, records: Iterable[Record]) -> Iterator[tuple[str, Fields]]:
        """By the split, or the time, that stands in a column of the rows."""
        field = f"{column_field(self._steps)} ('{self._last.column or self._last.time}')"
        known = (keyed(record, self._kind, self._last) for record in records)
        by_text = self._spill()
        for record in self._by_name(known, field) if self._last.column else self._by_time(known, field):
            by_text.add(record.key, record)
        yield from without_leaks(by_text, self._removed)

    def _by_name(self, records: Iterable[Record], field: str) -> Iterator[Record]:
        return (record._replace(split=named_split(record.group, field)) for record in records)

    def _by_time(self, records: Iterable[Record], field: str) -> Iterator[Record]:
        """Nothing comes before all times are known."""
        spill, times = self._spill(), Times(self._last, field)
        for record in records:
            spill.add(record.key, record._replace(share=times.add(record.group)))
        for bucket in spill.buckets(last=True):
            for record in map(spills.decoded, bucket):
                yield record._replace(split=times.split(record.share))

    def _spill(self) -> Spill:
        return Spill(self._folder(), self._memory)

    def _folder(self) -> Path:
        self._folders += 1
        return self._scratch / str(self._folders)


def split_step(steps: list[Step]) -> Split:
    """The split, which must be the last step and the only one of its kind."""
    last = steps[-1].split if steps else None
    if last is None or any(step.split for step in steps[:-1]):
        raise bad_config("spec.prepare needs exactly one split step, as the last one")
    return last


def column_field(steps: list[Step]) -> str:
    """Field of the spec that names the column which decides the split, if there is one."""
    asked = split_step(steps).asked
    return f"spec.prepare[{len(steps) - 1}].split.{asked[0] if asked else 'groupBy'}"
