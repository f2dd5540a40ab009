"""Deployments come to life: servers fetch, load, crash, become available, and answer predictions as some version."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from modelyard import names
from modelyard.api import layout
from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from modelyard.engine.facts import FactError
from tests.simulation import clock, podstatus
from tests.simulation.fake_api import FakeApi
from tests.simulation.fake_store import FakeStore
from tests.simulation.fate import Fates, ServerFate
from tests.simulation.story import Story

WHO = "deployment-controller"


class FakeServers:
    """One player per Deployment, and the network in front of them."""

    def __init__(self, api: FakeApi, store: FakeStore, fates: Fates, story: Story) -> None:
        self.api, self.store, self.fates, self.story = api, store, fates, story
        self.players: dict[str, ServerPlayer] = {}
        self.answered: set[tuple[str, str, str]] = set()
        """(namespace, ModelDeployment, server) that once answered as itself."""
        self.reached: set[str] = set()
        """Services (uid) whose address has answered."""
        self._known_at: dict[str, float] = {}
        """Service (uid) -> second from which its address is known."""
        self._rng = fates.rng("network")
        api.watchers.append(self._on_change)

    def _on_change(self, type_: str, obj: Manifest) -> None:
        uid = obj["metadata"]["uid"]
        if obj["kind"] == "Service" and type_ == "ADDED":
            self._known_at[uid] = clock.seconds() + self._rng.uniform(0.0, 3.0)
        if obj["kind"] == "Pod" and "deletionTimestamp" in obj["metadata"]:
            uid = obj["metadata"]["ownerReferences"][0]["uid"]
        elif obj["kind"] == "Deployment" and type_ == "ADDED":
            self.players[uid] = ServerPlayer(self, key_of(obj), uid)
        elif obj["kind"] != "Deployment":
            return
        if uid in self.players:
            self.players[uid].wake.set()

    async def prediction(self, args: Mapping[str, str]) -> dict[str, Any]:
        """The fact: what answers behind a Service's address."""
        await asyncio.sleep(0.05)
        name, namespace = str(urlsplit(args["url"]).hostname).split(".")[:2]
        service = self.api.look("Service", namespace, name)
        player = self._behind(service) if service else None
        if player is None:
            raise FactError(names.PROBE_FAILED, f"{args['url']} gave no answer")
        version = player.answers()
        self.story.tell("prediction of %s answers as version %s", name, version)
        if version == args["version"]:
            labels = service["spec"]["selector"] if service else {}
            self.answered.add((namespace, labels[names.LABEL_DEPLOYMENT], labels[names.LABEL_SERVER]))
        return {"version": version, "prediction": []}

    async def address(self, args: Mapping[str, str]) -> bool:
        """The fact: does a Service's address answer? A new one is not known to nodes and DNS at once."""
        await asyncio.sleep(0.05)
        name, namespace = str(urlsplit(args["url"]).hostname).split(".")[:2]
        service = self.api.look("Service", namespace, name)
        if service is None or not self.is_known(service) or self._behind(service) is None:
            raise FactError(names.SERVER_UNREACHABLE, f"{args['url']} gave no answer")
        self.reached.add(service["metadata"]["uid"])
        return True

    def is_known(self, service: Manifest) -> bool:
        """True once nodes and DNS know a Service."""
        return clock.seconds() >= self._known_at.get(service["metadata"]["uid"], 0.0)

    def _behind(self, service: Manifest) -> ServerPlayer | None:
        wanted = service["spec"]["selector"].items()
        for uid in sorted(self.players):
            player = self.players[uid]
            found = player.deployment()
            if found is not None and player.available and wanted <= _labels(found).items():
                return player
        return None


