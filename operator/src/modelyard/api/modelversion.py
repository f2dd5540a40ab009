"""ModelVersion: the immutable result of a run, made by the operator; its artifacts lie under the run id."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from modelyard.api.common import ApiModel, CommonStatus, DnsLabel, Task, cel

Digest = str


class Lineage(ApiModel):
    """What the version was made from."""

    run: str = Field(max_length=64, description="Run id.")
    job: str = Field(max_length=253, description="FineTuneJob.")
    dataset: Digest = Field(max_length=80, description="Digest of the prepared rows.")
    base: Digest = Field(max_length=80, description="Digest of the base model.")
    image: str = Field(max_length=1024, description="Trainer image.")


class ClassMetrics(ApiModel):
    """Quality for one class on the test rows."""

    precision: float = Field(description="Share of the rows given this class that have it.")
    recall: float = Field(description="Share of the rows of this class that were found.")
    f1: float = Field(description="Harmonic mean of precision and recall.")
    support: int = Field(description="Test rows of this class.")


class Metrics(ApiModel):
    """Quality on the test rows."""

    macro_f1: float = Field(alias="macro_f1", description="Mean of f1 over the classes.")
    accuracy: float = Field(description="Share of the rows that are right.")
    per_class: dict[str, ClassMetrics] = Field(
        default_factory=dict, max_length=1000, description="Quality for each class."
    )
    export_difference: float | None = Field(
        default=None, description="Largest logit difference between torch and ONNX."
    )


class RunWarning(ApiModel):
    """What the run noticed about its result and a person should know, beside the gate's verdict."""

    reason: str = Field(max_length=64, description="Stable word, for example NothingLearned.")
    message: str = Field(max_length=1024, description="What was seen and what to try.")


class ModelVersionSpec(ApiModel):
    """The version; immutable but for deletionPolicy."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            *(
                (
                    f"self.{name} == oldSelf.{name}",
                    f"spec.{name} is immutable: make a new version instead",
                )
                for name in (
                    "model",
                    "number",
                    "task",
                    "uri",
                    "digest",
                    "formats",
                    "lineage",
                    "metrics",
                    "size",
                    "warnings",
                )
            )
        )
    )
    model: DnsLabel = Field(description="Name of the model.")
    number: int = Field(ge=1, description="Number of the version, claimed once in the artifact store.")
    task: Task = Field(description="What the model is for.")
    uri: str = Field(max_length=1024, description="s3://bucket/prefix/ of the artifacts.")
    digest: Digest = Field(max_length=80, pattern=r"^sha256:[0-9a-f]{64}$", description="Digest of the manifest.")
    size: int = Field(ge=0, description="Bytes of all files.")
    formats: list[Literal["safetensors", "onnx"]] = Field(
        min_length=1, max_length=2, description="Formats among the artifacts."
    )
    lineage: Lineage
    metrics: Metrics
    warnings: list[RunWarning] = Field(
        default_factory=list, max_length=16, description="What the run noticed about its result."
    )
    deletion_policy: Literal["retain", "delete"] = Field(
        default="retain",
        description="delete: the artifacts go with this object, once nothing serves it; in force as soon as the "
        "object has the finalizer modelyard.dev/artifacts.",
    )


class ModelVersionStatus(CommonStatus):
    """Verification and the gate's verdict."""

    gate: Literal["passed", "failed", "unjudged"] | None = Field(
        default=None, description="Verdict of the gate of its FineTuneJob."
    )
    gate_message: str | None = Field(default=None, description="What the gate asked and what was reached.")
    metric: str | None = Field(default=None, description="Main metric, for the column.")
    size: str | None = Field(default=None, description="Size for people.")
    deployed_by: list[str] = Field(default_factory=list, description="ModelDeployments that serve it.")
