"""Fact: how much do nodes have for pods, and how much of it is free?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from modelyard import names
from modelyard.api.amount import amount
from modelyard.decision import Manifest
from modelyard.engine.facts import FactError, FactFunction
from modelyard.engine.kube import Kube, KubeError

PLACED = "spec.nodeName="
LIVE = "status.phase!=Succeeded,status.phase!=Failed"


def capacity(kube: Kube) -> FactFunction:
    """The fact's function: {resource: {"most": ..., "free": ...}}, the largest of any one node that takes pods.

    Units are cores, bytes and whole devices. Init containers are left out, so a little less may be free.
    """

    async def ask(args: Mapping[str, str]) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        try:
            nodes = [node for node in await kube.list("Node") if not node.get("spec", {}).get("unschedulable")]
            for node in nodes:
                pods = await kube.list("Pod", fields=f"{PLACED}{node['metadata']['name']},{LIVE}")
                _keep_largest(found, _amounts(node.get("status", {}).get("allocatable", {})), _asked(pods))
        except KubeError as fault:
            raise FactError(names.INTERNAL, f"nodes cannot be read: {fault.message}") from fault
        return found

    return ask


def _keep_largest(found: dict[str, dict[str, float]], whole: Mapping[str, float], asked: Mapping[str, float]) -> None:
    for name, most in whole.items():
        known = found.get(name, {"most": 0.0, "free": 0.0})
        free = max(0.0, most - asked.get(name, 0.0))
        found[name] = {"most": max(known["most"], most), "free": max(known["free"], free)}


def _asked(pods: Iterable[Manifest]) -> Mapping[str, float]:
    asked: Counter[str] = Counter()
    for pod in pods:
        for container in pod.get("spec", {}).get("containers", ()):
            asked.update(_amounts(container.get("resources", {}).get("requests", {})))
    return asked


def _amounts(resources: Mapping[str, str]) -> dict[str, float]:
    return {name: amount(str(text)) for name, text in resources.items()}
