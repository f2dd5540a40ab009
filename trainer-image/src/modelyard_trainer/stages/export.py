"""Writes the version's folder: safetensors, ONNX compared with torch, tokenizer and report."""

from __future__ import annotations

import functools
import json
import logging
import math
from pathlib import Path

import numpy as np

from modelyard.api.modelversion import Metrics
from modelyard.api.run import ExitCode, ModelInfo, Outcome
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.onnx_model import onnx_runner, write_onnx
from modelyard_trainer.predict import in_batches, torch_logits
from modelyard_trainer.reports import report_of
from modelyard_trainer.run import Publication, TrainRun
from modelyard_trainer.tasks import task_named
from modelyard_trainer.warnings import warnings_of

log = logging.getLogger(__name__)
COMPARED_ROWS = 1000
ABSURD = 1.0
"""Logit difference that no rounding explains; smaller ones are the gate's to judge."""
SAMPLE_CHARACTERS = 1000


def execute(run: TrainRun) -> None:
    """Leave a folder that is ready to be published, and metrics.export_difference."""
    folder, model = run.version, run.model.cpu()
    if "safetensors" in run.config.export:
        model.save_pretrained(folder, max_shard_size="1000GB")
    else:
        model.config.save_pretrained(folder)
    _save_tokenizer(run, folder)
    if "onnx" in run.config.export:
        write_onnx(model, folder / "model.onnx")
        _compare(run, folder / "model.onnx")
    metrics = _metrics(run)
    report = report_of(run, Outcome(outcome="published"))
    (folder / "report.json").write_text(json.dumps(report.dump(), indent=1))
    run.publication = Publication(run.target, folder, "model", _info(run, metrics).dump())


def _save_tokenizer(run: TrainRun, folder: Path) -> None:
    """tokenizer.json with the length and padding of training, and what other libraries read beside it."""
    run.tokenizer.save(str(folder / "tokenizer.json"))
    filler = {"pad_token": run.tokenizer.id_to_token(run.pad_id)}
    more = {"tokenizer_config.json": {**filler, "model_max_length": run.max_length}, "special_tokens_map.json": filler}
    for name, settings in more.items():
        path = run.base / name
        if path.exists():
            content = {**json.loads(path.read_text()), **settings}
            (folder / name).write_text(json.dumps(content, indent=1))


def _compare(run: TrainRun, path: Path) -> None:
    task, rows = task_named(run.config.task), run.encoded["test"][:COMPARED_ROWS]
    pad = functools.partial(task.pad, pad_id=run.pad_id)
    on_gpu = str(run.figures.get("device", "cpu")) != "cpu"
    expected = torch_logits(run.model, rows, pad) if on_gpu else run.test_logits[: len(rows)]
    found = in_batches(rows, pad, onnx_runner(path))
    difference = float(np.abs(found - expected).max())
    log.info("largest logit difference between torch and ONNX on %d rows: %.3g", len(rows), difference)
    if not math.isfinite(difference) or difference > ABSURD:
        raise TrainerError(
            ExitCode.EXPORT_DIFFERS,
            f"the ONNX model's logits differ from torch's by {difference:.3g} on {len(rows)} test rows: "
            "set spec.export to [safetensors], or choose another spec.from.base",
        )
    run.figures["export_compared_rows"] = len(rows)
    if run.metrics is not None:
        run.metrics = run.metrics.model_copy(update={"export_difference": difference})


def _metrics(run: TrainRun) -> Metrics:
    if run.metrics is None:
        raise RuntimeError("the model was not evaluated")
    return run.metrics


def _info(run: TrainRun, metrics: Metrics) -> ModelInfo:
    config = run.config
    return ModelInfo(
        task=config.task,
        run=config.run,
        model=config.model,
        labels=run.labels,
        max_length=run.max_length,
        formats=list(config.export),
        metrics=metrics,
        dataset=config.dataset.digest,
        base=config.base.digest,
        image=config.image,
        sample=run.side("test")[0].text[:SAMPLE_CHARACTERS],
        warnings=warnings_of(run),
    )
