"""Step split: by class, and from a hash of text (or group) and seed, so that a row stays where it is."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable

from modelyard.api.dataset import Split
from modelyard_trainer.data.rows import Row, Sides, in_order, same_text


def split(rows: Iterable[Row], step: Split, removed: Counter[str]) -> Sides:
    """Rows per split, each in the order of content; no text is in two of them.

    A hash decides, whatever other rows there are. Only where that leaves a class with less than half of its share of
    test or validation rows, texts of it are moved there from the training rows, those next to the border first.
    """
    found = list(rows)
    units: dict[str, set[str]] = defaultdict(set)
    for row in found:
        units[_key(row, step)].add(row.label)
    placed = {key: _side(key, step) for key in units}
    _fill(placed, units, step)
    sides: Sides = {"train": [], "validation": [], "test": []}
    for row in found:
        sides[placed[_key(row, step)]].append(row)
    if step.group_by:
        _without_leaks(sides, removed)
    return {side: in_order(found) for side, found in sides.items()}


def _key(row: Row, step: Split) -> str:
    """What stays together: a group, or the rows of one text."""
    return f"group\0{row.group}" if step.group_by and row.group else f"text\0{same_text(row.text)}"


def _side(key: str, step: Split) -> str:
    share = _share(key, step)
    if share < step.test:
        return "test"
    return "validation" if share < step.test + step.validation else "train"


def _share(key: str, step: Split) -> float:
    """A number in [0, 1) that is as good as random and always the same for a key and a seed."""
    return int.from_bytes(hashlib.sha256(f"{step.seed}\0{key}".encode()).digest()[:8], "big") / 2**64


def _fill(placed: dict[str, str], units: dict[str, set[str]], step: Split) -> None:
    """Give each class what it lacks, small classes first: then test rows, validation rows, and rows to learn from."""
    classes: dict[str, list[str]] = defaultdict(list)
    for key in sorted(units, key=lambda key: (_share(key, step), key)):
        for label in units[key]:
            classes[label].append(key)
    for label in sorted(classes, key=lambda label: (len(classes[label]), label)):
        keys = classes[label]
        least = {"train": 1, "test": int(len(keys) > 1), "validation": int(len(keys) > 2)}
        for side, share in (("train", 0.0), ("test", step.test), ("validation", step.validation)):
            _move(placed, keys, side, max(least[side], int(share * len(keys) / 2)))


def _move(placed: dict[str, str], keys: list[str], to: str, least: int) -> None:
    """Bring a split up to `least` texts of a class, from the training rows first.

    The last one of a split stays in it, unless it is needed to learn from.
    """
    for side in ("train", "validation", "test"):
        there = [key for key in keys if placed[key] == side != to]
        lacking = max(0, least - sum(placed[key] == to for key in keys))
        for key in there[: min(lacking, len(there) - (to != "train"))] if there else ():
            placed[key] = to


def _without_leaks(sides: Sides, removed: Counter[str]) -> None:
    """Drop rows whose text is also in a split that judges; test outranks validation, which outranks train."""
    taken: set[str] = set()
    for side in ("test", "validation", "train"):
        kept = [row for row in sides[side] if same_text(row.text) not in taken]
        removed["leaked"] += len(sides[side]) - len(kept)
        taken.update(same_text(row.text) for row in kept)
        sides[side] = kept
