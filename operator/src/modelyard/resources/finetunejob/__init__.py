"""FineTuneJob: one way to make a model; from pinned inputs through one Job to a verified, judged version."""

from modelyard.decision import Reconciler
from modelyard.resources.finetunejob.decide import decide, needs
from modelyard.resources.finetunejob.rules import RULES

__all__ = ["RECONCILER", "RULES"]

RECONCILER = Reconciler(
    "FineTuneJob",
    "finetunejobs",
    namespaced=True,
    needs=needs,
    decide=decide,
    children=("ConfigMap", "Job", "Dataset", "ModelVersion"),
)
