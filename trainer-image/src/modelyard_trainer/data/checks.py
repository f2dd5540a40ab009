"""Checks that prepared rows can train and judge a classifier; every fault names class, counts and remedy."""

from __future__ import annotations

from collections import Counter

from modelyard_trainer.data.rows import SIDES, Sides
from modelyard_trainer.errors import bad_data

MOST_CLASSES = 1000


def check_rows(sides: Sides, removed: Counter[str], label_column: str, source: str) -> Counter[str]:
    """Rows per class over all sides; BAD_DATA if they are of no use."""
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
    _check_sides(sides, classes)
    return classes


def _check_sides(sides: Sides, classes: Counter[str]) -> None:
    for side in SIDES:
        found = Counter(row.label for row in sides[side])
        for label in sorted(classes):
            if not found[label]:
                raise bad_data(_missing(side, label, sides, classes))


def _missing(side: str, label: str, sides: Sides, classes: Counter[str]) -> str:
    counts = ", ".join(f"{name} {sum(row.label == label for row in sides[name])}" for name in SIDES)
    share = "spec.prepare.split.test and validation" if side == "train" else f"spec.prepare.split.{side}"
    change = "lower" if side == "train" else "raise"
    return (
        f"class '{label}' has no rows on the {side} side ({classes[label]} rows in all: {counts}): "
        f"add rows of this class, {change} {share}, or set another spec.prepare.split.seed"
    )
