"""ModelDeployment: what serves a model, and how one version takes over from another without losing a request."""

from modelyard.decision import Room
from modelyard.resources.modeldeployment.decide import decide, needs
from modelyard.resources.modeldeployment.serving_runtime import offered, used

__all__ = ["ROOM", "offered", "used"]

ROOM = Room(
    "ModelDeployment",
    "modeldeployments",
    namespaced=True,
    needs=needs,
    decide=decide,
    children=("Deployment", "InferenceService", "Service"),
)
