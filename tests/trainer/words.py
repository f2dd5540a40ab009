"""Small generated rows that a classifier can learn: the class follows from a few words among many others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable

TELLING = {
    "good": ("great", "lovely", "superb", "bright", "happy", "warm"),
    "bad": ("awful", "broken", "dull", "cold", "sad", "rude"),
    "plain": ("average", "usual", "common", "medium", "normal", "standard"),
}
FILLING = (*(f"thing{number}" for number in range(40)), "the", "a", "was", "and", "very", "it", "place", "day")
VOCABULARY = [*FILLING, *(word for words in TELLING.values() for word in words)]


def rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows {"text", "label"} of three classes; all texts differ."""
    chance = random.Random(seed)
    found: dict[str, dict[str, str]] = {}
    while len(found) < count:
        label = chance.choice(list(TELLING))
        words = chance.choices(FILLING, k=chance.randint(3, 14)) + chance.choices(TELLING[label], k=2)
        chance.shuffle(words)
        found[" ".join(words)] = {"text": " ".join(words), "label": label}
    return list(found.values())


def json_lines(values: Iterable[dict[str, str]]) -> bytes:
    """Rows as JSON lines."""
    return "".join(json.dumps(value) + "\n" for value in values).encode()
