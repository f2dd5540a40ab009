"""Step split: a row's side follows from a hash of its text (or group) and the seed, so it never changes side."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from modelyard.api.dataset import Split
from modelyard_trainer.data.rows import Row, Sides, in_order, same_text


def split(rows: Iterable[Row], step: Split, removed: Counter[str]) -> Sides:
    """Rows per side, each side in the order of content; no text is on two sides."""
    sides: Sides = {"train": [], "validation": [], "test": []}
    for row in rows:
        sides[side_of(row, step)].append(row)
    if step.group_by:
        _without_leaks(sides, removed)
    return {side: in_order(found) for side, found in sides.items()}


def side_of(row: Row, step: Split) -> str:
    """train, validation or test."""
    key = f"group\0{row.group}" if step.group_by and row.group else f"text\0{same_text(row.text)}"
    share = _share(f"{step.seed}\0{key}")
    if share < step.test:
        return "test"
    return "validation" if share < step.test + step.validation else "train"


def _share(key: str) -> float:
    """A number in [0, 1) that is as good as random and always the same for a key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def _without_leaks(sides: Sides, removed: Counter[str]) -> None:
    """Drop rows whose text is also on a side that judges; test outranks validation, which outranks train."""
    taken: set[str] = set()
    for side in ("test", "validation", "train"):
        kept = [row for row in sides[side] if same_text(row.text) not in taken]
        removed["leaked"] += len(sides[side]) - len(kept)
        taken.update(same_text(row.text) for row in kept)
        sides[side] = kept
