from __future__ import annotations

import os

from tests.simulation.lived import live, live_all

LIVES = int(os.environ.get("MODELYARD_LIVES", "1000"))
FIRST = int(os.environ.get("MODELYARD_FIRST_LIFE", "0"))


def test_whatever_goes_wrong_everything_settles() -> None:
    broken = [lived for lived in live_all(range(FIRST, FIRST + LIVES)) if lived.broken]
    assert not broken, f"{len(broken)} lives broke a promise; the first:\n{broken[0]}"


def test_the_same_seed_gives_the_same_life() -> None:
    first, second = (live(41, lines=100_000) for _ in range(2))
    assert (first.struck, first.story) == (second.struck, second.story)
