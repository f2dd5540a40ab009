"""How many rows are computed at once: as memory allows, in equal parts, and never a reason for another run."""

from __future__ import annotations

import pytest

from modelyard.api.common import Resources
from modelyard.api.hyperparameters import ResolvedInput
from modelyard.resources.finetunejob.micro_batch import micro_batch
from tests.unit.resources.finetunejob.harness import started, training


def at_once(batch: int, length: int, memory: str = "4Gi", gpu: int = 0) -> int:
    text = ResolvedInput.model_validate({"text": {"maxLength": length}})
    return micro_batch(batch, text, Resources(memory=memory, gpu=gpu))


@pytest.mark.parametrize(
    ("batch", "length", "memory", "gpu", "rows"),
    [
        (32, 32, "4Gi", 0, 32),
        (32, 128, "4Gi", 0, 16),  # 20 fit: two equal parts
        (32, 512, "4Gi", 0, 3),
        (32, 512, "64Gi", 0, 32),
        (32, 8192, "1Gi", 0, 1),
        (1, 128, "4Gi", 0, 1),
        (4096, 128, "4Gi", 0, 20),
        (32, 128, "1Gi", 1, 32),  # a GPU has memory of its own
        (30, 8, "4Gi", 4, 8),
    ],
)
def test_rows_at_once(batch: int, length: int, memory: str, gpu: int, rows: int) -> None:
    assert at_once(batch, length, memory, gpu) == rows


def test_it_follows_the_memory_until_a_pod_ran_and_never_moves_the_run() -> None:
    for make, moves in ((started, True), (training, False)):
        harness = make(input={"text": {"maxLength": 512}})
        before = harness.run
        harness.edit(resources={"cpu": 1, "memory": "64Gi"})
        harness.settle()
        assert harness.run["id"] == before["id"]
        assert (harness.run["pinned"]["microBatch"] > before["pinned"]["microBatch"]) == moves
