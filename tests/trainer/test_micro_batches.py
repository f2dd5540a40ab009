"""How many rows are computed at once changes nothing: each optimizer step has the rows and the loss of its batch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode
from tests.trainer.harness import BUCKET, TrainerHarness

TRAIN = {"epochs": 2, "learningRate": 1e-3, "batchSize": 32, "precision": "fp32", "linearProbe": False}

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def losses(
    harness: TrainerHarness, base_folder: Path, dataset: dict[str, str], tmp_path_factory: Any
) -> dict[int, list[float]]:
    """Logged losses, of steps and of validation, per number of rows at once; of a base without dropout."""
    folder, found = tmp_path_factory.mktemp("still") / "base", {}
    shutil.copytree(base_folder, folder)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, **STILL}))
    base = harness.put_folder("base/still/", folder)
    for at_once in (32, 8, 5):
        config = harness.train_config(
            f"at-once-{at_once}", base, dataset, train=TRAIN, microBatch=at_once, export=["safetensors"]
        )
        code, outcome = harness.run(config)
        assert code == ExitCode.PUBLISHED, outcome.message
        lines = harness.store.get(BUCKET, layout.history_key(config.prefix)).decode().splitlines()
        logged: list[dict[str, Any]] = [json.loads(line) for line in lines]
        found[at_once] = [line[name] for line in logged for name in ("loss", "validation_loss") if name in line]
    return found


@pytest.mark.parametrize("at_once", [8, 5])
def test_the_losses_are_those_of_the_whole_batch(losses: dict[int, list[float]], at_once: int) -> None:
    whole, parts = losses[32], losses[at_once]
    assert len(whole) > 10 and max(whole) - min(whole) > 0.1, "the curve moves"
    assert parts == pytest.approx(whole, abs=1e-5)
