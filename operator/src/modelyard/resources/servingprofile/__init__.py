"""ServingProfile: what the platform team adds to server pods; it has no children and is read by those who name it."""

from modelyard.api.servingprofile import ServingProfileSpec, ServingProfileStatus
from modelyard.decision import Room
from modelyard.resources.profile_status import decide_by, nothing

ROOM = Room(
    "ServingProfile",
    "servingprofiles",
    namespaced=False,
    needs=nothing,
    decide=decide_by(ServingProfileSpec, ServingProfileStatus, "servers may use this profile"),
)
