from __future__ import annotations

from collections.abc import Sequence

import pytest

from modelyard.engine.queue import WorkQueue
from tests.simulation.playing import play
from tests.simulation.shrink import minimal, shrink, told


def test_what_can_be_left_out_is_left_out() -> None:
    def breaks(names: Sequence[str]) -> bool:
        return {"b", "g"} <= set(names)

    assert minimal(list("abcdefghij"), breaks) == ["b", "g"]
    assert minimal(list("abc"), lambda names: True) == []


def test_a_planted_bug_is_told_by_the_fault_that_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not try again after a failed write is caught by one such write."""
    monkeypatch.setattr(WorkQueue, "add_after", lambda self, key, seconds: None)
    seed = next(seed for seed in range(200) if len(play(seed).struck) > 5 and play(seed).broken)
    found = shrink(seed)
    assert found is not None and found.broken
    assert len(found.struck) <= 2
    command = told(found).splitlines()[-1]
    assert command.startswith(f"again: .venv/bin/python -m tests.simulation {seed} --only")
    assert play(seed, only=found.struck).broken
