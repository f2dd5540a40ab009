"""One FineTuneJob as a reconcile sees it, and one answer to it; the other files turn the first into the second."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelyard import names
from modelyard.api import layout
from modelyard.api.finetunejob import BaseListing, FineTuneJobSpec, FineTuneJobStatus, Progress, Run
from modelyard.api.modelversion import RunWarning
from modelyard.decision import Child, Effect, Manifest, Observed
from modelyard.resources.conditions import Verdict
from modelyard.resources.parse import status_of
from modelyard.resources.pods import Hints
from modelyard.resources.scheduling import capacity_in


@dataclass(frozen=True)
class Case:
    """The object, its spec as a model, and what is observed."""

    obj: Manifest
    spec: FineTuneJobSpec
    observed: Observed
    now: datetime = datetime.min
    """When the reconcile is made; not known while it is asked what is needed."""

    @property
    def namespace(self) -> str:
        """Namespace of the object and all of its children."""
        return str(self.obj["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.obj["metadata"]["name"])

    @property
    def model(self) -> str:
        """Name of the model that is made."""
        return self.spec.model.name or self.name

    @property
    def status(self) -> FineTuneJobStatus:
        """The status as it stands."""
        return status_of(FineTuneJobStatus, self.obj)

    @property
    def next_attempt(self) -> str:
        """The remedy for a run that ended badly."""
        return f"set spec.attempt: {self.spec.attempt + 1} to run again"

    @property
    def hints(self) -> Hints:
        """What to try, in the fields of this object."""
        memory = f"raise spec.resources.memory (now {self.spec.resources.memory})"
        memory = f"{memory} and set spec.attempt: {self.spec.attempt + 1}"
        return Hints(memory=memory, capacity=capacity_in(self.observed))

    def prefix(self, run: Run) -> str:
        """Everything that the run writes."""
        return layout.run_prefix(self.namespace, run.model, run.id)

    def version_prefix(self, run: Run) -> str:
        """Where the run publishes."""
        return layout.version_prefix(self.prefix(run))


def job_name(run: Run) -> str:
    """Name of Job and ConfigMap: equal runs of two objects meet in it."""
    return names.child_name(run.model, run.id)


@dataclass(frozen=True)
class Answer:
    """What a reconcile comes to: the run as it will stand, what Ready says, the run's children, when to look again."""

    run: Run | None
    verdict: Verdict
    phase: str
    children: tuple[Child, ...] = ()
    wake_after: float | None = None
    backoff: bool = False
    resumes: int = 0
    progress: Progress | None = None
    base: BaseListing | None = None
    """The base that is being read, which is what its pods may read."""
    version: str | None = None
    gate: str | None = None
    metric: str | None = None
    warnings: tuple[RunWarning, ...] = ()
    """What the run noticed about its result: a condition each."""
    effects: tuple[Effect, ...] = ()
    """What is done to the store once the status stands."""
