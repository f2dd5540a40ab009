"""Evaluation by memory: no batch is larger than training's, and figures do not depend on how rows were put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode
from modelyard.storage.fetch import fetch_verified
from modelyard_trainer import predict
from modelyard_trainer.tasks import classes, texts
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.texts import codec_of, torch_logits

LEAST = 64


def test_evaluation_needs_no_larger_batches_than_training(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], tmp_path: Path, monkeypatch: Any
) -> None:
    """The metric, the loss and the order of the answers stay those of row by row."""
    shapes: list[tuple[int, ...]] = []
    pad = texts.pad

    def watched(rows: Any, pad_id: int) -> dict[str, np.ndarray]:
        padded = pad(rows, pad_id)
        shapes.append(padded["input_ids"].shape)
        return padded

    monkeypatch.setattr(texts, "pad", watched)
    monkeypatch.setattr(predict, "SIZE", LEAST)
    settings = {"epochs": 1, "learningRate": 1e-3, "batchSize": 5, "precision": "fp32"}
    config = harness.train_config("by-memory", base, dataset, train=settings, export=["safetensors"])
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    _, _, *batches = shapes  # two tries before training, with a row that is longer than any
    most = max(rows * width for rows, width in batches)
    assert LEAST < most <= 5 * max(width for _, width in batches)
    assert min(rows for rows, _ in batches[:-1]) < 5 < max(rows for rows, _ in batches)
    report, validation_loss = harness.report(config), _logged(harness, config.prefix, "validation_loss")
    macro_f1, loss = _row_by_row(harness, config, tmp_path)
    assert report.train["validation_macro_f1"] == pytest.approx(macro_f1, abs=1e-5)
    assert validation_loss == pytest.approx(loss, abs=1e-4)


def _logged(harness: TrainerHarness, prefix: str, name: str) -> float:
    lines = harness.store.get(BUCKET, layout.history_key(prefix)).decode().splitlines()
    return next(float(found[name]) for found in map(json.loads, lines) if name in found)


def _row_by_row(harness: TrainerHarness, config: Any, folder: Path) -> tuple[float, float]:
    """Macro F1 and mean loss of the published model on the validation rows."""
    from transformers import AutoModelForSequenceClassification

    fetch_verified(harness.store, BUCKET, layout.version_prefix(config.prefix), folder / "version")
    known = harness.rows(config.dataset.prefix, "validation")
    model = AutoModelForSequenceClassification.from_pretrained(folder / "version")
    labels = [model.config.id2label[number] for number in range(len(model.config.id2label))]
    codec = codec_of(folder / "version", labels)
    logits = np.concatenate([torch_logits(model, codec, [row["text"]]) for row in known])
    truth = [labels.index(row["label"]) for row in known]
    chances = classes.softmax(logits)[np.arange(len(truth)), truth]
    answers = [classes.answer_of(row, labels) for row in logits]
    measured = codec.measure(answers, known)
    return measured.values["macro_f1"], float(-np.log(chances).mean())
