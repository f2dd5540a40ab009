"""TrainingProfile: what the platform team offers to runs; cluster-scoped."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from modelyard.api.affinity import LabelValue
from modelyard.api.common import ApiModel, CommonStatus, Duration, Memory, ObjectName, S3Folder, cel
from modelyard.api.pod import RunPod

Word = Annotated[str, Field(max_length=16384)]


class Trainer(ApiModel):
    """The image that trains: one that keeps the trainer's contract, or any other with a command of its own."""

    model_config = ConfigDict(
        json_schema_extra=cel(("has(self.command) || !has(self.args)", "trainer: args need a command"))
    )

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Default: the trainer image of the installation.",
    )
    command: list[Word] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Command of a training program of your own: it finds base model and rows below $MODELYARD_BASE and "
        "$MODELYARD_DATA and leaves its model in $MODELYARD_OUTPUT, which is checked, judged and published for it.",
    )
    args: list[Word] | None = Field(default=None, max_length=256, description="Arguments of that command.")


class StoreAccess(ApiModel):
    """How run pods reach the artifact store."""

    secret: ObjectName | None = Field(
        default=None,
        description="Secret in the run's namespace with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
        "mounted by pods, never read by the operator. For stores without STS; default: each pod gets keys from the "
        "operator that last an hour and open nothing but its own run.",
    )


class Limits(ApiModel):
    """The most that FineTuneJobs and Datasets may ask for under this profile; what is left out has no limit."""

    bases: list[S3Folder] | None = Field(
        default=None,
        max_length=64,
        description="Folders that spec.from.base may lie in, for example s3://base/; each ends in '/'. "
        "An empty list allows none.",
    )
    cpu: float | None = Field(default=None, gt=0, le=1024, description="CPU cores of a pod.")
    memory: Memory | None = Field(default=None, description="Memory of a pod, for example 64Gi.")
    gpu: int | None = Field(default=None, ge=0, le=64, description="GPUs of a pod; 0 allows none.")
    epochs: int | None = Field(default=None, ge=1, le=1000, description="Passes over the training rows.")


class Namespaces(ApiModel):
    """Who may use the profile."""

    match_labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        max_length=16,
        description="Labels that a namespace must carry, all of them; none: every namespace may use the profile.",
    )


class TrainingProfileSpec(ApiModel):
    """Image, store access and placement of run pods, and who may ask for how much."""

    trainer: Trainer = Field(default_factory=Trainer)
    store: StoreAccess = Field(default_factory=StoreAccess)
    pod: RunPod = Field(
        default_factory=RunPod,
        description="What is added to the pods; it counts from a run's start, a later change leaves the run alone.",
    )
    queue: LabelValue | None = Field(
        default=None,
        min_length=1,
        description="Local queue of Kueue in which runs wait; the label kueue.x-k8s.io/queue-name of a FineTuneJob or "
        "Dataset names another one. Their Jobs are made suspended, and only Kueue starts them.",
    )
    retries: int = Field(
        default=3, ge=0, le=20, description="How often a failed pod is tried again before the run fails."
    )
    disruptions: int = Field(
        default=20,
        ge=0,
        le=1000,
        description="How many evictions and pre-emptions a run, or the preparation of a Dataset, survives.",
    )
    grace_period: Duration = Field(
        default="60s",
        description="Time that a pod gets to save its state when it is taken away, for example 120s: "
        "a checkpoint has to reach the store in it, or the run goes on from the one before.",
    )
    limits: Limits = Field(default_factory=Limits)
    namespaces: Namespaces = Field(default_factory=Namespaces)


class TrainingProfileStatus(CommonStatus):
    """Nothing but conditions."""
