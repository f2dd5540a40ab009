"""Dataset: what to learn from; prepared once per spec by a Job of its own."""

from modelyard.decision import Reconciler
from modelyard.resources.dataset.decide import decide, needs
from modelyard.resources.dataset.rules import RULES

__all__ = ["RECONCILER", "RULES"]

RECONCILER = Reconciler(
    "Dataset", "datasets", namespaced=True, needs=needs, decide=decide, children=("ConfigMap", "Job")
)
