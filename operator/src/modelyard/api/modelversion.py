"""ModelVersion: the immutable result of a run, made by the operator; its artifacts lie under the run id."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from modelyard.api.common import CommonStatus, DnsLabel, StatusModel, Task, Word, cel
from modelyard.api.gate import GateWord

TEST = "test"
"""The evaluation set that the gate judges: the test rows."""
Digest = str
Values = Annotated[dict[str, float], Field(max_length=64)]


class DatasetUsed(StatusModel):
    """Prepared rows that the version learned from."""

    name: str = Field(max_length=253, description="Name of the Dataset.")
    digest: Digest = Field(max_length=80, description="Digest of its prepared rows.")


class Trained(StatusModel):
    """A version that a run of a FineTuneJob trained."""

    run: str = Field(min_length=1, max_length=64, description="Run id.")
    job: str = Field(min_length=1, max_length=253, description="FineTuneJob.")
    datasets: list[DatasetUsed] = Field(default_factory=list, max_length=64, description="Prepared rows it read.")
    base: Digest | None = Field(
        default=None,
        max_length=80,
        description="Digest of the base model, or of the weights of the version that it goes on from; absent where the "
        "weights began at random.",
    )
    parents: list[Annotated[str, Field(max_length=253)]] = Field(
        default_factory=list, max_length=64, description="ModelVersions that it was made from."
    )
    image: str = Field(max_length=1024, description="Trainer image.")
    recipe: int | None = Field(
        default=None, description="Number of the recipe that filled what the job left out; absent if not known."
    )


class Lineage(StatusModel):
    """What the version was made from: exactly one of its fields."""

    model_config = ConfigDict(json_schema_extra=cel(("has(self.trained)", "lineage: give exactly one of trained")))
    trained: Trained | None = None


class Metrics(StatusModel):
    """Quality on one set of rows; names of metrics are the task's own."""

    set_: Word = Field(alias="set", description="The rows that were measured: test.")
    primary: Word = Field(description="Metric that stands for the whole.")
    values: Values = Field(description="Each metric of all rows by name.")
    per_class: dict[str, Values] = Field(
        default_factory=dict,
        max_length=1000,
        description="Each metric of one class by class and name; support is the number of its rows.",
    )

    @property
    def headline(self) -> str | None:
        """The primary metric for a column; None if it was not measured."""
        value = self.values.get(self.primary)
        return None if value is None else f"{self.primary} {_short(value)}"


def _short(value: float) -> str:
    """Three places, or three digits where these would be all zeros or very many."""
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1e6 else f"{value:.3g}"


class Export(StatusModel):
    """One format of the version's files, as the run wrote it."""

    format_: Word = Field(
        alias="format", description="safetensors, onnx, or a word of another release or a foreign trainer."
    )
    precision: Word = Field(description="Type of the numbers in it, for example fp32.")
    base: Digest | None = Field(
        default=None, max_length=80, description="Digest of the base model that it needs beside itself; absent: none."
    )
    difference: float | None = Field(
        default=None, description="Largest logit difference from the trained model; absent: not compared."
    )


class Artifact(Export):
    """One format of the version's files."""

    digest: Digest = Field(
        max_length=80, pattern=r"^sha256:[0-9a-f]{64}$", description="Digest of the files that a reader of it needs."
    )


class RunWarning(StatusModel):
    """What the run noticed about its result and a person should know, beside the gate's verdict."""

    reason: str = Field(max_length=64, description="Stable word, for example NothingLearned.")
    message: str = Field(max_length=1024, description="What was seen and what to try.")


IMMUTABLE = ("model", "number", "task", "uri", "digest", "size", "artifacts", "lineage", "metrics", "warnings")


def _list_map(*keys: str) -> dict[str, Any]:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


class ModelVersionSpec(StatusModel):
    """The version; immutable but for deletionPolicy."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            *(
                (f"self.{name} == oldSelf.{name}", f"spec.{name} is immutable: make a new version instead")
                for name in IMMUTABLE
            )
        )
    )
    model: DnsLabel = Field(description="Name of the model.")
    number: int = Field(ge=1, description="Number of the version, claimed once in the artifact store.")
    task: Task = Field(description="What the model is for.")
    uri: str = Field(max_length=1024, description="s3://bucket/prefix/ of the artifacts.")
    digest: Digest = Field(max_length=80, pattern=r"^sha256:[0-9a-f]{64}$", description="Digest of the manifest.")
    size: int = Field(ge=0, description="Bytes of all files.")
    artifacts: list[Artifact] = Field(
        min_length=1,
        max_length=16,
        description="Formats that the version can be had in.",
        json_schema_extra=_list_map("format", "precision"),
    )
    lineage: Lineage
    metrics: list[Metrics] = Field(
        default_factory=list,
        max_length=16,
        description="Quality for each set of rows that was measured.",
        json_schema_extra=_list_map("set"),
    )
    warnings: list[RunWarning] = Field(
        default_factory=list, max_length=16, description="What the run noticed about its result."
    )
    deletion_policy: Literal["retain", "delete"] = Field(
        default="retain",
        description="delete: the artifacts go with this object, once nothing serves it; in force as soon as the "
        "object has the finalizer modelyard.dev/artifacts.",
    )

    @property
    def run(self) -> str:
        """Id of the run that made it; empty if none did, as far as this release knows."""
        return self.lineage.trained.run if self.lineage.trained else ""

    @property
    def job(self) -> str:
        """The FineTuneJob that made it; empty if none did."""
        return self.lineage.trained.job if self.lineage.trained else ""

    @property
    def tested(self) -> Metrics | None:
        """Quality on the test rows."""
        return on_set(self.metrics, TEST)

    @property
    def formats(self) -> list[str]:
        """Names of the formats, each once."""
        return list(dict.fromkeys(artifact.format_ for artifact in self.artifacts))


def on_set(metrics: list[Metrics], name: str) -> Metrics | None:
    """What was measured on that set of rows."""
    return next((found for found in metrics if found.set_ == name), None)


class ModelVersionStatus(CommonStatus):
    """Verification and the gate's verdict."""

    gate: GateWord | None = Field(default=None, description="Verdict of the gate of its FineTuneJob.")
    gate_message: str | None = Field(default=None, description="What the gate asked and what was reached.")
    metric: str | None = Field(default=None, description="Primary metric on the test rows, for the column.")
    size: str | None = Field(default=None, description="Size for people.")
    suspect_since: str | None = Field(
        default=None, description="Since when the store says that claim or artifacts are wrong; counts if said twice."
    )
    deployed_by: list[str] = Field(default_factory=list, description="ModelDeployments that serve it.")
