"""THE map: the rooms in the order of a model's life. The only place that joins engine and resources."""

from __future__ import annotations

from modelyard.decision import Offer, Room
from modelyard.resources import (
    dataset,
    finetunejob,
    modeldeployment,
    modelversion,
    servingprofile,
    trainingprofile,
)

ROOMS: tuple[Room, ...] = (
    trainingprofile.ROOM,  # what the platform team offers to runs
    servingprofile.ROOM,  # and adds to servers
    dataset.ROOM,  # what to learn from
    finetunejob.ROOM,  # one way to make a model
    modelversion.ROOM,  # the immutable result
    modeldeployment.ROOM,  # what serves it
)

OFFER = Offer(modeldeployment.offered, modeldeployment.used)
"""What KServe is offered where the cluster has it."""
