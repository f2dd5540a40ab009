"""THE map: the reconcilers in the order of a model's life. The only place that joins engine and resources."""

from __future__ import annotations

from modelyard.decision import Offer, Reconciler
from modelyard.resources import (
    dataset,
    finetunejob,
    modeldeployment,
    modelversion,
    servingprofile,
    trainingprofile,
)

RECONCILERS: tuple[Reconciler, ...] = (
    trainingprofile.RECONCILER,  # what the platform team offers to runs
    servingprofile.RECONCILER,  # and adds to servers
    dataset.RECONCILER,  # what to learn from
    finetunejob.RECONCILER,  # one way to make a model
    modelversion.RECONCILER,  # the immutable result
    modeldeployment.RECONCILER,  # what serves it
)

OFFER = Offer(modeldeployment.offered, modeldeployment.used)
"""What KServe is offered where the cluster has it."""
