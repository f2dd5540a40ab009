"""What a run's pod reads (RunConfig), what it leaves (RunReport, manifests) and its table of exit codes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable
from enum import IntEnum
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from modelyard import names
from modelyard.api import layout
from modelyard.api.common import ApiModel, Format, StatusModel, Task, chosen
from modelyard.api.dataset import Clean, Source, Step
from modelyard.api.hyperparameters import Hyperparameters, Objective, ResolvedInput, ResolvedMethod
from modelyard.api.modelversion import Export, Metrics, RunWarning
from modelyard.api.store import StoreLocation
from modelyard.api.tasks import FORMATS

CONFIG_PATH = "/etc/modelyard/run.json"
"""Where the pod finds its RunConfig; the environment variable MODELYARD_CONFIG names another path."""
WORK_PATH = "/work"
"""Scratch folder of the pod (emptyDir), the only place it may write to; MODELYARD_WORK names another."""
CA_PATH = "/etc/modelyard/ca.crt"
"""Who signs the operator's endpoint; beside the RunConfig and as immutable."""
TOKEN_PATH = "/var/run/secrets/modelyard"
"""Below it <purpose>/token: the pod's tokens for the endpoint, renewed by the kubelet."""
INPUTS_PATH, OUTPUT_PATH = "/modelyard/inputs", "/modelyard/output"
"""What a foreign trainer reads (base/ and data/) and where it leaves its model; see docs/foreign-trainer.md."""
TERMINATION_PATH = "/dev/termination-log"
TERMINATION_LIMIT = 4096


CONTRACT = 2
"""What this release of operator and trainer image can say to each other; raised by each new entry of CONTRACT_OF."""
CONTRACT_OF: dict[str, int] = {"base.version": 2}
"""Field of a RunConfig, by dotted name -> the contract that brought it; all others came with 1.

An image passes over a field that it does not know; where such a field is set, the run asks for its number.
"""


class ExitCode(IntEnum):
    """Exit codes of a run's pod. 10-29 end the run at once: trying again would give the same."""

    PUBLISHED = 0
    INTERNAL = 1
    BAD_CONFIG = 10
    BAD_DATA = 11
    BASE_INVALID = 12
    NOT_A_NUMBER = 13
    EXPORT_DIFFERS = 14
    SOURCE_NOT_FOUND = 15
    CORRUPT = 16
    STORE_DENIED = 17
    BAD_OUTPUT = 18
    IMAGE_TOO_OLD = 19
    STORE_UNAVAILABLE = 30
    INTERRUPTED = 143


FINAL_EXIT_CODES: tuple[int, ...] = tuple(int(code) for code in ExitCode if 10 <= code < 30)
REASONS: dict[ExitCode, str] = {
    ExitCode.INTERNAL: names.TRAINER_FAILED,
    ExitCode.BAD_CONFIG: names.BAD_CONFIG,
    ExitCode.BAD_DATA: names.BAD_DATA,
    ExitCode.BASE_INVALID: names.BASE_INVALID,
    ExitCode.NOT_A_NUMBER: names.NOT_A_NUMBER,
    ExitCode.EXPORT_DIFFERS: names.EXPORT_DIFFERS,
    ExitCode.SOURCE_NOT_FOUND: names.SOURCE_NOT_FOUND,
    ExitCode.CORRUPT: names.CORRUPT,
    ExitCode.STORE_DENIED: names.STORE_DENIED,
    ExitCode.BAD_OUTPUT: names.BAD_OUTPUT,
    ExitCode.IMAGE_TOO_OLD: names.IMAGE_TOO_OLD,
    ExitCode.STORE_UNAVAILABLE: names.STORE_UNAVAILABLE,
    ExitCode.INTERRUPTED: names.DISRUPTED,
}


class Contract(StatusModel):
    """The one field of a RunConfig that every image can read."""

    contract: int = 1


class VersionInput(ApiModel):
    """The version that a run goes on from: its manifest names files, classes and how rows are read."""

    name: str = Field(description="Name of the ModelVersion.")
    manifest: str = Field(description="Digest of its manifest.")


