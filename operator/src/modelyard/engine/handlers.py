"""Handlers: what kopf watches. Every event is remembered and wakes the objects it concerns; nothing is decided here."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import kopf

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.kube import RESOURCES
from modelyard.engine.session import Session
from modelyard.engine.slim import CHILD_KINDS, KSERVE_KINDS, slim

OURS = f"{names.MANAGED_BY}={names.MANAGED_BY_VALUE},{names.LABEL_KIND}"
"""Label selector of children and pods."""


class EndlessBackoff:
    """Pauses (s) between tries of the API: doubling to 30 s, jittered, never giving up.

    A finite list would end the watch for good (kopf ends the process) after a minute without API server.
    """

    def __iter__(self) -> Iterator[float]:
        pause = 0.5
        while True:
            yield pause * random.uniform(0.5, 1.0)
            pause = min(pause * 2, 30.0)


class NoMemory(kopf.DiffBaseStorage):
    """Kopf compares no states for us, so it need not copy each object that it is shown."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Nothing is stored."""


Sink = Callable[[str | None, Manifest], None]
"""Takes an event's type (None in a listing) and object."""


def build_registry(
    kinds: Iterable[str], wake: Sink, on_refusal: Callable[[], None] = lambda: None
) -> kopf.OperatorRegistry:
    """Watches of kinds; of children and pods only those that carry our label, see build_settings.

    `on_refusal` is called when the API server fails to serve a watch.
    """
    registry = kopf.OperatorRegistry()

    async def log_in(**kwargs: Any) -> kopf.AiohttpSession | None:
        return await login(on_refusal, **kwargs)

    kopf.on.login(registry=registry)(log_in)
    for kind in kinds:
        _watch(registry, kind, wake)
    return registry


def _watch(registry: kopf.OperatorRegistry, kind: str, wake: Sink) -> None:
    resource = RESOURCES[kind]

    async def on_event(event: kopf.RawEvent, **_: Any) -> None:
        obj: Manifest = event["object"]  # type: ignore[assignment]
        obj["kind"] = kind  # or PartialObjectMetadata
        slim(obj)  # at once and in place: kopf holds on to the object for another second
        wake(event["type"], dict(obj))

    kopf.on.event(
        group=resource.group,
        version=resource.version,
        plural=resource.plural,
        id=f"wake-{resource.plural}",
        registry=registry,
    )(on_event)


def build_settings() -> kopf.OperatorSettings:
    """Kopf tuned to watch for ever, to post nothing and to leave users' objects alone."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoMemory()
    settings.queueing.idle_timeout = 1.0  # a task and two queues per object that was in an event
    settings.scanning.disabled = True
    settings.networking.error_backoffs = EndlessBackoff()
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 100
    settings.process.ultimate_exiting_timeout = None  # it would kill the process when only the watches restart
    for kind in (*CHILD_KINDS, *KSERVE_KINDS):
        resource = RESOURCES[kind]
        settings.watching.label_selectors[resource.group, resource.version, resource.plural] = OURS
    return settings


async def login(on_refusal: Callable[[], None], **kwargs: Any) -> kopf.AiohttpSession | None:
    """The pod's service account (its token is read again at each login), else the current kubeconfig."""
    info = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
    if info is None:
        return None
    session: Any = Session(info, on_refusal)
    return kopf.AiohttpSession(server=info.server, priority=info.priority, aiohttp_session=session)
