"""TrainingProfile: what the platform team offers to runs; it has no children and is read by those who name it."""

from modelyard.api.trainingprofile import TrainingProfileSpec, TrainingProfileStatus
from modelyard.decision import Reconciler
from modelyard.resources.profile_status import decide_by, nothing

RECONCILER = Reconciler(
    "TrainingProfile",
    "trainingprofiles",
    namespaced=False,
    needs=nothing,
    decide=decide_by(TrainingProfileSpec, TrainingProfileStatus, "runs may use this profile"),
)
