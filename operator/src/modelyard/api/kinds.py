"""The kinds of the API in the order of a model's life: one line each, read by the CRD generator and the engine."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.api.common import ApiModel, CommonStatus
from modelyard.api.dataset import DatasetSpec, DatasetStatus
from modelyard.api.finetunejob import FineTuneJobSpec, FineTuneJobStatus
from modelyard.api.modeldeployment import CANDIDATE, SERVING, ModelDeploymentSpec, ModelDeploymentStatus
from modelyard.api.modelversion import ModelVersionSpec, ModelVersionStatus
from modelyard.api.servingprofile import ServingProfileSpec, ServingProfileStatus
from modelyard.api.trainingprofile import TrainingProfileSpec, TrainingProfileStatus


@dataclass(frozen=True)
class Column:
    """One printer column of kubectl."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of the API."""

    kind: str
    plural: str
    short: str
    spec: type[ApiModel]
    status: type[CommonStatus]
    columns: tuple[Column, ...]
    namespaced: bool = True
    scale: tuple[str, str, str] | None = None
    """Paths of wanted replicas, replicas and label selector, for autoscalers and `kubectl scale`."""
    rules: tuple[tuple[str, str], ...] = ()
    """CEL rules at the root, where metadata.name is visible."""


def _number_in(state: str, field: str = "number") -> str:
    return f'.status.versions[?(@.state=="{state}")].{field}'


AGE = Column("Age", ".metadata.creationTimestamp", "date")
REASON = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', wide=True)

DATASET = Kind(
    "Dataset", "datasets", "dset", DatasetSpec, DatasetStatus,
    (
        Column("Phase", ".status.phase"),
        Column("Train", ".status.rows.train", "integer"),
        Column("Test", ".status.rows.test", "integer"),
        Column("Digest", ".status.digest", wide=True),
        REASON, AGE,
    ),
)  # fmt: skip
FINETUNEJOB = Kind(
    "FineTuneJob", "finetunejobs", "ftj", FineTuneJobSpec, FineTuneJobStatus,
    (
        Column("Phase", ".status.phase"),
        Column("Progress", ".status.progress.percent", "integer"),
        Column("Stage", ".status.progress.stage", wide=True),
        Column("ETA", ".status.progress.eta"),
        Column("Loss", ".status.progress.loss", "number"),
        Column("Metric", ".status.metric"),
        Column("Version", ".status.version"),
        Column("Parent", ".status.run.pinned.base.version", wide=True),
        REASON, AGE,
    ),
    rules=(
        (
            "has(self.spec.model.name) || (self.metadata.name.size() <= 40 && "
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
            "metadata.name is over 40 characters or no DNS label: set spec.model.name "
            "(at most 40 characters, a-z, 0-9 and '-')",
        ),
    ),
)  # fmt: skip
MODELVERSION = Kind(
    "ModelVersion", "modelversions", "mv", ModelVersionSpec, ModelVersionStatus,
    (
        Column("Model", ".spec.model"),
        Column("Number", ".spec.number", "integer"),
        Column("Task", ".spec.task"),
        Column("Metric", ".status.metric"),
        Column("Gate", ".status.gate"),
        Column("Size", ".status.size"),
        Column("Parent", ".spec.lineage.trained.parents[0]", wide=True),
        REASON, AGE,
    ),
    rules=(
        (
            "self.metadata.name.startsWith(self.spec.model + '-') && "
            "self.metadata.name.substring(self.spec.model.size() + 1) == string(self.spec.number)",
            "metadata.name must be <spec.model>-<spec.number>",
        ),
    ),
)  # fmt: skip
MODELDEPLOYMENT = Kind(
    "ModelDeployment", "modeldeployments", "mdep", ModelDeploymentSpec, ModelDeploymentStatus,
    (
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        Column("Version", _number_in(SERVING), "integer"),
        Column("Weight", _number_in(SERVING, "weight"), "integer", wide=True),
        Column("Candidate", _number_in(CANDIDATE), "integer"),
        Column("URL", ".status.url"),
        Column("Behind", _number_in(SERVING, "behind"), wide=True),
        Column("Backend", ".status.backend", wide=True),
        REASON, AGE,
    ),
    scale=(".spec.serve.replicas.min", ".status.replicas", ".status.selector"),
    rules=(
        (
            "self.metadata.name.size() <= 36 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name of a ModelDeployment must be a DNS label of at most 36 characters that starts with "
            "a letter: it names the Service",
        ),
    ),
)  # fmt: skip
TRAININGPROFILE = Kind(
    "TrainingProfile", "trainingprofiles", "tprof", TrainingProfileSpec, TrainingProfileStatus,
    (Column("Image", ".spec.trainer.image"), Column("Secret", ".spec.store.secret"), AGE),
    namespaced=False,
)  # fmt: skip

SERVINGPROFILE = Kind(
    "ServingProfile", "servingprofiles", "sprof", ServingProfileSpec, ServingProfileStatus,
    (Column("Ready", '.status.conditions[?(@.type=="Ready")].status'), AGE),
    namespaced=False,
)  # fmt: skip

KINDS: tuple[Kind, ...] = (DATASET, FINETUNEJOB, MODELVERSION, MODELDEPLOYMENT, TRAININGPROFILE, SERVINGPROFILE)
