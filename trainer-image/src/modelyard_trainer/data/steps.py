"""Runs the preparation steps in the order of the spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from modelyard.api.dataset import Split, Step
from modelyard_trainer.data.clean import clean
from modelyard_trainer.data.dedupe import dedupe
from modelyard_trainer.data.labels import one_spelling
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import Row, Sides
from modelyard_trainer.data.split import split
from modelyard_trainer.errors import bad_config


def apply_steps(rows: Iterable[Row], steps: list[Step], removed: Counter[str], notes: Notes) -> Sides:
    """Rows per split after all steps; `removed` counts dropped rows by reason."""
    last, spelt = split_step(steps), False
    for step in steps[:-1]:
        if step.clean:
            rows = clean(rows, step.clean, removed)
        elif step.dedupe:
            rows = dedupe(rows if spelt else one_spelling(list(rows), notes), removed)
            spelt = True
    return split(rows if spelt else one_spelling(list(rows), notes), last, removed)


def split_step(steps: list[Step]) -> Split:
    """The split, which must be the last step and the only one of its kind."""
    last = steps[-1].split if steps else None
    if last is None or any(step.split for step in steps[:-1]):
        raise bad_config("spec.prepare needs exactly one split step, as the last one")
    return last


def group_field(steps: list[Step]) -> str:
    """Field of the spec that names the group column."""
    return f"spec.prepare[{len(steps) - 1}].split.groupBy"
