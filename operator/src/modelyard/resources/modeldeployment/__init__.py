"""ModelDeployment: what serves a model, and how one version takes over from another without losing a request."""

from modelyard.decision import Reconciler
from modelyard.resources.modeldeployment.decide import decide, needs
from modelyard.resources.modeldeployment.rules import RULES
from modelyard.resources.modeldeployment.serving_runtime import offered, used

__all__ = ["RECONCILER", "RULES", "offered", "used"]

RECONCILER = Reconciler(
    "ModelDeployment",
    "modeldeployments",
    namespaced=True,
    needs=needs,
    decide=decide,
    children=("Deployment", "InferenceService", "Service"),
)
