"""One ModelDeployment as it is found: spec, last status, the model's versions and the servers that exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelyard import names
from modelyard.api.modeldeployment import ModelDeploymentSpec, ModelDeploymentStatus
from modelyard.api.modelversion import ModelVersionSpec, ModelVersionStatus
from modelyard.decision import Manifest, Observed, Select
from modelyard.resources.conditions import Verdict, condition, is_ready
from modelyard.resources.parse import spec_of, status_of


@dataclass(frozen=True)
class Version:
    """A ModelVersion as far as serving it is concerned."""

    spec: ModelVersionSpec
    gate: str
    ready: bool
    deleting: bool
    trouble: str
    """Message of its Stalled condition, empty if it has none."""

    @property
    def number(self) -> int:
        """Its number."""
        return self.spec.number

    @property
    def rejected(self) -> bool:
        """True when it must not be served by following; unknown or unverified is no rejection."""
        return self.deleting or self.gate == "failed" or bool(self.trouble)


@dataclass(frozen=True)
class Situation:
    """Everything the rules of a ModelDeployment look at."""

    obj: Manifest
    spec: ModelDeploymentSpec
    last: ModelDeploymentStatus
    observed: Observed
    versions: Mapping[int, Version]
    serving: int | None
    """The version that has the traffic now."""

    @property
    def name(self) -> str:
        """Name of the ModelDeployment, which is the name of its stable Service."""
        return str(self.obj["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return str(self.obj["metadata"]["namespace"])

    @property
    def generation(self) -> int:
        """Generation of the spec."""
        return int(self.obj["metadata"].get("generation", 0))

    @property
    def replicas(self) -> int:
        """Wanted pods of a version."""
        return self.spec.serve.replicas.min

    def server_name(self, number: int) -> str:
        """Name of a version's Deployment and Service."""
        return f"{self.name}-v{number}"

    def deployment(self, number: int) -> Manifest | None:
        """The Deployment of a version as it is."""
        return self.observed.child("Deployment", self.server_name(number))


def versions_select(namespace: str, spec: ModelDeploymentSpec) -> Select:
    """The model's versions."""
    return Select("ModelVersion", namespace, (("spec.model", spec.model.name),))


def situation(obj: Manifest, spec: ModelDeploymentSpec, observed: Observed) -> Situation:
    """Put together what was observed."""
    last = status_of(ModelDeploymentStatus, obj)
    listed = observed.lists.get(versions_select(obj["metadata"]["namespace"], spec), ())
    versions = {v.number: v for v in map(_version, listed) if v is not None}
    serving = last.serving if last.serving is not None else _number_with_traffic(obj, observed)
    return Situation(obj, spec, last, observed, versions, serving)


def _version(obj: Manifest) -> Version | None:
    spec = spec_of(ModelVersionSpec, obj)
    if isinstance(spec, Verdict):
        return None
    stalled = condition(obj, names.STALLED)
    return Version(
        spec,
        gate=status_of(ModelVersionStatus, obj).gate or "",
        ready=is_ready(obj),
        deleting=bool(obj["metadata"].get("deletionTimestamp")),
        trouble=stalled["message"] if stalled else "",
    )


def _number_with_traffic(obj: Manifest, observed: Observed) -> int | None:
    """A status can be lost (restored backup): the stable Service still says who serves."""
    service = observed.child("Service", obj["metadata"]["name"])
    number = (service or {}).get("spec", {}).get("selector", {}).get(names.LABEL_VERSION, "")
    return int(number) if number.isdigit() else None
