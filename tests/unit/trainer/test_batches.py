"""Batches of evaluation: by memory."""

from __future__ import annotations

import numpy as np
import pytest

from modelyard_trainer.predict import batches


@pytest.mark.parametrize("tokens", [1, 50, 64, 4096])
def test_batches_by_memory(tokens: int) -> None:
    lengths = np.random.default_rng(3).integers(0, 60, 500)
    found = batches(lengths, tokens)
    assert sorted(np.concatenate(found).tolist()) == list(range(500))
    assert all(len(batch) == 1 or len(batch) * max(lengths[batch].max(), 1) <= tokens for batch in found)
    assert lengths[found[0]].max() == lengths.max()  # what does not fit is known at once
    sizes = [(len(batch) + 1) * max(lengths[batch].max(), 1) for batch in found[:-1]]
    assert min(sizes) > tokens  # none is smaller than it need be


def test_no_rows_are_no_batches() -> None:
    assert batches([], 64) == []
