"""Step dedupe: one row per text; texts that appear with different classes are dropped altogether."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from modelyard_trainer.data.rows import Row, canonical, same_text


def dedupe(rows: Iterable[Row], removed: Counter[str]) -> list[Row]:
    """The rows to keep, independent of the order they came in."""
    kept: dict[bytes, list[Row]] = {}
    counts: Counter[bytes] = Counter()
    for row in rows:
        key = hashlib.sha256(same_text(row.text).encode()).digest()
        counts[key] += 1
        _keep(kept.setdefault(key, []), row)
    removed["conflicting"] += sum(counts[key] for key, found in kept.items() if len(found) > 1)
    removed["duplicate"] += sum(counts[key] - 1 for key, found in kept.items() if len(found) == 1)
    return [found[0] for found in kept.values() if len(found) == 1]


def _keep(found: list[Row], row: Row) -> None:
    """At most one row per class, the one that sorts first."""
    for index, other in enumerate(found):
        if other.label == row.label:
            found[index] = min(other, row, key=lambda r: (canonical(r), r.group))
            return
    found.append(row)
