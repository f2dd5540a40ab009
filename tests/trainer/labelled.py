"""Small generated rows with any number of labels: each follows from a word of its own."""

from __future__ import annotations

import random
from typing import Any

from tests.trainer.words import FILLING, TELLING


def labelled_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows {"text", "labels"}; all texts differ, every fifth or so has no label."""
    chance, found = random.Random(seed), dict[str, dict[str, Any]]()
    while len(found) < count:
        labels = [label for label in sorted(TELLING) if chance.random() < 0.4]
        words = chance.choices(FILLING, k=chance.randint(4, 10))
        for label in labels:
            words += chance.choices(TELLING[label], k=2)
        chance.shuffle(words)
        found[" ".join(words)] = {"text": " ".join(words), "labels": labels}
    return list(found.values())
