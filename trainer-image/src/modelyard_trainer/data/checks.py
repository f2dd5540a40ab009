"""Checks that prepared rows can train and judge a classifier; every fault names class, counts and remedy."""

from __future__ import annotations

from collections import Counter

from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import SIDES, Sides
from modelyard_trainer.errors import bad_data

MOST_CLASSES = 1000


def check_rows(sides: Sides, removed: Counter[str], notes: Notes, source: str) -> dict[str, dict[str, int]]:
    """Rows of each class in each split; BAD_DATA if they are of no use, a note for each class that is not judged."""
    label_column = notes.column
    classes = Counter(row.label for side in SIDES for row in sides[side])
    if not classes:
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(removed.items()) if count) or "none read"
        raise bad_data(f"no rows are left of {source} (removed: {counts}): check spec.source and spec.prepare")
    if len(classes) == 1:
        (label, count), *_ = classes.items()
        raise bad_data(
            f"all {count} rows have the class '{label}': a classifier needs at least two; "
            f"check spec.source.columns.label ('{label_column}')"
        )
    if len(classes) > MOST_CLASSES:
        raise bad_data(
            f"spec.source.columns.label ('{label_column}') has {len(classes)} different values in "
            f"{classes.total()} rows, at most {MOST_CLASSES} are possible: name the column that holds the class"
        )
    of_side = {side: Counter(row.label for row in sides[side]) for side in SIDES}
    _check_sides(of_side, classes)
    for label in sorted(classes):
        _note_missing(label, of_side, notes)
    return {label: {side: of_side[side][label] for side in SIDES} for label in sorted(classes)}


def _check_sides(counts: dict[str, Counter[str]], classes: Counter[str]) -> None:
    for side in SIDES:
        if not counts[side]:
            raise bad_data(
                f"there are no {side} rows ({classes.total()} rows in all): add rows, or change the shares of the "
                "split step in spec.prepare"
            )
    for label in sorted(classes):
        if not counts["train"][label]:
            raise bad_data(
                f"class '{label}' has no training rows ({classes[label]} rows in all, each in a group with rows that "
                "judge): add rows of this class, or set another seed of the split step in spec.prepare"
            )


def _note_missing(label: str, counts: dict[str, Counter[str]], notes: Notes) -> None:
    lacking = [side for side in SIDES if not counts[side][label]]
    if lacking:
        has = ", ".join(f"{counts[side][label]} {side}" for side in SIDES if counts[side][label])
        what = (
            "it is learnt, but no test row judges it" if "test" in lacking else "it is learnt and judged all the same"
        )
        notes.add(f"class '{label}' has {has} rows and none for {' and '.join(lacking)}: {what}; add rows of it")
