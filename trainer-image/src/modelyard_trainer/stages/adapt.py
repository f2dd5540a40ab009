"""Prepares the model for the chosen method."""

from __future__ import annotations

import logging

from modelyard_trainer.methods import method_named
from modelyard_trainer.methods.protocols import Setting
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learner_of

log = logging.getLogger(__name__)


def execute(run: TrainRun) -> None:
    """Leave run.model with the weights that the method trains."""
    kind = run.config.method.kind
    setting = Setting(run.fresh, learner_of(run.config.task).ADAPTER_TASK, run.steps)
    run.model = method_named(kind).adapt(run.model, run.config.method.block, setting)
    trained = sum(weight.numel() for weight in run.model.parameters() if weight.requires_grad)
    run.figures["method"] = kind
    run.figures["trainable_parameters"] = trained
    log.info("%s trains %d of %d parameters", kind, trained, run.figures["parameters"])