class BaseModelInput(ApiModel):
    """Base model or version, and the digest of its content."""

    uri: str
    digest: str
    record: str = Field(default="", description="Key of the record that says what each file of a base model is.")
    version: VersionInput | None = None


class DatasetInput(ApiModel):
    """Prepared rows: prefix in the artifact store and content digest."""

    prefix: str
    digest: str


class PrepareConfig(ApiModel):
    """A Dataset's Job: stages fetch, prepare, publish. The source's key comes in SOURCE_AWS_* variables."""

    kind: Literal["prepare"] = "prepare"
    contract: int = Field(default=1, ge=1, description="Least contract that an image must know for this run.")
    name: str
    prefix: str = Field(description="Prefix of the prepared rows; ends in '/'.")
    epoch: str = Field(default="", description="Of this start; in the keys of what it writes.")
    store: StoreLocation
    task: Task
    source: Source
    steps: list[Step]


class HashConfig(ApiModel):
    """The Job that learns what a base model is, so that runs can be named after it."""

    kind: Literal["hash"] = "hash"
    contract: int = Field(default=1, ge=1, description="Least contract that an image must know for this run.")
    name: str
    uri: str = Field(description="Folder of the base model.")
    listing: str = Field(description="Digest of the listing that the operator saw.")
    record: str = Field(description="Key of the record that is to be written.")
    store: StoreLocation


class TrainConfig(ApiModel):
    """A FineTuneJob's Job: stages fetch, load, adapt, train, evaluate, export, publish."""

    kind: Literal["train"] = "train"
    contract: int = Field(default=1, ge=1, description="Least contract that an image must know for this run.")
    name: str
    run: str
    model: str
    prefix: str = Field(description="Prefix of the run; ends in '/'.")
    epoch: str = Field(default="", description="Of this start; in the keys of what it writes.")
    store: StoreLocation
    task: Task
    base: BaseModelInput | None = None
    scratch: str | None = Field(
        default=None, description="Architecture that begins with random weights, without a base."
    )
    dataset: DatasetInput
    objective: Objective
    method: ResolvedMethod
    input: ResolvedInput
    train: Hyperparameters
    by_recipe: tuple[str, ...] = Field(default=(), description="Fields of the spec that the recipe filled.")
    micro_batch: int = Field(ge=1, description="Rows that a device computes at once; batchSize of them make a step.")
    export: list[Format]
    checkpoint_every: int = Field(description="Seconds between checkpoints.")
    checkpoint_keep: int
    image: str

    @field_validator("method")
    @classmethod
    def _known(cls, method: ResolvedMethod) -> ResolvedMethod:
        chosen(method)
        return method


AnyConfig = PrepareConfig | TrainConfig | HashConfig
RunConfig = Annotated[AnyConfig, Field(discriminator="kind")]


def needed_contract(config: AnyConfig) -> int:
    """The least contract that an image must know: the highest of what is set."""
    plain = config.dump()
    return max((number for field, number in CONTRACT_OF.items() if _is_set(plain, field)), default=1)


def _is_set(plain: Any, field: str) -> bool:
    for part in field.split("."):
        if not isinstance(plain, dict) or part not in plain:
            return False
        plain = plain[part]
    return True


class ProgressReport(StatusModel):
    """Where a run is, as its pod told the endpoint; a claim, never a proof."""

    run: str
    pod: str = Field(default="", description="Name of the pod.")
    stage: str = ""
    percent: int | None = Field(default=None, description="Done part of all stages, as the pod claims.")
    step: int = 0
    steps: int = 0
    resumed_from: int = Field(default=0, description="Step of the checkpoint this pod went on from.")
    epoch: float | None = None
    loss: float | None = None
    seconds_left: float | None = None

    @property
    def share(self) -> float | None:
        """Done part of the whole, 0 to 1; None while nothing is known."""
        if self.percent is not None:
            return self.percent / 100
        return min(1.0, self.step / self.steps) if self.steps > 0 else None


