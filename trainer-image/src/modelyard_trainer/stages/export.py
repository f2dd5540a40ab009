"""Writes the version's folder: safetensors, ONNX answered by the server's code, tokenizer and report."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from modelyard.api import layout
from modelyard.api.modelversion import Export
from modelyard.api.run import ExitCode, ModelInfo, Outcome
from modelyard_trainer.errors import TrainerError, cause_of, out_of_memory
from modelyard_trainer.onnx_model import write_onnx
from modelyard_trainer.predict import tokens_at_once, torch_logits
from modelyard_trainer.reports import report_of
from modelyard_trainer.run import Publication, TrainRun
from modelyard_trainer.served import COMPARED_ROWS, compare
from modelyard_trainer.tasks import task_named
from modelyard_trainer.warnings import warnings_of

SAMPLE_CHARACTERS = 1000
PRECISION = "fp32"
"""Of the evaluated model, which is the one that is written."""


def execute(run: TrainRun) -> None:
    """Leave a folder that is ready to be published."""
    folder, model = run.version, run.model.cpu()
    if "safetensors" in run.config.export:
        model.save_pretrained(folder, max_shard_size="1000GB")
    else:
        model.config.save_pretrained(folder)
    _save_tokenizer(run, folder)
    if "onnx" in run.config.export:
        _export_onnx(run, folder)
        _compare(run)
    report = report_of(run, Outcome(outcome="published"))
    (folder / layout.REPORT).write_text(json.dumps(report.dump(), indent=1))
    run.publication = Publication(run.target, folder, "model", _info(run).dump())


def _export_onnx(run: TrainRun, folder: Path) -> None:
    """Types that are known to export are not tried before training; trying again would give the same."""
    try:
        write_onnx(run.model, folder / "model.onnx")
    except Exception as fault:
        told = f"the trained model cannot be written as ONNX ({cause_of(fault)})"
        raise out_of_memory(fault) or TrainerError(
            ExitCode.EXPORT_DIFFERS, f"{told}: set spec.export to [safetensors], or choose another spec.from.base"
        ) from fault


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


def _compare(run: TrainRun) -> None:
    """Leave run.differences["onnx"], measured by the server's own code on the first test rows."""
    task, rows = task_named(run.config.task), run.encoded["test"][:COMPARED_ROWS]
    on_gpu = str(run.figures.get("device", "cpu")) != "cpu"
    pad = functools.partial(task.pad, pad_id=run.pad_id)
    computed = functools.partial(torch_logits, run.model, rows, pad, tokens_at_once(run))
    expected = computed() if on_gpu else run.test_logits[: len(rows)]
    run.differences["onnx"] = compare(run, _info(run), expected)
    run.figures["export_compared_rows"] = len(rows)


def _info(run: TrainRun) -> ModelInfo:
    config = run.config
    return ModelInfo(
        task=config.task,
        run=config.run,
        model=config.model,
        labels=run.labels,
        max_length=run.max_length,
        artifacts=[
            Export(format_=name, precision=PRECISION, difference=run.differences.get(name)) for name in config.export
        ],
        metrics=run.metrics,
        dataset=config.dataset.digest,
        base=config.base.digest,
        image=config.image,
        prepare=run.prepare,
        sample=run.side("test")[0].text[:SAMPLE_CHARACTERS],
        warnings=warnings_of(run),
    )
