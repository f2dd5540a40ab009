"""The peer: a client that decides nothing and makes the writes of a run one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from dev.bench import manifests
from modelyard.decision import Manifest
from modelyard.engine.kube import Kube


@dataclass(frozen=True)
class Shapes:
    """What the operator made of one FineTuneJob, to be made again as it is."""

    configmap: Manifest
    job: Manifest
    status: Manifest

    @classmethod
    async def of(cls, kube: Kube, namespace: str, prefix: str) -> Shapes:
        """Copy the first run whose name begins so."""
        found = {kind: await _first(kube, kind, namespace, prefix) for kind in ("ConfigMap", "Job", "FineTuneJob")}
        return cls(found["ConfigMap"], _without_controller(found["Job"]), found["FineTuneJob"]["status"])


class Plain:
    """Writes FineTuneJob, status, ConfigMap and Job."""

    def __init__(self, kube: Kube, shapes: Shapes) -> None:
        self._kube, self._shapes = kube, shapes

    async def run(self, namespace: str, name: str) -> None:
        """Four writes."""
        await self._kube.create(manifests.finetunejob(namespace, name))
        await self._kube.patch("FineTuneJob", namespace, name, {"status": self._shapes.status}, "status")
        await self._kube.create(manifests.again(self._shapes.configmap, namespace, name))
        await self._kube.create(manifests.again(self._shapes.job, namespace, name))


async def _first(kube: Kube, kind: str, namespace: str, prefix: str) -> Manifest:
    listed = await kube.list(kind, namespace=namespace)
    name = next(obj["metadata"]["name"] for obj in listed if obj["metadata"]["name"].startswith(prefix))
    # Lists leave out what the operator never reads of a Job.
    found = await kube.get(kind, namespace, name) or {}
    return {"kind": kind, "apiVersion": {"Job": "batch/v1", "ConfigMap": "v1"}.get(kind, ""), **found}


def _without_controller(job: Manifest) -> Manifest:
    """The API server adds a selector and labels with the Job's uid, and refuses to be given them."""
    template = job["spec"]["template"]
    added = ("controller-uid", "batch.kubernetes.io/controller-uid", "job-name", "batch.kubernetes.io/job-name")
    labels = {name: value for name, value in template["metadata"]["labels"].items() if name not in added}
    template = {**template, "metadata": {**template["metadata"], "labels": labels}}
    spec = {key: value for key, value in job["spec"].items() if key != "selector"}
    return {**job, "spec": {**spec, "template": template}}
