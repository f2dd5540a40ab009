"""ModelDeployment: what serves a model's versions, and under which stable address."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from modelyard.api.common import ApiModel, CommonStatus, DnsLabel, Memory, ObjectName, cel
from modelyard.names import DEFAULT_PROFILE


class Follow(ApiModel):
    """Which version: `follow: latest-passed`, or one number, which pins it (the rollback)."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.follow) != has(self.version)", "model: give exactly one of follow and version"),
            ("self.name == oldSelf.name", "model.name is immutable: make a new ModelDeployment for another model"),
        )
    )
    name: DnsLabel = Field(description="Name of the model.")
    follow: Literal["latest-passed"] | None = Field(
        default=None, description="latest-passed: the highest Ready version whose gate passed."
    )
    version: int | None = Field(default=None, ge=1, description="Serve this number, whatever comes later.")


class Replicas(ApiModel):
    """Number of server pods."""

    min: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Pods of the serving version, and of a candidate before it takes over. An autoscaler whose "
        "target is the ModelDeployment, or kubectl scale, sets it.",
    )


class ServeResources(ApiModel):
    """What a server pod may use."""

    cpu: float = Field(default=1, gt=0, le=256, description="CPU cores, 0.5 for half of one.")
    memory: Memory = Field(default="1Gi", description="Memory, for example 1Gi.")


Backend = Literal["deployment", "kserve"]


class Serve(ApiModel):
    """The server."""

    backend: Backend | None = Field(
        default=None,
        description="What runs the servers: kserve (an InferenceService per version) or deployment. Default: what "
        "status.backend says, at first kserve if the cluster serves its API. A change moves what serves.",
    )
    replicas: Replicas = Field(default_factory=Replicas)
    resources: ServeResources = Field(default_factory=ServeResources)
    profile: ObjectName = Field(
        default=DEFAULT_PROFILE,
        description="Name of a ServingProfile, which adds to the pods what the platform team allows; without one named "
        "default nothing is added.",
    )


class ModelDeploymentSpec(ApiModel):
    """What serves a model."""

    model: Follow
    serve: Serve = Field(default_factory=Serve)


class ModelDeploymentStatus(CommonStatus):
    """What is served."""

    serving: int | None = Field(default=None, description="Version that gets all traffic.")
    candidate: int | None = Field(default=None, description="Version that is being started and probed.")
    failed: int | None = Field(default=None, description="Last candidate that failed; not tried again as it is.")
    failed_generation: int | None = Field(default=None, description="Generation in which it failed.")
    failed_template: str | None = Field(default=None, description="Hash of the pod template that it failed with.")
    failed_reason: str | None = Field(default=None, description="Why it failed, one word.")
    failed_message: str | None = Field(default=None, description="Why it failed, and what to try.")
    candidate_since: str | None = Field(default=None, description="When the candidate was started.")
    suspect_since: str | None = Field(default=None, description="Since when the candidate has given no right answer.")
    previous: int | None = Field(default=None, description="Version that served before; it drains for a moment.")
    switched_at: str | None = Field(default=None, description="When traffic moved from `previous` to `serving`.")
    replicas: int | None = Field(default=None, description="Pods of the serving version that exist.")
    selector: str | None = Field(default=None, description="Labels of the serving version's pods, for autoscalers.")
    url: str | None = Field(default=None, description="Stable address inside the cluster.")
    backend: Backend | None = Field(
        default=None, description="What runs the servers; chosen at the first one, changed by spec.serve.backend only."
    )
