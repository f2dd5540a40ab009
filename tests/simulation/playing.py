"""Scenarios by the thousand: each one's outcome as a value, over several processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.simulation import clock
from tests.simulation.scenario import Scenario
from tests.simulation.sightings import rules_noted
from tests.simulation.story import Story

CHUNK = 25


@dataclass(frozen=True)
class Played:
    """How a scenario ended."""

    seed: int
    kind: str
    broken: tuple[str, ...]
    """Promises that were broken, empty for a good scenario."""
    story: str
    struck: tuple[str, ...]
    """Names of the fault points that came true."""
    seen: frozenset[str]

    def __str__(self) -> str:
        return f"seed {self.seed} ({self.kind}): {self.broken[0] if self.broken else 'well'}\n{self.story}"


def play(seed: int, lines: int = 60, only: Iterable[str] | None = None) -> Played:
    """Play one scenario; with `only` these fault points come true and no others."""
    logging.disable(logging.CRITICAL)
    story = Story(lines)
    scenario, seen = Scenario(seed, story, only), set[str]()
    try:
        with rules_noted(seen):
            clock.run(scenario.play())
    except Exception as fault:
        story.broken.append(f"{type(fault).__name__}: {fault} {traceback.format_exc()[-700:]}")
    told = str(story) if story.broken else ""
    if hasattr(scenario, "sightings"):
        seen |= scenario.sightings.seen
    struck = tuple(scenario.fault_points.struck)
    return Played(seed, scenario.kind.name, tuple(story.broken), told, struck, frozenset(seen))


def play_all(seeds: Iterable[int], processes: int | None = None) -> list[Played]:
    """Play all of these scenarios, on all cores."""
    wanted, count = list(seeds), processes or len(os.sched_getaffinity(0))
    if count == 1 or len(wanted) <= CHUNK:
        return [play(seed) for seed in wanted]
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        return list(pool.map(play, wanted, chunksize=CHUNK))


def _begin() -> None:
    """As the operator's own process does: cycles are collected rarely."""
    from modelyard.engine.main import _collect_rarely

    _collect_rarely()
