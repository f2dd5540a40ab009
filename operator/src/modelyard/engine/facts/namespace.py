"""Fact: which labels does a namespace carry?"""

from __future__ import annotations

from collections.abc import Mapping

from modelyard import names
from modelyard.engine.context import KubeApi
from modelyard.engine.facts import FactError, FactFunction
from modelyard.engine.kube import KubeError


def namespace_labels(kube: KubeApi) -> FactFunction:
    """Labels of the Namespace `namespace`; a namespace that is gone has none."""

    async def ask(args: Mapping[str, str]) -> dict[str, str]:
        try:
            found = await kube.get("Namespace", "", args["namespace"])
        except KubeError as fault:
            raise FactError(names.PENDING, f"the API server does not tell its labels: {fault}") from fault
        return dict((found or {"metadata": {}})["metadata"].get("labels", {}))

    return ask
