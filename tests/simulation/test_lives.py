from __future__ import annotations

import logging
import os

import pytest

from tests.simulation import clock
from tests.simulation.life import Life, live
from tests.simulation.story import BrokenPromise, Story

LIVES = int(os.environ.get("MODELYARD_LIVES", "1000"))
FIRST = int(os.environ.get("MODELYARD_FIRST_LIFE", "0"))
CHUNKS = 10


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_goes_wrong_everything_settles(chunk: int) -> None:
    stories = [story for seed in range(FIRST + chunk, FIRST + LIVES, CHUNKS) if (story := lived(seed))]
    assert not stories, f"{len(stories)} lives broke a promise; the first:\n{stories[0]}"


def test_the_life_that_was_asked_for(only_seed: int) -> None:
    story = lived(only_seed, lines=400)
    assert not story, story


def test_the_same_seed_gives_the_same_life() -> None:
    def story_of(seed: int) -> str:
        story = Story(lines=100_000)
        clock.run(Life(seed, story).live())
        return str(story)

    assert story_of(41) == story_of(41)


def lived(seed: int, lines: int = 40) -> str:
    """The story of a life that broke a promise, empty for a good one."""
    logging.disable(logging.CRITICAL)
    try:
        live(seed, lines)
    except BrokenPromise as broken:
        return str(broken)
    return ""
