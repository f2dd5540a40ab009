"""How many rows are computed at once: as memory allows, in equal parts, and never a reason for another run."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.api.common import Resources
from modelyard.api.hyperparameters import ResolvedInput
from modelyard.resources.finetunejob.micro_batch import micro_batch
from tests.builders import a_dataset, a_finetunejob, a_profile
from tests.unit.resources.finetunejob.harness import JobHarness, started, training


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


@pytest.mark.parametrize(("start", "memory", "rows"), [("resnet", "1Gi", 64), ("cnn", "1Gi", 5), ("cnn", "64Gi", 64)])
def test_what_has_statistics_over_the_batch_is_computed_at_once(start: str, memory: str, rows: int) -> None:
    """Or the memory would decide the result; the others are the same whatever the parts."""
    spec: dict[str, Any] = {"from": {"scratch": {start: {}}}, "input": {}, "method": {"full": {}}, "train": {}}
    job = a_finetunejob(**spec, task="image-classification", resources={"cpu": 1, "memory": memory})
    harness = JobHarness(job, a_profile(), a_dataset(task="image-classification").prepared())
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD
    assert harness.run["pinned"]["microBatch"] == rows
    harness.edit(resources={"cpu": 1, "memory": "2Gi"})
    harness.settle()
    assert (harness.run["pinned"]["microBatch"] == 64) == (start == "resnet")


def test_it_follows_the_memory_until_a_pod_ran_and_never_moves_the_run() -> None:
    for make, moves in ((started, True), (training, False)):
        harness = make(input={"text": {"maxLength": 512}})
        before = harness.run
        harness.edit(resources={"cpu": 1, "memory": "64Gi"})
        harness.settle()
        assert harness.run["id"] == before["id"]
        assert (harness.run["pinned"]["microBatch"] > before["pinned"]["microBatch"]) == moves
