"""Kueue, as far as a Job sees it: starts what is suspended in a queue, takes pods back, starts again."""

from __future__ import annotations

import asyncio

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from modelyard.engine.facts.queue import JOB_UID
from tests.simulation.fake_api import FakeApi
from tests.simulation.fault_points import FaultPoints

WHO = "kueue"
TAKEN_BACK = 0.3


class FakeKueue:
    """Follows Jobs that bear the name of a queue."""

    def __init__(self, api: FakeApi, fault_points: FaultPoints) -> None:
        self._api, self._fault_points = api, fault_points
        self._rng = fault_points.rng("kueue")
        self._loop = asyncio.get_running_loop()
        api.watchers.append(self._on_change)

    def _on_change(self, type_: str, obj: Manifest) -> None:
        if obj["kind"] == "Job" and type_ == "ADDED" and names.LABEL_QUEUE in obj["metadata"].get("labels", {}):
            if self._api.look("Workload", *key_of(obj)[1:]) is None:
                self._api.create(_workload(obj), WHO)
            self._say(key_of(obj), reserved=False)
            self._later(key_of(obj), obj["metadata"]["uid"], suspend=False)

    def _later(self, key: Key, uid: str, *, suspend: bool) -> None:
        self._loop.call_later(self._rng.uniform(0.5, 20.0), self._set, key, uid, suspend)

    def _set(self, key: Key, uid: str, suspend: bool) -> None:
        job = self._api.look(*key)
        if job is None or job["metadata"]["uid"] != uid or "deletionTimestamp" in job["metadata"] or _has_ended(job):
            return
        if bool(job["spec"].get("suspend")) != suspend:
            self._api.patch(*key, {"spec": {"suspend": suspend}}, "", WHO)
        self._say(key, reserved=not suspend)
        if suspend:
            self._later(key, uid, suspend=False)
        elif self._fault_points.strikes(TAKEN_BACK, "kueue-takes-back", key[2]):
            self._later(key, uid, suspend=True)

    def _say(self, job: Key, *, reserved: bool) -> None:
        told = {
            "type": "QuotaReserved",
            "status": str(reserved),
            "message": "couldn't assign flavors: 1 cpu more needed",
        }
        if self._api.look("Workload", *job[1:]) is not None:
            self._api.patch("Workload", *job[1:], {"status": {"conditions": [told]}}, "status", WHO)


def _workload(job: Manifest) -> Manifest:
    meta = job["metadata"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
    marks = {"labels": {JOB_UID: meta["uid"]}, "ownerReferences": [reference]}
    return {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], **marks},
        "spec": {"queueName": meta["labels"][names.LABEL_QUEUE]},
    }


def _has_ended(job: Manifest) -> bool:
    return any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ()))
