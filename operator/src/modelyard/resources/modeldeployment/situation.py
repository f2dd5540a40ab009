"""One ModelDeployment as it is found: spec, last status, the model's versions and the servers that exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelyard import names
from modelyard.api.modeldeployment import FAILED, SERVING, Backend, ModelDeploymentSpec, ModelDeploymentStatus
from modelyard.api.modelversion import ModelVersionSpec, ModelVersionStatus
from modelyard.api.pod import Pod
from modelyard.decision import Manifest, Observed, Ref, Select
from modelyard.resources.conditions import Verdict, condition, is_ready
from modelyard.resources.modeldeployment.profile import pod_of
from modelyard.resources.parse import spec_of, status_of

KINDS: dict[Backend, str] = {"deployment": "Deployment", "kserve": "InferenceService"}
"""Backend -> kind of the object that runs a version."""


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
    """The version that the stable Service is seen to select; where there is no such Service, what the status says."""
    pod: Pod | Verdict
    """What the ServingProfile adds to new pods, or why there may be none."""

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

    @property
    def backend(self) -> Backend:
        """What runs the servers: as the spec says, else as it was, else KServe where it is served."""
        served: Backend = "kserve" if self.observed.platform.kserve else "deployment"
        return self.spec.serve.backend or self.last.backend or _backend_of(self.observed.children) or served

    @property
    def blocked(self) -> bool:
        """True when KServe should run the servers and is not there."""
        return self.backend == "kserve" and not self.observed.platform.kserve

    @property
    def barrier(self) -> Verdict | None:
        """Why no new pod may be made; those that run go on."""
        return self.pod if isinstance(self.pod, Verdict) else None

    @property
    def added(self) -> Pod:
        """What is added to new pods."""
        return Pod() if isinstance(self.pod, Verdict) else self.pod

    @property
    def selected(self) -> int | None:
        """The version that the stable Service selects, whoever wrote it there."""
        return _selected(self.obj, self.observed)

    def server_name(self, number: int) -> str:
        """Name of a version's server and Service."""
        return f"{self.name}-v{number}"

    def server(self, number: int) -> Manifest | None:
        """The object that runs a version, as it is."""
        return self.observed.child(KINDS[self.backend], self.server_name(number))

    def left_behind(self, number: int) -> Manifest | None:
        """The object that ran a version before its backend was changed."""
        others = (kind for backend, kind in KINDS.items() if backend != self.backend)
        return next((found for kind in others if (found := self.observed.child(kind, self.server_name(number)))), None)

    def deployment(self, number: int) -> Manifest | None:
        """The Deployment behind a version as it is: our own, or the one that KServe makes."""
        return deployment_of(self.observed, self.server(number))


def deployment_of(observed: Observed, server: Manifest | None) -> Manifest | None:
    """The Deployment whose pods answer for a server."""
    if server is None or server["kind"] == "Deployment":
        return server
    found = observed.objects.get(made_by_kserve(server))
    owners = (found or {}).get("metadata", {}).get("ownerReferences", ())
    return found if any(owner["uid"] == server["metadata"].get("uid") for owner in owners) else None


def made_by_kserve(server: Manifest) -> Ref:
    """The Deployment that KServe makes of an InferenceService."""
    meta = server["metadata"]
    return Ref("Deployment", f"{meta['name']}-predictor", meta.get("namespace", ""))


def versions_select(namespace: str, spec: ModelDeploymentSpec) -> Select:
    """The model's versions."""
    return Select("ModelVersion", namespace, (("spec.model", spec.model.name),))


def situation(obj: Manifest, spec: ModelDeploymentSpec, observed: Observed) -> Situation:
    """Put together what was observed."""
    last = status_of(ModelDeploymentStatus, obj)
    listed = observed.lists.get(versions_select(obj["metadata"]["namespace"], spec), ())
    versions = {v.number: v for v in map(_version, listed) if v is not None}
    return Situation(obj, spec, last, observed, versions, _serving(obj, last, observed), pod_of(obj, spec, observed))


def _serving(obj: Manifest, last: ModelDeploymentStatus, observed: Observed) -> int | None:
    """The live selector says who serves, unless a hand wrote a version there that was never started for it."""
    selected, told = _selected(obj, observed), last.number(SERVING)
    started = {version.number for version in last.versions if version.state != FAILED}
    return selected if selected is not None and (selected in started or told is None) else told


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


def _backend_of(children: tuple[Manifest, ...]) -> Backend | None:
    """A status can be lost: what runs says which backend it was."""
    kinds = {child["kind"] for child in children}
    return next((backend for backend, kind in KINDS.items() if kind in kinds), None)


def _selected(obj: Manifest, observed: Observed) -> int | None:
    service = observed.child("Service", obj["metadata"]["name"])
    number = (service or {}).get("spec", {}).get("selector", {}).get(names.LABEL_VERSION, "")
    return int(number) if number.isdigit() else None
