from __future__ import annotations

import os

import pytest

from tests.simulation.coverage import is_whole, missing, table
from tests.simulation.lived import Lived, live, live_all
from tests.simulation.shrink import shrink, told

LIVES = int(os.environ.get("MODELYARD_LIVES", "1000"))
FIRST = int(os.environ.get("MODELYARD_FIRST_LIFE", "0"))
ENOUGH = 1000
"""So many lives meet everything that there is to meet."""


@pytest.mark.timeout(3000)
def test_whatever_goes_wrong_everything_settles() -> None:
    lives = live_all(range(FIRST, FIRST + LIVES))
    print(f"\n{table(lives)}")
    if broken := [lived for lived in lives if lived.broken]:
        pytest.fail(_told(broken))
    assert sum(map(is_whole, lives)) > 0.6 * len(lives)
    assert len(lives) < ENOUGH or not missing(lives), f"never met: {missing(lives)}"


def test_the_same_seed_gives_the_same_life() -> None:
    first, second = (live(41, lines=100_000) for _ in range(2))
    assert (first.struck, first.seen) == (second.struck, second.seen)
    assert first.struck


def test_a_life_without_its_chances_meets_none_of_them() -> None:
    whole = live(41)
    kept = whole.struck[::3]
    assert set(live(41, only=kept).struck) <= set(kept)


def _told(broken: list[Lived]) -> str:
    """All seeds, and the first story made small."""
    seeds = ", ".join(str(lived.seed) for lived in broken[:20])
    smallest = shrink(broken[0].seed) or broken[0]
    return f"{len(broken)} lives broke a promise, seeds {seeds}; the first, made small:\n{told(smallest)}"