class Outcome(StatusModel):
    """The termination message, at most 4096 bytes: what happened, and for a failure what to try."""

    outcome: Literal["published", "failed", "interrupted"]
    reason: str = ""
    message: str = Field(default="", description="Cause, field and remedy.")
    stage: str = ""
    step: int = Field(default=0, description="Optimizer steps of the run that were done.")
    digest: str = Field(default="", description="sha256:... of the published manifest.")


class RunReport(StatusModel):
    """The full report of a run, in the store."""

    run: str
    outcome: Outcome
    stages: dict[str, float] = Field(default_factory=dict, description="Seconds per stage.")
    metrics: list[Metrics] = Field(default_factory=list, description="Quality for each set that was measured.")
    baselines: dict[str, float] = Field(default_factory=dict, description="Primary metric on the same test rows.")
    train: dict[str, Any] = Field(
        default_factory=dict,
        description="steps, tokens, tokens_per_second, seconds_to_first_step, precision, truncated rows ...",
    )
    versions: dict[str, str] = Field(default_factory=dict, description="Versions of the libraries.")


class FileEntry(StatusModel):
    """One published file."""

    path: str = Field(description="Relative to the prefix; '/' between folders, never '..'.")
    size: int
    sha256: str


class Manifest(StatusModel):
    """Lists every file of a prefix; written last, never overwritten. The version's digest is of its bytes as stored.

    What was read is never written again: fields of another release are not in it.
    """

    format: Literal[1] = 1
    kind: Literal["dataset", "model", "checkpoint"]
    epoch: str = Field(default="", description="Of the start that published it; in the keys of the files.")
    files: list[FileEntry]
    info: dict[str, Any] = Field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same content gives the same bytes."""
        return json.dumps(self.dump(), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def dump(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)


class Written(Export):
    """One format in a version's manifest."""

    files: list[str] | None = Field(
        default=None, description="Paths of its files, where the trainer said; else all but those of other formats."
    )


class DatasetInfo(StatusModel):
    """Manifest.info of prepared rows."""

    task: str
    digest: str = Field(description="sha256:... of the rows' content, the dataset's digest.")
    rows: dict[str, int]
    classes: dict[str, dict[str, int]] = Field(description="Rows of each class in each split.")
    removed: dict[str, int]
    notes: list[str] = Field(default_factory=list, description="What preparation noticed, in sentences.")
    prepare: list[Clean] = Field(default_factory=list, description="How each text was prepared, in order.")


class ModelInfo(StatusModel):
    """Manifest.info of a version: all that a server needs beside the files."""

    task: str
    run: str
    model: str
    labels: list[str] = Field(description="Classes in the order of the model's outputs; none where a task has none.")
    codec: dict[str, Any] = Field(
        description="How the codec of the task reads and writes, for example maxLength and prepare of texts."
    )
    artifacts: list[Written]
    metrics: list[Metrics]
    dataset: str
    base: str | None = Field(
        default=None, description="Digest of the base model or version that it began with; absent where there was none."
    )
    parents: list[str] = Field(default_factory=list, description="ModelVersions that it was made from.")
    image: str
    sample: dict[str, Any] = Field(description="One real instance; a server that answers it is alive.")
    warnings: list[RunWarning] = Field(default_factory=list, description="What the run noticed about its result.")


def digest_of(data: bytes) -> str:
    """sha256:<hex> of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def format_digest(files: Iterable[FileEntry], name: str, named: Container[str] | None = None) -> str:
    """Digest of the files that a reader of one format needs, whatever their order and other formats beside it.

    `named`: their paths, where the trainer said.
    """
    mine = (entry for entry in files if (is_of_format(entry.path, name) if named is None else entry.path in named))
    needed = sorted((entry.path, entry.size, entry.sha256) for entry in mine)
    return digest_of("".join(f"{path}\0{size}\0{sha256}\n" for path, size, sha256 in needed).encode())


def is_of_format(path: str, name: str) -> bool:
    """Whether a reader of this format needs the file: all but the report and what only other formats have."""
    others = tuple(suffix for known in FORMATS.values() if known.name != name for suffix in known.suffixes)
    return path != layout.REPORT and not path.endswith(others)
