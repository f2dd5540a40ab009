"""KServe's controller, as far as it is believed: a Deployment per InferenceService, with its labels and annotations."""

from __future__ import annotations

import asyncio
import random

from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from tests.simulation.fake_api import FakeApi
from tests.simulation.schema import clone

WHO = "kserve"


class FakeKServe:
    """Follows InferenceServices and the Deployments that it made of them."""

    def __init__(self, api: FakeApi, rng: random.Random) -> None:
        self._api, self._rng = api, rng
        self._loop = asyncio.get_running_loop()
        self._asleep = False
        api.watchers.append(self._on_change)

    def _on_change(self, type_: str, obj: Manifest) -> None:
        if obj["kind"] == "InferenceService" and type_ != "DELETED":
            self._later(key_of(obj))
        elif obj["kind"] == "Deployment":
            for owner in obj["metadata"].get("ownerReferences", ()):
                if owner["kind"] == "InferenceService":
                    self._later(("InferenceService", obj["metadata"]["namespace"], owner["name"]))

    def _later(self, key: Key) -> None:
        self._loop.call_later(self._rng.uniform(0.05, 1.0), self._reconcile, key)

    def sleep(self) -> None:
        """Controller and webhooks are away: nothing is made of an InferenceService, and none is taken."""
        self._asleep = True
        self._api.silent_webhooks.add("InferenceService")

    def wake(self) -> None:
        """As after a start: everything is looked at."""
        self._asleep = False
        self._api.silent_webhooks.discard("InferenceService")
        for service in self._api.all("InferenceService"):
            self._later(key_of(service))

    def _reconcile(self, key: Key) -> None:
        service = self._api.look(*key)
        if self._asleep or service is None or "deletionTimestamp" in service["metadata"]:
            return
        wanted = deployment_of(service)
        live = self._api.look(*key_of(wanted))
        if live is None or any(live["spec"][field] != wanted["spec"][field] for field in ("replicas", "template")):
            live = self._api.apply(wanted, WHO)
        # KServe v0.20 says Ready while the pods of the last change are still coming up: nobody may rely on it.
        up = live.get("status", {}).get("availableReplicas", 0) > 0
        told = {"type": "Ready", "status": "True" if up else "False"}
        if service.get("status", {}).get("conditions") != [told]:
            self._api.patch(*key, {"status": {"conditions": [told]}}, "status", WHO)


def deployment_of(service: Manifest) -> Manifest:
    """What KServe makes of an InferenceService: its labels and annotations on the Deployment and on the pods."""
    meta, predictor = service["metadata"], service["spec"]["predictor"]
    marks = {name: clone(meta[name]) for name in ("labels", "annotations")}
    reference = {"apiVersion": service["apiVersion"], "kind": service["kind"], "name": meta["name"], "uid": meta["uid"]}
    model = predictor["model"]
    pod = {
        "initContainers": [{"name": "storage-initializer", "args": [model["storageUri"], "/mnt/models"]}],
        "containers": [{"name": "kserve-container", "env": clone(model["env"])}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": f"{meta['name']}-predictor",
            "namespace": meta["namespace"],
            "ownerReferences": [{**reference, "controller": True}],
            **marks,
        },
        "spec": {
            "replicas": predictor["minReplicas"],
            "selector": {"matchLabels": {"app": f"isvc.{meta['name']}-predictor"}},
            "template": {"metadata": clone(marks), "spec": pod},
        },
    }
