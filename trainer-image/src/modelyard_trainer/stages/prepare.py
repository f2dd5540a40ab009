"""Cleans, deduplicates and splits the rows."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

from modelyard.api.run import DatasetInfo
from modelyard_trainer.data.checks import check_rows
from modelyard_trainer.data.labels import label_of
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import Row, digest_of_rows, write_rows
from modelyard_trainer.data.source import Wanted, read_files
from modelyard_trainer.data.steps import apply_steps, group_field, split_step
from modelyard_trainer.run import PrepareRun, Publication

log = logging.getLogger(__name__)
REASONS = ("conflicting", "duplicate", "empty", "leaked", "short")


def execute(run: PrepareRun) -> None:
    """Leave a folder with the rows of each side, ready to be published."""
    config, removed = run.config, Counter[str]()
    notes = Notes(config.source.columns.of(config.task)["label"])
    sides = apply_steps(_rows(run, removed, notes), config.steps, removed, notes)
    notes.add_empty(removed["empty"])
    source = config.source.s3.uri if config.source.s3 else "spec.source.inline"
    classes = check_rows(sides, removed, notes, source)
    folder = run.folder("prepared")
    for side, rows in sides.items():
        write_rows(folder / f"{side}.jsonl", rows)
    prepare = [step.clean for step in config.steps if step.clean]
    info = DatasetInfo(
        task=config.task,
        digest=digest_of_rows(sides, prepare),
        rows={side: len(rows) for side, rows in sides.items()},
        classes=classes,
        removed={reason: removed[reason] for reason in REASONS},
        notes=notes.shown(),
        prepare=prepare,
    )
    log.info("rows %s, removed %s, %s", info.rows, info.removed, info.digest)
    run.publication = Publication(run.target, folder, "dataset", info.dump())


def _rows(run: PrepareRun, removed: Counter[str], notes: Notes) -> Iterator[Row]:
    source, steps = run.config.source, run.config.steps
    group = split_step(steps).group_by
    if source.inline is not None:
        return (Row(row.text or "", label_of(row.label or "")) for row in source.inline)
    wanted = Wanted.of(source.columns.of(run.config.task), group, group_field(steps))
    return read_files(run.files, source.format, wanted, removed, notes)
