"""ModelDeployment: what serves a model's versions, and under which stable address."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from modelyard.api.common import ApiModel, CommonStatus, DnsLabel, Memory, ObjectName, StatusModel, cel
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


SERVING, CANDIDATE, DRAINING, FAILED = "serving", "candidate", "draining", "failed"
STATES = {
    SERVING: "the stable address sends its requests to it",
    CANDIDATE: "it is started and asked, and gets no requests before it answered as itself",
    DRAINING: "requests go elsewhere by now; it is kept for those under way",
    FAILED: "it was a candidate that failed; nothing of it runs, and it is not tried again as it is",
}
"""Every word of `state`; others may come, and whoever reads one that is not known takes it for something that runs."""


class VersionStatus(StatusModel):
    """One version of the model as this ModelDeployment has it."""

    server: str = Field(
        max_length=32,
        description="Which server of the version it is: v7 is the first one of version 7, v7-2 the one that took over "
        "from it in a refresh. Its objects are called <ModelDeployment>-<server>.",
    )
    number: int = Field(description="Number of the version.")
    state: str = Field(
        max_length=32,
        description="; ".join(f"{state}: {text}" for state, text in STATES.items())
        + ". More words may come: take one that you do not know for a version that runs.",
    )
    weight: int = Field(default=0, ge=0, le=100, description="Percent of the stable address's requests that it gets.")
    since: str = Field(description="Since when it is in this state.", json_schema_extra={"format": "date-time"})
    reason: str | None = Field(default=None, max_length=1024, description="Why it is in this state, one word.")
    message: str | None = Field(
        default=None, max_length=32768, description="Why it is in this state, and what to try if it failed."
    )
    generation: int | None = Field(default=None, description="Generation of the spec under which it is or was tried.")
    template: str | None = Field(default=None, description="Hash of the pod template that it failed with.")
    suspect_since: str | None = Field(default=None, description="Since when the candidate has given no right answer.")
    behind: list[str] | None = Field(
        default=None,
        max_length=8,
        description="In what the server differs from one that would be made now: image, store (the way to it, or its "
        "authorities), template (what a ServingProfile or another release of the operator adds). None while it is as "
        "new. It goes on serving; annotation modelyard.dev/refresh with a new value moves it.",
    )


class ModelDeploymentStatus(CommonStatus):
    """What is served."""

    versions: list[VersionStatus] = Field(
        default_factory=list,
        description="The servers that run here, each with its version, and the last one that failed.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["server"]},
    )
    replicas: int | None = Field(default=None, description="Pods of the serving version that exist.")
    selector: str | None = Field(default=None, description="Labels of the serving version's pods, for autoscalers.")
    url: str | None = Field(default=None, description="Stable address inside the cluster.")
    backend: Backend | None = Field(
        default=None, description="What runs the servers; chosen at the first one, changed by spec.serve.backend only."
    )

    refreshed: str | None = Field(
        default=None,
        max_length=253,
        description="The last value of annotation modelyard.dev/refresh that was acted on.",
    )

    def of(self, server: str) -> VersionStatus | None:
        """What is said about a server."""
        return next((version for version in self.versions if version.server == server), None)

    def of_version(self, number: int) -> list[VersionStatus]:
        """What is said about all servers of a version."""
        return [version for version in self.versions if version.number == number]

    def first(self, state: str) -> VersionStatus | None:
        """The first version in a state."""
        return next((version for version in self.versions if version.state == state), None)


def version_in(status: dict[str, Any], state: str) -> dict[str, Any]:
    """The first version in a state, of a status as the API server shows it; empty if there is none."""
    return next((version for version in status.get("versions", ()) if version["state"] == state), {})
