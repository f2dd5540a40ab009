"""Fact: why did the API server last refuse a Job its pod?"""

from __future__ import annotations

from collections.abc import Mapping

from modelyard import names
from modelyard.engine.facts import FactError, FactFunction
from modelyard.engine.kube import Kube, KubeError


def refused_pod(kube: Kube) -> FactFunction:
    """The fact's function: {"at", "message"} of the newest FailedCreate event about the object `uid`, None if none."""

    async def ask(args: Mapping[str, str]) -> dict[str, str] | None:
        chosen = f"involvedObject.uid={args['uid']},reason=FailedCreate"
        try:
            events = await kube.list("Event", namespace=args["namespace"], fields=chosen)
        except KubeError as fault:
            raise FactError(names.INTERNAL, f"events cannot be read: {fault.message}") from fault
        told = [{"at": event.get("lastTimestamp") or "", "message": event.get("message", "")} for event in events]
        return max(told, key=lambda each: each["at"], default=None)

    return ask
