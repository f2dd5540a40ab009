"""One ModelDeployment as it is found: spec, last status, the model's versions and the servers that exist."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from modelyard import names
from modelyard.api.modeldeployment import (
    FAILED,
    SERVING,
    Backend,
    ModelDeploymentSpec,
    ModelDeploymentStatus,
    VersionStatus,
)
from modelyard.api.modelversion import ModelVersionSpec, ModelVersionStatus
from modelyard.api.pod import Pod
from modelyard.decision import Manifest, Observed, Ref, Select
from modelyard.resources.conditions import Verdict, condition, is_ready
from modelyard.resources.modeldeployment.profile import pod_of
from modelyard.resources.parse import spec_of, status_of

KINDS: dict[Backend, str] = {"deployment": "Deployment", "kserve": "InferenceService"}
"""Backend -> kind of the object that runs a version."""

NAMED = re.compile(r"v(\d+)(?:-(\d+))?")


class Server(NamedTuple):
    """One server of a version: the first, or one that takes over from it because new pods would be made otherwise."""

    number: int
    """Of the version."""
    turn: int = 1

    def __str__(self) -> str:
        return f"v{self.number}" if self.turn == 1 else f"v{self.number}-{self.turn}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The server of this name, None if it is no name of one."""
        found = NAMED.fullmatch(text)
        return cls(int(found[1]), int(found[2] or 1)) if found else None

    @property
    def next(self) -> Server:
        """The one that takes over from it."""
        return Server(self.number, self.turn + 1)


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
class Served:
    """A version on one of its servers."""

    server: Server
    version: Version

    @property
    def number(self) -> int:
        """Of the version."""
        return self.server.number


@dataclass(frozen=True)
class Situation:
    """Everything the rules of a ModelDeployment look at."""

    obj: Manifest
    spec: ModelDeploymentSpec
    last: ModelDeploymentStatus
    observed: Observed
    versions: Mapping[int, Version]
    serving: Server | None
    """The server that the stable Service is seen to select; where there is no such Service, what the status says."""
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
    def selected(self) -> Server | None:
        """The server that the stable Service selects, whoever wrote it there."""
        return _selected(self.obj, self.observed)

    @property
    def served(self) -> Served | None:
        """The serving server with its version, while its ModelVersion exists."""
        version = None if self.serving is None else self.versions.get(self.serving.number)
        return None if self.serving is None or version is None else Served(self.serving, version)

    def server_name(self, server: Server) -> str:
        """Name of a server and of its Service."""
        return f"{self.name}-{server}"

    def server(self, server: Server) -> Manifest | None:
        """The object that runs a server, as it is."""
        return self.observed.child(KINDS[self.backend], self.server_name(server))

    def left_behind(self, server: Server) -> Manifest | None:
        """The object that ran a server before its backend was changed."""
        others = (kind for backend, kind in KINDS.items() if backend != self.backend)
        return next((found for kind in others if (found := self.observed.child(kind, self.server_name(server)))), None)

    def deployment(self, server: Server) -> Manifest | None:
        """The Deployment behind a server as it is: our own, or the one that KServe makes."""
        return deployment_of(self.observed, self.server(server))

    def told(self, *states: str) -> list[tuple[Server, VersionStatus]]:
        """What the last status says of servers, of some states only if they are given."""
        named = ((Server.parse(version.server), version) for version in self.last.versions)
        return [(server, v) for server, v in named if server is not None and (not states or v.state in states)]


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


def _serving(obj: Manifest, last: ModelDeploymentStatus, observed: Observed) -> Server | None:
    """The live selector says who serves, unless a hand wrote one there that was never started for it."""
    selected, first = _selected(obj, observed), last.first(SERVING)
    told = None if first is None else Server.parse(first.server)
    started = {version.server for version in last.versions if version.state != FAILED}
    return selected if selected is not None and (str(selected) in started or told is None) else told


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


def _selected(obj: Manifest, observed: Observed) -> Server | None:
    service = observed.child("Service", obj["metadata"]["name"])
    selector = (service or {}).get("spec", {}).get("selector", {})
    number, server = selector.get(names.LABEL_VERSION, ""), Server.parse(selector.get(names.LABEL_SERVER, ""))
    if server is not None and str(server.number) == number:
        return server
    return Server(int(number)) if number.isdigit() else None
