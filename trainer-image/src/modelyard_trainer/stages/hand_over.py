"""Lays out what a foreign trainer learns from; the test rows stay with us."""

from __future__ import annotations

import json
import os
from pathlib import Path

from modelyard.api.run import INPUTS_PATH
from modelyard_trainer.data.rows import write_rows
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import task_named

HANDED = ("train", "validation")


def execute(run: TrainRun) -> None:
    """Leave train.jsonl, validation.jsonl and labels.json in $MODELYARD_DATA."""
    folder = Path(os.environ.get("MODELYARD_DATA", f"{INPUTS_PATH}/data"))
    folder.mkdir(parents=True, exist_ok=True)
    for side in HANDED:
        write_rows(folder / f"{side}.jsonl", run.side(side))
    labels = task_named(run.config.task).labels_of([row.label for row in run.side("train")])
    (folder / "labels.json").write_text(json.dumps(labels, ensure_ascii=False))
