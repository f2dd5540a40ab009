"""ModelVersion: the immutable result of a run; Ready once its claim and its stored artifacts are verified."""

from modelyard.decision import Reconciler
from modelyard.resources.modelversion.decide import decide, needs
from modelyard.resources.modelversion.rules import RULES

__all__ = ["RECONCILER", "RULES"]

RECONCILER = Reconciler("ModelVersion", "modelversions", namespaced=True, needs=needs, decide=decide)
