"""Events: the story of an object for `kubectl describe`; a lost one is no fault."""

from __future__ import annotations

import logging
from datetime import datetime

from modelyard import names
from modelyard.decision import Event, Manifest
from modelyard.engine.context import Context
from modelyard.engine.kube import KubeError

log = logging.getLogger(__name__)


async def post_events(context: Context, obj: Manifest, events: tuple[Event, ...], at: datetime) -> None:
    """Post core/v1 Events of that moment; failures are logged only."""
    for event in events:
        try:
            await context.kube.create(manifest(obj, event, at))
        except KubeError as fault:
            log.debug("event %s not posted: %s", event.reason, fault)


def manifest(obj: Manifest, event: Event, now: datetime) -> Manifest:
    """The Event object; its name is unique per object, reason and moment."""
    meta = obj["metadata"]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    namespace = meta.get("namespace") or "default"
    tail = names.short_hash(meta["uid"], event.reason, now.isoformat())
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name'][:240]}.{tail}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": meta["name"],
            "namespace": meta.get("namespace", ""),
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
