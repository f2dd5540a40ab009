"""Measures the finished torch model in fp32 on the test rows, and the baselines on the same rows."""

from __future__ import annotations

import logging

from modelyard.api.run import ExitCode
from modelyard.api.tasks import TASKS
from modelyard_trainer import untrained
from modelyard_trainer.baselines import baselines
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.graphs import torch_graphs
from modelyard_trainer.methods import method_named
from modelyard_trainer.predict import outputs_of, size_at_once
from modelyard_trainer.run import TrainRun
from modelyard_trainer.served import COMPARED_ROWS, check_merged
from modelyard_trainer.tasks import learner_of
from modelyard_trainer.tasks.protocols import Settling

log = logging.getLogger(__name__)


def execute(run: TrainRun) -> None:
    """Leave run.model merged, run.outputs, run.answers, run.metrics and run.baselines."""
    codec, learner, most = run.codec, learner_of(run.config.task), size_at_once(run)
    read = run.read["test"]
    trained = outputs_of(codec, torch_graphs(learner.parts(run.model)), read[:COMPARED_ROWS], most)
    plain = run.model if run.part else method_named(run.config.method.kind).finish(run.model)
    run.model = plain.float().eval()
    if isinstance(codec, Settling):
        graphs = torch_graphs(learner.parts(run.model))
        codec.settle(outputs_of(codec, graphs, run.read["validation"], most), run.rows["validation"])
    run.outputs = outputs_of(codec, torch_graphs(learner.parts(run.model)), read, most)
    run.answers = [codec.decode(output, reading) for output, reading in zip(run.outputs, read, strict=True)]
    if not all(map(codec.finite, run.answers)):
        raise TrainerError(
            ExitCode.NOT_A_NUMBER,
            "the trained model answers NaN or infinity on test rows: lower spec.train.learningRate",
        )
    run.figures["merge_difference"] = check_merged(codec, trained, run.outputs)
    run.metrics = [codec.measure(run.answers, run.rows["test"])]
    run.baselines, missing = baselines(run)
    if TASKS[run.config.task].answers_untrained and not run.part:
        untrained.compare(run)
    if missing:
        run.figures["missing_baselines"] = missing
    run.figures["evaluated"] = "merged torch model in fp32 on the test rows"
    log.info("on the test rows %s, baselines %s", run.metrics[0].values, run.baselines)
