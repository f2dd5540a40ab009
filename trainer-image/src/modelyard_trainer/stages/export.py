"""Writes the version's folder: safetensors, ONNX answered by the server's code, the codec's files and report."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from modelyard.api import layout
from modelyard.api.run import ExitCode, ModelInfo, Outcome, Written
from modelyard_trainer.errors import TrainerError, cause_of, out_of_memory
from modelyard_trainer.graphs import torch_graphs, write_onnx
from modelyard_trainer.page import page_of
from modelyard_trainer.predict import outputs_of, size_at_once
from modelyard_trainer.reports import report_of
from modelyard_trainer.run import Publication, TrainRun
from modelyard_trainer.served import COMPARED_ROWS, compare
from modelyard_trainer.tasks import learner_of, rows_of
from modelyard_trainer.tasks.protocols import Output
from modelyard_trainer.warnings import warnings_of

log = logging.getLogger(__name__)
PRECISION = "fp32"
"""Of the evaluated model, which is the one that is written."""


def execute(run: TrainRun) -> None:
    """Leave a folder that is ready to be published."""
    folder, model = run.version, run.model.cpu()
    if "safetensors" in run.config.export:
        model.save_pretrained(folder, max_shard_size="1000GB")
    else:
        model.config.save_pretrained(folder)
    settings = run.codec.save(folder)
    info = _info(run, settings)
    if "onnx" in run.config.export:
        _export_onnx(run, folder)
        run.differences["onnx"] = compare(run, info, _expected(run))
        info = _info(run, settings)
    _write_page(run)
    report = report_of(run, Outcome(outcome="published"))
    (folder / layout.REPORT).write_text(json.dumps(report.dump(), indent=1))
    run.publication = Publication(run.target, folder, "model", info.dump())


def _write_page(run: TrainRun) -> None:
    """Best effort: no model is lost because its page could not be made."""
    try:
        run.quick.put(run.bucket, layout.page_key(run.config.prefix), page_of(run).encode())
    except Exception as fault:
        log.exception("the page of the version was not made")
        run.figures["page_failed"] = cause_of(fault)


def _export_onnx(run: TrainRun, folder: Path) -> None:
    """Types that are known to export are not tried before training; trying again would give the same."""
    try:
        write_onnx(learner_of(run.config.task).parts(run.model), folder)
    except Exception as fault:
        told = f"the trained model cannot be written as ONNX ({cause_of(fault)})"
        raise out_of_memory(fault) or TrainerError(
            ExitCode.EXPORT_DIFFERS, f"{told}: set spec.export to [safetensors], or choose another spec.from.base"
        ) from fault


def _expected(run: TrainRun) -> list[Output]:
    """Outputs of the trained model to the first test rows, computed where ONNX is: on the CPU."""
    run.figures["export_compared_rows"] = len(run.read["test"][:COMPARED_ROWS])
    if str(run.figures.get("device", "cpu")) == "cpu":
        return run.outputs[:COMPARED_ROWS]
    graphs = torch_graphs(learner_of(run.config.task).parts(run.model))
    return outputs_of(run.codec, graphs, run.read["test"][:COMPARED_ROWS], size_at_once(run))


def _info(run: TrainRun, settings: dict[str, Any]) -> ModelInfo:
    config = run.config
    return ModelInfo(
        task=config.task,
        run=config.run,
        model=config.model,
        labels=run.codec.labels,
        codec=settings,
        artifacts=[
            Written(format_=name, precision=PRECISION, difference=run.differences.get(name)) for name in config.export
        ],
        metrics=run.metrics,
        dataset=config.dataset.digest,
        base=config.base.digest if config.base else None,
        parents=[config.base.version.name] if config.base and config.base.version else [],
        image=config.image,
        sample=run.codec.sample(rows_of(config.task).instance(run.rows["test"][0])),
        warnings=warnings_of(run),
    )
