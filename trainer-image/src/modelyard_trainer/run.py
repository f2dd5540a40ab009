"""What the stages of one run share: each stage reads what earlier ones left here and leaves its own results."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelyard.api import layout
from modelyard.api.dataset import Clean
from modelyard.api.modelversion import Metrics
from modelyard.api.run import ModelInfo, PrepareConfig, TrainConfig
from modelyard.storage.store import Store
from modelyard_trainer.checkpoints import Keeper
from modelyard_trainer.progress import Progress
from modelyard_trainer.stopping import Stop

if TYPE_CHECKING:
    from modelyard_trainer.data.mapped import MappedRows
    from modelyard_trainer.data.readings import Readings
    from modelyard_trainer.tasks.protocols import Answer, Codec, Output


@dataclass
class Publication:
    """A folder that is ready to be published under a prefix."""

    prefix: str
    folder: Path
    kind: Literal["dataset", "model"]
    info: dict[str, Any]


@dataclass
class Run:
    """Common to both kinds; `work` is the only folder that may be written to."""

    config: PrepareConfig | TrainConfig
    store: Store
    quick: Store
    work: Path
    progress: Progress
    stop: Stop = field(default_factory=Stop)
    stage: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    publication: Publication | None = None
    digest: str = ""
    part: Literal["", "fetch", "publish"] = ""
    """What this container does of a run whose training is a foreign container's; empty: all of it."""
    metrics: list[Metrics] = field(default_factory=list)
    baselines: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def bucket(self) -> str:
        """Bucket of the artifact store."""
        return self.config.store.bucket

    @property
    def name(self) -> str:
        """Run id, or the Dataset's name when rows are prepared."""
        return self.config.run if isinstance(self.config, TrainConfig) else self.config.name

    @property
    def target(self) -> str:
        """Prefix that is complete once this run has succeeded."""
        if isinstance(self.config, TrainConfig):
            return layout.version_prefix(self.config.prefix)
        return self.config.prefix

    def folder(self, name: str) -> Path:
        """A folder below the work folder, made if missing."""
        path = self.work / name
        path.mkdir(parents=True, exist_ok=True)
        return path


@dataclass
class PrepareRun(Run):
    """Rows are fetched, prepared and published."""

    config: PrepareConfig
    files: dict[str, Path] = field(default_factory=dict)
    """The source by key below its prefix, in the order of keys."""


@dataclass
class TrainRun(Run):
    """A model is fetched, adapted, trained, evaluated, exported and published."""

    config: TrainConfig
    base: Path = field(init=False)
    """Folder of the base model or version; not set where the weights begin at random."""
    parent: ModelInfo | None = None
    """The version that the run goes on from, as its manifest tells."""
    rows: dict[str, MappedRows] = field(init=False)
    """Rows of train, validation and test."""
    prepare: list[Clean] = field(init=False)
    """How the rows' texts were prepared, and texts of requests will be."""
    codec: Codec = field(init=False)
    read: dict[str, Readings] = field(init=False)
    """What the model reads of each row, by split."""
    longest: int | None = None
    """Tokens that the base takes at most; None if it has no such limit."""
    model: Any = None
    fresh: list[str] = field(default_factory=list)
    """Modules that the base model did not bring: they are trained fully whatever the method."""
    lowered: dict[str, Any] | None = None
    """How the rate was lowered after the run diverged at its start; None for nearly every run."""
    outputs: list[Output] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    """Of the finished model to the test rows."""
    differences: dict[str, float] = field(default_factory=dict)
    """Largest difference of outputs from the trained model per exported format."""
    keeper: Keeper | None = None
    """May still be uploading the last checkpoint while later stages run."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return math.ceil(len(self.rows["train"]) / self.config.train.batch_size) * self.config.train.epochs

    @property
    def base_folder(self) -> Path:
        """Where the base model is fetched to; a foreign trainer finds it there."""
        path = Path(os.environ.get("MODELYARD_BASE") or self.work / "base")
        if self.part != "publish":
            path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def version(self) -> Path:
        """Folder of the files to be published."""
        return self.folder("version")
