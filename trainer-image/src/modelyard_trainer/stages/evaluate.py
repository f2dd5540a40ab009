"""Measures the finished torch model in fp32 on the test rows, and the baselines on the same rows."""

from __future__ import annotations

import functools
import logging

import numpy as np

from modelyard.api.run import ExitCode
from modelyard_trainer.baselines import baselines
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.methods import method_named
from modelyard_trainer.predict import tokens_at_once, torch_logits
from modelyard_trainer.run import TrainRun
from modelyard_trainer.served import COMPARED_ROWS, check_merged
from modelyard_trainer.tasks import task_named

log = logging.getLogger(__name__)


def execute(run: TrainRun) -> None:
    """Leave run.model merged, run.test_logits, run.metrics and run.baselines."""
    task = task_named(run.config.task)
    pad = functools.partial(task.pad, pad_id=run.pad_id)
    tokens = tokens_at_once(run)
    trained = torch_logits(run.model, run.encoded["test"][:COMPARED_ROWS], pad, tokens)
    plain = run.model if run.part else method_named(run.config.method.kind).finish(run.model)
    run.model = plain.float().eval()
    run.test_logits = torch_logits(run.model, run.encoded["test"], pad, tokens)
    if not np.isfinite(run.test_logits).all():
        raise TrainerError(
            ExitCode.NOT_A_NUMBER,
            "the trained model answers NaN or infinity on test rows: lower spec.train.learningRate",
        )
    run.figures["merge_difference"] = check_merged(trained, run.test_logits[: len(trained)])
    run.metrics = [task.measure(run.test_logits, run.targets("test"), run.labels)]
    run.baselines, missing = baselines(task, run.rows, run.labels)
    if missing:
        run.figures["missing_baselines"] = missing
    run.figures["evaluated"] = "merged torch model in fp32 on the test rows"
    log.info("on the test rows %s, baselines %s", run.metrics[0].values, run.baselines)
