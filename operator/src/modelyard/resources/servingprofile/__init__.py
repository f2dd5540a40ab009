"""ServingProfile: what the platform team adds to server pods; it has no children and is read by those who name it."""

from modelyard.api.servingprofile import ServingProfileSpec, ServingProfileStatus
from modelyard.decision import Reconciler
from modelyard.resources.profile_status import decide_by, nothing

RECONCILER = Reconciler(
    "ServingProfile",
    "servingprofiles",
    namespaced=False,
    needs=nothing,
    decide=decide_by(ServingProfileSpec, ServingProfileStatus, "servers may use this profile"),
)
