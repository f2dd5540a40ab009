"""All that decides the Job of a run, of a preparation, or of one that reads a base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelyard.api.common import Resources
from modelyard.api.pod import RunPod
from modelyard.api.run import AnyConfig
from modelyard.api.store import StoreLocation
from modelyard.decision import Platform

FETCH, CONTAINER, PUBLISH = "fetch", "trainer", "publish"
"""Containers of a pod: the trainer alone, or a foreign one between two of ours."""


@dataclass(frozen=True)
class RunPlan:
    """All that decides the Job and its ConfigMap; both bear `name`."""

    name: str
    run: str
    config: AnyConfig
    image: str
    store_secret: str
    resources: Resources
    retries: int
    endpoint: str = ""
    """Address of this Job at the operator's endpoint."""
    endpoint_ca: str = ""
    grace: int = 60
    """Seconds between SIGTERM and SIGKILL."""
    queue: str = ""
    """Local queue of Kueue; empty: the Job starts at once."""
    command: Sequence[str] = ()
    """Command of a foreign image; empty: the image is the trainer's own."""
    args: Sequence[str] = ()
    own_image: str = ""
    """Trainer image that fetches for a foreign one, and checks and publishes what it left."""
    source_secret: str = ""
    """Secret with the key of a Dataset's source; empty when there is no source to read."""
    chosen_image: str = ""
    """Image that people chose; empty: the installation's, which may change while the Job waits."""
    pod: RunPod = field(default_factory=RunPod)
    """What the profile adds, with the object's labels copied into it."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def containers(self) -> tuple[str, ...]:
        """Names of the pod's containers in the order in which they run."""
        return (FETCH, CONTAINER, PUBLISH) if self.command else (CONTAINER,)


def store_of(platform: Platform) -> StoreLocation:
    """Where the pods find the artifact store."""
    return StoreLocation(**platform.store.model_dump(), bucket=platform.store_bucket)


def endpoint_of(platform: Platform, namespace: str, job: str) -> str:
    """Address of a Job at the operator's endpoint."""
    return f"{platform.endpoint}/v1/namespaces/{namespace}/jobs/{job}"
