"""ServingProfile: what the platform team adds to the pods of servers; cluster-scoped."""

from __future__ import annotations

from pydantic import Field

from modelyard.api.common import ApiModel, CommonStatus
from modelyard.api.pod import Pod
from modelyard.api.trainingprofile import Namespaces


class ServingProfileSpec(ApiModel):
    """What is added to server pods, and who may use it; it counts when a version goes live, or the spec changes."""

    pod: Pod = Field(default_factory=Pod)
    namespaces: Namespaces = Field(default_factory=Namespaces)


class ServingProfileStatus(CommonStatus):
    """Nothing but conditions."""
