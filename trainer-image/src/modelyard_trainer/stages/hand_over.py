"""Lays out what a foreign trainer learns from; the test rows stay with us, unless nobody else can judge its model."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path

from modelyard.api.run import INPUTS_PATH
from modelyard.api.tasks import TASKS
from modelyard_trainer.data.rows import SPLITS
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import rows_of
from modelyard_trainer.tasks.classes import labels_of
from modelyard_trainer.tasks.protocols import Fields

HANDED = ("train", "validation")
"""Splits of a task that we measure."""


def execute(run: TrainRun) -> None:
    """Leave train.jsonl, validation.jsonl (pictures in base64) and, for classes, labels.json in $MODELYARD_DATA.

    A task that only the foreign trainer knows gets test.jsonl, too.
    """
    folder = Path(os.environ.get("MODELYARD_DATA", f"{INPUTS_PATH}/data"))
    folder.mkdir(parents=True, exist_ok=True)
    foreign, cells = TASKS[run.config.task].foreign, rows_of(run.config.task).instance
    for split in SPLITS if foreign else HANDED:
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as stream:
            stream.writelines(f"{_line(cells(row) if foreign else row)}\n" for row in run.rows[split])
    labels = labels_of(run.rows["train"])
    if labels:
        (folder / "labels.json").write_text(json.dumps(labels, ensure_ascii=False))


def _line(row: Fields) -> str:
    plain = {name: b64encode(value).decode() if isinstance(value, bytes) else value for name, value in row.items()}
    return json.dumps(plain, ensure_ascii=False, sort_keys=True)