class ServerPlayer:
    """Deployment controller, kubelet and server of one Deployment."""

    def __init__(self, cluster: FakeServers, key: Key, uid: str) -> None:
        self._in, self._key, self._uid = cluster, key, uid
        self.wake = asyncio.Event()
        self.available = 0
        self._pods: list[str] = []
        self._count = 0
        self._troubled_until = 0.0
        self.task = asyncio.create_task(self._live())

    def deployment(self) -> Manifest | None:
        """The Deployment while it exists."""
        found = self._in.api.look(*self._key)
        return found if found is not None and found["metadata"]["uid"] == self._uid else None

    def answers(self) -> str:
        """Which version its pods say they are."""
        found = self.deployment()
        assert found is not None
        if self._fate(found).way == "always-wrong" or clock.seconds() < self._troubled_until:
            return "0"
        env = found["spec"]["template"]["spec"]["containers"][0]["env"]
        return str(next(entry["value"] for entry in env if entry["name"] == "MODELYARD_VERSION"))

    async def _live(self) -> None:
        await asyncio.sleep(0.05)
        done = None
        while (live := self.deployment()) is not None:
            wanted = (live["spec"]["template"], live["spec"]["replicas"])
            if wanted != done or self._lost_pods():
                done = wanted
                await self._roll_out(live)
            elif live["status"]["observedGeneration"] != live["metadata"]["generation"]:
                self._report(live["spec"]["replicas"])
            else:
                self.wake.clear()
                await self.wake.wait()
        self.available = 0
        for pod in self._pods:
            podstatus.remove(self._in.api, self._key[1], pod, WHO)

    async def _roll_out(self, live: Manifest) -> None:
        fate, old = self._fate(live), list(self._pods)
        new = [self._make_pod(live) for _ in range(live["spec"]["replicas"])]
        self._report(0)
        if not await self._come_up(live, fate, new):
            return
        self._troubled_until = clock.seconds() + (fate.trouble if fate.way == "wrong-for-a-while" else 0.0)
        for pod in new:
            self._set_pod(pod, podstatus.running("server"))
        for pod in old:
            podstatus.remove(self._in.api, self._key[1], pod, WHO)
            self._pods.remove(pod)
        self.available = len(new)
        self._report(len(new))

    async def _come_up(self, live: Manifest, fate: ServerFate, pods: list[str]) -> bool:
        """True once the pods are available; False when the Deployment changed first."""
        if fate.way == "secret":
            for pod in pods:
                self._set_pod(pod, podstatus.waiting("SecretMissing", "server"))
            if await self._pause(live, fate.trouble):
                return False
        restarts = 0
        while fate.way == "crash" or not self._intact(live):
            restarts += 1
            for pod in pods:
                self._set_pod(pod, podstatus.crashing(min(restarts, 6)))
            if await self._pause(live, min(10.0 * restarts, 300.0)):
                return False
        return not await self._pause(live, fate.start * (8.0 if fate.way == "slow" else 1.0))

    async def _pause(self, live: Manifest, seconds: float) -> bool:
        """Wait; True when the Deployment is wanted otherwise before the time is over."""
        until = clock.seconds() + seconds
        while (left := until - clock.seconds()) > clock.RESOLUTION:
            now = self.deployment()
            if now is None or now["spec"] != live["spec"]:
                return True
            self.wake.clear()
            try:
                await asyncio.wait_for(self.wake.wait(), left)
            except TimeoutError:
                return False
        return False

    def _lost_pods(self) -> bool:
        """Pods that were asked to go go; new ones are needed then."""
        gone = [pod for pod in self._pods if self._is_leaving(pod)]
        for pod in gone:
            podstatus.remove(self._in.api, self._key[1], pod, WHO)
            self._pods.remove(pod)
        if gone:
            self.available = max(0, self.available - len(gone))
        return bool(gone)

    def _is_leaving(self, pod: str) -> bool:
        found = self._in.api.look("Pod", self._key[1], pod)
        return found is None or "deletionTimestamp" in found["metadata"]

    def _intact(self, live: Manifest) -> bool:
        args = live["spec"]["template"]["spec"]["initContainers"][0]["args"]
        uri = next(arg for arg in args if arg.startswith("modelyard://"))
        prefix, _, digest = uri.removeprefix("modelyard://").partition("@")
        return self._in.store.intact(layout.split_uri(f"s3://{prefix}")[1], digest)

    def _fate(self, live: Manifest) -> ServerFate:
        labels = _labels(live)
        return self._in.fates.server(labels[names.LABEL_DEPLOYMENT], labels[names.LABEL_SERVER].removeprefix("v"))

    def _report(self, updated: int) -> None:
        live = self.deployment()
        if live is None:
            return
        was: dict[str, Any] = next(iter(live.get("status", {}).get("conditions", ())), {})
        word = "True" if self.available else "False"
        since = was["lastTransitionTime"] if was.get("status") == word else clock.stamp()
        counts = {"replicas": len(self._pods), "updatedReplicas": updated, "availableReplicas": self.available}
        condition = {"type": "Available", "status": word, "lastTransitionTime": since}
        status = {**counts, "observedGeneration": live["metadata"]["generation"], "conditions": [condition]}
        self._in.api.patch(*self._key, {"status": status}, "status", WHO)

    def _make_pod(self, live: Manifest) -> str:
        self._count += 1
        name = f"{self._key[2]}-{self._uid[-5:]}-{self._count}"
        self._in.api.create(podstatus.pod_of(live, name), WHO)
        self._pods.append(name)
        return name

    def _set_pod(self, pod: str, status: Manifest) -> None:
        if self._in.api.look("Pod", self._key[1], pod) is not None:
            self._in.api.patch("Pod", self._key[1], pod, {"status": status}, "status", WHO)


def _labels(deployment: Manifest) -> dict[str, str]:
    return dict(deployment["spec"]["template"]["metadata"]["labels"])
