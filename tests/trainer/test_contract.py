"""An operator newer than the trainer image: what it adds is passed over, what the run needs ends it at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from modelyard.api import run
from modelyard.api.run import ExitCode, Outcome
from tests.trainer.harness import TrainerHarness

SOON = 10.0
"""Seconds in which the first container says that its image is too old."""


def started(harness: TrainerHarness, folder: Path, config: dict[str, Any]) -> tuple[int, Outcome, float]:
    """The pod's command as a process with this RunConfig: exit code, outcome, seconds."""
    (folder / "run.json").write_text(json.dumps(config))
    paths = {
        "MODELYARD_CONFIG": str(folder / "run.json"),
        "MODELYARD_TERMINATION": str(folder / "termination"),
        "MODELYARD_WORK": str(folder / "work"),
    }
    began = time.monotonic()
    environment = {**os.environ, **harness.environment(), **paths}
    done = subprocess.run(
        [sys.executable, "-m", "modelyard_trainer"], env=environment, capture_output=True, check=False
    )
    outcome = Outcome.model_validate_json((folder / "termination").read_bytes())
    return done.returncode, outcome, time.monotonic() - began


def test_a_later_contract_ends_the_run_at_once_and_says_so(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], tmp_path: Path
) -> None:
    config = harness.train_config("run-later", base, dataset).dump()
    later = {**config, "contract": run.CONTRACT + 1, "method": {"afterThisImage": {}}}
    code, outcome, seconds = started(harness, tmp_path, later)
    assert (code, outcome.reason) == (ExitCode.IMAGE_TOO_OLD, "TrainerImageTooOld"), outcome
    assert f"needs contract {run.CONTRACT + 1}, this trainer image knows {run.CONTRACT}" in outcome.message
    assert "chart value image.trainer" in outcome.message
    assert seconds < SOON


def test_what_is_new_and_not_needed_is_passed_over(harness: TrainerHarness, tmp_path: Path) -> None:
    uri = harness.put("newer/rows.jsonl", b'{"text": "a", "label": "b"}\n')
    config = harness.prepare_config("newer", {"s3": {"uri": uri}}).dump()
    config["source"]["s3"]["laterHint"] = config["later"] = {"x": 1}
    code, outcome, _ = started(harness, tmp_path, config)
    assert code == ExitCode.BAD_DATA, outcome  # a single row: it came as far as reading it
