"""Small generated rows with entities that no word tells alone: the word before decides about the same names."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.trainer.words import FILLING, TELLING

BEFORE = {"was": "PER", "very": "LOC"}
"""A name after one of these words is an entity of this type; elsewhere it is none."""
NAMES = TELLING["good"]
OTHERS = tuple(word for word in FILLING if word not in BEFORE)


def tagged_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows {"tokens", "tags"}; all differ."""
    chance, found = random.Random(seed), dict[tuple[str, ...], dict[str, Any]]()
    while len(found) < count:
        row = _row(chance)
        found[tuple(row["tokens"])] = row
    return list(found.values())


def _row(chance: random.Random) -> dict[str, Any]:
    tokens: list[str] = []
    tags: list[str] = []
    for _ in range(chance.randint(2, 4)):
        names = chance.sample(NAMES, k=chance.randint(1, 2))
        before = chance.choice([*BEFORE, *chance.sample(OTHERS, k=1)])
        kind = BEFORE.get(before)
        tokens += [*chance.sample(OTHERS, k=chance.randint(1, 2)), before, *names]
        tags += ["O"] * (len(tokens) - len(tags) - len(names))
        tags += [f"{'I' if at else 'B'}-{kind}" if kind else "O" for at in range(len(names))]
    return {"tokens": tokens, "tags": tags}


def json_lines_of(values: list[dict[str, Any]]) -> bytes:
    """Rows as JSON lines."""
    return "".join(json.dumps(value) + "\n" for value in values).encode()
