"""Lives by the thousand: each one's outcome as a value, over several processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import traceback
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.simulation import clock
from tests.simulation.life import Life
from tests.simulation.story import Story

CHUNK = 25


@dataclass(frozen=True)
class Lived:
    """How a life ended."""

    seed: int
    kind: str
    broken: tuple[str, ...]
    """Promises that were broken, empty for a good life."""
    story: str
    struck: tuple[str, ...]
    """Names of the chances that came true."""
    seen: frozenset[str]

    def __str__(self) -> str:
        return f"seed {self.seed} ({self.kind}): {self.broken[0] if self.broken else 'well'}\n{self.story}"


def live(seed: int, lines: int = 60, only: Iterable[str] | None = None) -> Lived:
    """Live one life; with `only` these chances come true and no others."""
    logging.disable(logging.CRITICAL)
    story = Story(lines)
    life = Life(seed, story, only)
    try:
        clock.run(life.live())
    except Exception as fault:
        story.broken.append(f"{type(fault).__name__}: {fault} {traceback.format_exc()[-700:]}")
    told = str(story) if story.broken else ""
    seen = frozenset(life.sightings.seen) if hasattr(life, "sightings") else frozenset()
    return Lived(seed, life.kind.name, tuple(story.broken), told, tuple(life.chances.struck), seen)


def live_all(seeds: Iterable[int], processes: int | None = None) -> list[Lived]:
    """Live all of these lives, on all cores."""
    wanted, count = list(seeds), processes or len(os.sched_getaffinity(0))
    if count == 1 or len(wanted) <= CHUNK:
        return [live(seed) for seed in wanted]
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_begin) as pool:
        return list(pool.map(live, wanted, chunksize=CHUNK))


def _begin() -> None:
    """As the operator's own process does: cycles are collected rarely."""
    from modelyard.engine.main import _collect_rarely

    _collect_rarely()
