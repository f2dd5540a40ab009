"""Cleans, deduplicates and splits the rows, and packs them into shards."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelyard.api.run import DatasetInfo, PrepareConfig
from modelyard.api.tasks import TASKS
from modelyard_trainer.data.checks import Counts, check_rows
from modelyard_trainer.data.notes import EMPTY, Notes
from modelyard_trainer.data.rows import SPLITS, Record
from modelyard_trainer.data.shards import Shards
from modelyard_trainer.data.source import Wanted, read_files
from modelyard_trainer.data.steps import Steps, column_field, split_step
from modelyard_trainer.errors import bad_config
from modelyard_trainer.run import PrepareRun, Publication
from modelyard_trainer.tasks import rows_of

if TYPE_CHECKING:
    from modelyard_trainer.tasks.protocols import RowKind

log = logging.getLogger(__name__)
REASONS = ("conflicting", "duplicate", "empty", "leaked", "short")
"""Why rows are removed, whatever the task; another reason stands in the count where there is such a row."""


def execute(run: PrepareRun) -> None:
    """Leave a folder with the shards of each split, ready to be published.

    What an earlier process left here half-done is removed first.
    """
    config, kind, removed = run.config, rows_of(run.config.task), Counter[str]()
    wanted = _wanted(config)
    last = next(reversed(list(wanted.columns)), "")
    needed = tuple(column.name for column in TASKS[config.task].columns if column.needed)
    _check_near(config)
    notes = Notes(wanted.columns.get(last, ""), last, needed)
    steps = Steps(kind, config.steps, removed, notes, run.folder("scratch"))
    shutil.rmtree(run.folder("prepared"))
    prepare = [step.clean for step in config.steps if step.clean]
    shards, counts = Shards(run.folder("prepared"), kind.schema(), prepare), Counts()
    for split, row in steps.apply(_records(run, kind, wanted, removed, notes)):
        counts.add(split, kind.classes(row))
        shards.add(split, row)
    digest = shards.close()
    notes.add_left_out(removed)
    source = config.source.s3.uri if config.source.s3 else "spec.source.inline"
    check_rows(counts, removed, notes, source, "label" in wanted.columns, "labels" in wanted.columns)
    info = DatasetInfo(
        task=config.task,
        digest=digest,
        rows={split: counts.rows[split] for split in SPLITS},
        classes=counts.by_class(),
        removed={reason: removed[reason] for reason in sorted({*REASONS, *removed})},
        notes=notes.shown(),
        prepare=prepare,
    )
    log.info("rows %s, removed %s, %s", info.rows, info.removed, info.digest)
    run.publication = Publication(run.target, run.folder("prepared"), "dataset", info.dump())


def _wanted(config: PrepareConfig) -> Wanted:
    task, asked = TASKS[config.task], split_step(config.steps).asked
    picture = "image" if task.reads == "image" else ""
    field = column_field(config.steps)
    if asked and config.source.inline:
        raise bad_config(f"{field} is '{asked[1]}', a column that rows written in the object do not have: use s3")
    return Wanted(config.source.columns.of(config.task), asked[1] if asked else None, field, picture)


def _check_near(config: PrepareConfig) -> None:
    for number, step in enumerate(config.steps):
        if step.dedupe and step.dedupe.method == "near" and TASKS[config.task].reads != "text":
            raise bad_config(
                f"spec.prepare[{number}].dedupe.method near compares texts, and rows of {config.task} have none: "
                "set it to exact"
            )


def _records(run: PrepareRun, kind: RowKind, wanted: Wanted, removed: Counter[str], notes: Notes) -> Iterator[Record]:
    source = run.config.source
    if source.inline is None:
        yield from read_files(run.files, source.format, kind, wanted, removed, notes)
        return
    for number, inline in enumerate(source.inline, 1):
        row = kind.fields(inline.dump(), {name: name for name in wanted.columns})
        if isinstance(row, dict):
            yield Record(row)
        else:
            removed[row or EMPTY] += 1
            notes.saw(row or EMPTY, "spec.source.inline", number)
