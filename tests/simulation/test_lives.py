from __future__ import annotations

import logging
import os

import pytest

from tests.simulation.life import live

LIVES = int(os.environ.get("MODELYARD_LIVES", "1000"))
CHUNKS = 10
FIRST = int(os.environ.get("MODELYARD_FIRST_LIFE", "0"))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_goes_wrong_everything_settles(chunk: int, only_seed: int | None) -> None:
    logging.disable(logging.CRITICAL)
    if only_seed is not None and only_seed % CHUNKS != chunk:
        pytest.skip("another life is asked for")
    seeds = range(FIRST + chunk, FIRST + LIVES, CHUNKS) if only_seed is None else (only_seed,)
    for seed in seeds:
        live(seed, lines=50 if only_seed is None else 400)
