"""Fact: why does Kueue not start a Job?"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.facts import FactError, FactFunction
from modelyard.engine.kube import Kube, KubeError

JOB_UID = "kueue.x-k8s.io/job-uid"
"""Label of Kueue's on a Workload: uid of the Job that it stands for."""


def queue_word(kube: Kube) -> FactFunction:
    """The fact's function: what Kueue says about the Job `uid`; None if it says nothing or is not installed."""

    async def ask(args: Mapping[str, str]) -> str | None:
        for kind in ("Workload", "WorkloadV1Beta1"):
            try:
                found = await kube.list(kind, f"{JOB_UID}={args['uid']}", args["namespace"])
            except KubeError as fault:
                if fault.status == HTTPStatus.NOT_FOUND:
                    continue
                raise FactError(names.INTERNAL, f"Kueue's Workloads cannot be read: {fault.message}") from fault
            return next((text for workload in found if (text := _why_pending(workload))), None)
        return None

    return ask


def _why_pending(workload: Manifest) -> str:
    held = workload.get("status", {}).get("conditions", [])
    pending = (c for c in held if (c["type"], c["status"]) == ("QuotaReserved", "False"))
    return next((str(c.get("message", "")) for c in pending), "")
