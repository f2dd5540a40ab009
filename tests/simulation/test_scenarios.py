from __future__ import annotations

import os

import pytest

from tests.simulation.coverage import is_whole, missing, table
from tests.simulation.playing import Played, play, play_all
from tests.simulation.shrink import shrink, told

SCENARIOS = int(os.environ.get("MODELYARD_SCENARIOS", "1000"))
FIRST = int(os.environ.get("MODELYARD_FIRST_SCENARIO", "0"))
ENOUGH = 1000
"""So many scenarios meet everything that there is to meet; the shares of fewer say little."""


@pytest.mark.timeout(3000)
def test_whatever_goes_wrong_everything_settles() -> None:
    scenarios = play_all(range(FIRST, FIRST + SCENARIOS))
    print(f"\n{table(scenarios)}")
    if broken := [played for played in scenarios if played.broken]:
        pytest.fail(_told(broken))
    assert any(map(is_whole, scenarios))
    if len(scenarios) >= ENOUGH:
        assert sum(map(is_whole, scenarios)) > 0.6 * len(scenarios)
        assert not missing(scenarios), f"never met: {missing(scenarios)}"


def test_the_same_seed_gives_the_same_scenario() -> None:
    first, second = (play(41, lines=100_000) for _ in range(2))
    assert (first.struck, first.seen) == (second.struck, second.seen)
    assert first.struck


def test_a_scenario_without_its_fault_points_meets_none_of_them() -> None:
    whole = play(41)
    kept = whole.struck[::3]
    assert set(play(41, only=kept).struck) <= set(kept)


def _told(broken: list[Played]) -> str:
    """All seeds, and the first story made small."""
    seeds = ", ".join(str(played.seed) for played in broken[:20])
    smallest = shrink(broken[0].seed) or broken[0]
    return f"{len(broken)} scenarios broke a promise, seeds {seeds}; the first, made small:\n{told(smallest)}"
