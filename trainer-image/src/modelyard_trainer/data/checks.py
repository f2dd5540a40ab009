"""Checks that prepared rows can train and judge a model; every fault names class, counts and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from dataclasses import dataclass, field

from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import SPLITS
from modelyard_trainer.errors import bad_data

MOST_CLASSES = 1000


@dataclass
class Counts:
    """Rows of each split, all of them and those that have a class."""

    rows: Counter[str] = field(default_factory=Counter)
    classes: dict[str, Counter[str]] = field(default_factory=lambda: {split: Counter() for split in SPLITS})

    def add(self, split: str, classes: tuple[str, ...]) -> None:
        """One row; several of the same class in it count once."""
        self.rows[split] += 1
        for label in set(classes) if len(classes) > 1 else classes:
            self.classes[split][label] += 1

    def by_class(self) -> dict[str, dict[str, int]]:
        """Rows of each class in each split."""
        labels = sorted(set().union(*self.classes.values()))
        return {label: {split: self.classes[split][label] for split in SPLITS} for label in labels}


def check_rows(
    counts: Counts, removed: Counter[str], notes: Notes, source: str, classifier: bool = True, labeller: bool = False
) -> None:
    """BAD_DATA if the rows are of no use, a note for each class that is not judged.

    A classifier needs two classes, a labeller, whose rows have any number of them, one; other tasks may have none.
    """
    if not counts.rows.total():
        shown = ", ".join(f"{count} {reason}" for reason, count in sorted(removed.items()) if count) or "none read"
        raise bad_data(f"no rows are left of {source} (removed: {shown}): check spec.source and spec.prepare")
    classes = counts.by_class()
    if classifier and len(classes) == 1:
        raise bad_data(
            f"all {counts.rows.total()} rows have the class '{next(iter(classes))}': a classifier needs at least two; "
            f"check {notes.field}"
        )
    if labeller and not classes:
        raise bad_data(f"none of {counts.rows.total()} rows has a class: check {notes.field}")
    check_number(classes, notes)
    for split in SPLITS:
        if not counts.rows[split]:
            raise bad_data(
                f"there are no {split} rows ({counts.rows.total()} rows in all): add rows, or change the shares of the "
                "split step in spec.prepare"
            )
    for label, found in classes.items():
        if not found["train"] and not labeller:
            raise bad_data(
                f"class '{label}' has no training rows ({sum(found.values())} rows in all, each in a group with rows "
                "that judge): add rows of this class, or set another seed of the split step in spec.prepare"
            )
        _note_missing(label, found, notes)


def check_number(classes: Sized, notes: Notes, most: int = MOST_CLASSES) -> None:
    """BAD_DATA for more classes than a model can learn."""
    if len(classes) > most:
        more = "more than " if most > MOST_CLASSES else ""
        raise bad_data(
            f"{notes.field} has {more}{min(len(classes), most if more else len(classes))} different values, at most "
            f"{MOST_CLASSES} are possible: name the column that holds the class"
        )


def _note_missing(label: str, counts: dict[str, int], notes: Notes) -> None:
    lacking = [split for split in SPLITS if not counts[split]]
    if "train" in lacking:
        rows = f"{sum(counts.values())} rows" if sum(counts.values()) > 1 else "1 row"
        notes.add(f"class '{label}' has {rows}, none of them to learn from: never answered, it counts as missed")
    elif lacking:
        has = ", ".join(f"{counts[split]} {split}" for split in SPLITS if counts[split])
        what = (
            "it is learnt, but no test row judges it" if "test" in lacking else "it is learnt and judged all the same"
        )
        notes.add(f"class '{label}' has {has} rows and none for {' and '.join(lacking)}: {what}; add rows of it")
