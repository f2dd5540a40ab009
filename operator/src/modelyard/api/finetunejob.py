"""FineTuneJob: one way to make a model. Changing a hashed field starts a new run; a run's end is final."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from modelyard.api.admission import job_rules
from modelyard.api.common import (
    ApiModel,
    CommonStatus,
    DnsLabel,
    Duration,
    Failure,
    Format,
    ObjectName,
    OneOf,
    Resources,
    S3Uri,
    StatusModel,
    Task,
    cel,
)
from modelyard.api.dataset import DatasetSpec
from modelyard.api.gate import Gate, GateWord, gate_rules
from modelyard.api.hyperparameters import (
    FineTune,
    Hyperparameters,
    Input,
    Method,
    Objective,
    ResolvedInput,
    ResolvedMethod,
    Train,
)
from modelyard.api.pod import RunPod
from modelyard.api.tasks import BASE, TASKS, VERSION
from modelyard.names import DEFAULT_PROFILE


def _all_formats() -> list[Format]:
    return ["safetensors", "onnx"]


class ModelName(ApiModel):
    """What is made."""

    name: DnsLabel | None = Field(default=None, description="Name of the model; default: the job's name.")


class Architecture(ApiModel):
    """A network that begins with random weights; its size follows from the rows."""


class Scratch(OneOf):
    """Random weights: exactly one architecture, of those that the task has (docs/tasks.md)."""

    where = "from.scratch"
    cnn: Architecture | None = Field(default=None, description="A small convolutional network of this project.")
    resnet: Architecture | None = Field(default=None, description="A residual convolutional network.")
    vit: Architecture | None = Field(default=None, description="A vision transformer.")
    dense: Architecture | None = Field(
        default=None, description="A convolutional detector of this project, which tells a box at each place."
    )
    transformer: Architecture | None = Field(
        default=None, description="A small encoder with a decoder, for texts; its tokenizer is learned from the rows."
    )
    own: Architecture | None = Field(
        default=None, description="Whatever the trainer of the TrainingProfile makes, without a base."
    )


class VersionStart(ApiModel):
    """A version of this namespace that training goes on from."""

    model: DnsLabel = Field(description="Name of the model.")
    number: int = Field(ge=1, description="Number of its version, which must have been exported as safetensors.")

    @property
    def name(self) -> str:
        """Name of the ModelVersion."""
        return f"{self.model}-{self.number}"


class From(OneOf):
    """What it starts from: exactly one of base, version and scratch."""

    where = "from"
    base: S3Uri | None = Field(
        default=None,
        description="Folder in the installation's store with config.json, tokenizer.json and *.safetensors, "
        "for example s3://base/minilm/.",
    )
    version: VersionStart | None = None
    scratch: Scratch | None = None

    @property
    def uri(self) -> str:
        """Where the base lies; empty where there is none."""
        return self.base or ""

    @property
    def start(self) -> str:
        """BASE, VERSION, or the architecture that begins with random weights: a start of the task (api/tasks.py)."""
        if self.scratch:
            return self.scratch.kind
        return VERSION if self.version else BASE


class DatasetRef(ApiModel):
    """The data: a Dataset of this namespace, or one written in place."""

    model_config = ConfigDict(
        json_schema_extra=cel(("has(self.ref) != has(self.inline)", "dataset: give exactly one of ref and inline"))
    )
    ref: ObjectName | None = Field(default=None, description="Name of a Dataset in this namespace.")
    inline: DatasetSpec | None = Field(default=None, description="Becomes a Dataset owned by this job.")


class Evaluate(ApiModel):
    """How the result is judged."""

    gate: Gate = Field(default_factory=Gate)


class Checkpoint(ApiModel):
    """When the state of the run is saved to the store."""

    every: Duration = Field(default="10m", description="Time between checkpoints, for example 90s, 10m or 1h.")
    keep: int = Field(default=2, ge=1, le=20, description="Complete checkpoints kept while the run lasts.")


def _fine_tune() -> Objective:
    return Objective(fine_tune=FineTune())


class FineTuneJobSpec(ApiModel):
    """One way to make a model."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            *gate_rules(TASKS),
            *job_rules(TASKS, Input.model_fields),
        )
    )
    model: ModelName = Field(default_factory=ModelName)
    from_: From = Field(alias="from")
    profile: ObjectName = Field(default=DEFAULT_PROFILE, description="Name of a TrainingProfile.")
    task: Task = Field(description="What the model is for.")
    dataset: DatasetRef
    objective: Objective = Field(default_factory=_fine_tune)
    method: Method | None = Field(
        default=None, description="How weights are adapted; left out, the task's usual way (docs/tasks.md)."
    )
    input: Input = Field(default_factory=Input)
    train: Train = Field(default_factory=Train)
    resources: Resources = Field(default_factory=Resources)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    export: list[Format] = Field(
        default_factory=_all_formats,
        min_length=1,
        max_length=2,
        description="Formats of the version; ModelDeployment serves onnx.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    checkpoint: Checkpoint = Field(default_factory=Checkpoint)
    suspend: bool = Field(default=False, description="Pause: pods go, checkpoints stay; false goes on from there.")
    attempt: int = Field(default=1, ge=1, description="Raise it to run a failed run again.")


class BasePin(StatusModel):
    """The base model, or the version that the run goes on from, as it was when the run started."""

    uri: str = Field(description="Where it lies.")
    digest: str = Field(description="sha256 of the content of its files (*.safetensors and *.json), wherever they lie.")
    version: str | None = Field(default=None, description="The ModelVersion that it is; absent where it is none.")
    manifest: str | None = Field(default=None, description="Digest of that version's manifest.")
    listing: str = Field(
        default="", description="sha256 of the list of its files: names the record of what each of them holds."
    )


class BaseListing(StatusModel):
    """The base model whose files are being read to learn what they hold, before a run can have an id."""

    uri: str = Field(description="Where it lies.")
    listing: str = Field(description="sha256 of the list of its files.")


class DatasetPin(StatusModel):
    """The prepared rows that the run reads."""

    name: str = Field(description="Name of the Dataset.")
    prefix: str = Field(description="Where the prepared rows lie in the artifact store.")
    digest: str = Field(description="sha256 of the prepared rows.")
    rows: int = Field(default=0, description="Training rows; they decide train.epochs where it is left out.")


class Pinned(StatusModel):
    """Inputs resolved when the run started; later changes outside do not touch it."""

    image: str = Field(description="Trainer image.")
    command: list[str] = Field(default_factory=list, description="Command of a foreign image; none: it is our own.")
    args: list[str] = Field(default_factory=list, description="Arguments of that command.")
    own_image: str = Field(default="", description="Image of ours that fetches and publishes for a foreign one.")
    base: BasePin | None = Field(default=None, description="Absent where the weights begin at random.")
    dataset: DatasetPin
    recipe: int = Field(description="Number of the recipe that filled what the spec leaves out.")
    method: ResolvedMethod
    input: ResolvedInput
    train: Hyperparameters
    by_recipe: tuple[str, ...] = Field(default=(), description="Fields of the spec that the recipe filled.")
    micro_batch: int = Field(
        default=1, description="Rows that a device computes at once; from the memory asked for, never decides a result."
    )
    store_secret: str = Field(default="", description="Secret with the key to the store; empty: short-lived keys.")
    profile: str = Field(default="", description="TrainingProfile that gave image, Secret and placement.")
    retries: int = Field(default=3, description="Failed pods that are tried again.")
    disruptions: int = Field(default=20, description="Evictions and pre-emptions that the run survives.")
    grace_period: Duration = Field(default="60s", description="Time that pods get to save when they are taken away.")
    queue: str = Field(default="", description="Local queue of Kueue in which the Job waits.")
    pod: RunPod = Field(
        default_factory=RunPod, description="What the profile adds to the pods, with labels copied from this object."
    )


class Run(StatusModel):
    """The current run."""

    id: str = Field(description="Hash of the deciding spec fields as they are trained, the data and the base model.")
    epoch: str = Field(default="", description="Of this start of the run: in the keys of what its pods write.")
    spec_hash: str = Field(default="", description="Hash of the deciding spec fields: another one starts a new run.")
    hash_version: int = Field(default=1, description="Number of the rule that made id and specHash.")
    state: Literal["Running", "Succeeded", "Failed"] = Field(
        default="Running", description="Succeeded and Failed are final."
    )
    model: str = Field(default="", description="Name of the model that is made.")
    pinned: Pinned | None = None
    adopted: bool = Field(default=False, description="The store already held the result: nothing was trained.")
    resources: Resources | None = Field(default=None, description="Resources of the Job as it was created.")
    started_at: str | None = Field(default=None, description="When the run was pinned.")
    finished_at: str | None = Field(default=None, description="When the run ended.")
    suspect_since: str | None = Field(
        default=None, description="Since when the store says that the result is missing or broken."
    )
    failure: Failure | None = Field(default=None, description="Why the run failed; final.")
    disruptions: int = Field(default=0, description="Evictions and pre-emptions so far.")
    last_pod: str | None = Field(default=None, description="Creation time of the newest pod that ran.")
    last_disruption: str | None = Field(default=None, description="Creation time of the newest pod taken away.")
    cleaned_up: bool = Field(
        default=False, description="Checkpoints and what killed pods left were removed from the store."
    )


class Progress(StatusModel):
    """Where the run is."""

    percent: int = Field(default=0, ge=0, le=100, description="Done part of all stages; 100 once published.")
    step: int = Field(default=0, description="Optimizer steps done.")
    steps: int = Field(default=0, description="Optimizer steps in all.")
    resumed_from: int | None = Field(default=None, description="Step of the checkpoint that the last pod went on from.")
    epoch: float | None = Field(default=None, description="Passes over the data so far.")
    eta: str | None = Field(default=None, description="Time left for all stages, for example 12m.")
    loss: float | None = Field(default=None, description="Training loss, last reported.")
    stage: str | None = Field(default=None, description="Stage of the trainer, for example train.")


class FineTuneJobStatus(CommonStatus):
    """The current run and what it made."""

    run: Run | None = None
    base: BaseListing | None = None
    progress: Progress | None = None
    resumes: int = Field(default=0, description="How often a new pod took the run up.")
    version: str | None = Field(default=None, description="ModelVersion that the current run made.")
    gate: GateWord | None = Field(default=None, description="Verdict of evaluate.gate on that version.")
    metric: str | None = Field(default=None, description="Primary metric on the test rows.")
